"""Vertex AI online prediction, read from Cloud Monitoring and Cloud Logging."""

from collectors.google_api import Clients, connect
from collectors.google_entry import region_of
from collectors.vertex_ai.assemble import assemble
from collectors.vertex_ai.fetch import fetch, fetch_usage
from collectors.vertex_ai.parse import parse
from collectors.vertex_ai.probe import probe

SOURCES = ("cloud-logging",)
COUNTED_BY_PROVIDER: frozenset[str] = frozenset()

__all__ = ["COUNTED_BY_PROVIDER", "SOURCES", "Clients", "assemble", "connect", "fetch", "fetch_usage", "parse", "probe", "region_of"]
