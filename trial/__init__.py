"""The vocabulary every room speaks: configuration, calendar, records, schema, ledger, store and errors."""
