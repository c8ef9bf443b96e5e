"""What each platform bills, one module per family of rules, exact in Decimal; rounding is in rounding.py alone."""
