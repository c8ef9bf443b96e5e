"""Current list prices out of the providers' own price APIs, for `fortnight prices refresh`; one module per API."""
