"""Prefect flows, schedules, the command line, and the one place where real clients and the clock are wired in."""
