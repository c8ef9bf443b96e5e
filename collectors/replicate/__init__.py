"""Replicate predictions of one model or deployment."""

from collectors.replicate.assemble import assemble
from collectors.replicate.fetch import Clients, fetch, fetch_usage
from collectors.replicate.parse import parse
from collectors.replicate.probe import probe

SOURCES = ("replicate-predictions",)
COUNTED_BY_PROVIDER: frozenset[str] = frozenset()

__all__ = ["COUNTED_BY_PROVIDER", "SOURCES", "Clients", "assemble", "fetch", "fetch_usage", "parse", "probe"]
