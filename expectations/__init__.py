"""Great Expectations suites for what was parsed. No Great Expectations type leaves this package."""
