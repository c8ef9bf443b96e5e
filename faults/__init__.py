"""Collections under every failure that can be injected here; `python -m faults` prints what survived."""
