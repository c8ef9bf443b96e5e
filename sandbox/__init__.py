"""A small world to try Fortnight in: seeded traffic, worker pools, their logs in the platforms' shapes, and the planted truth."""
