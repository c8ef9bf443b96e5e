"""One module per command: read the configuration, run what the rooms offer, print."""
