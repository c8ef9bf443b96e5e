"""A measured trial turned into billed quantities, one module per way of billing; analysis.billing prices them."""
