"""Logs already on disk: what the vendors' own export commands and consoles write, and our own columns."""

from collectors.export.dispatch import assemble, parse, region_of
from collectors.export.fetch import Clients, fetch, fetch_usage
from collectors.export.probe import probe

SOURCES = ("export",)
COUNTED_BY_PROVIDER: frozenset[str] = frozenset()

__all__ = ["COUNTED_BY_PROVIDER", "SOURCES", "Clients", "assemble", "fetch", "fetch_usage", "parse", "probe", "region_of"]
