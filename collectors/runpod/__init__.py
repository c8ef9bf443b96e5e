"""RunPod serverless: handler lines shipped to files, worker logs while workers live, and the v2 billing API."""

from collectors.runpod.assemble import assemble
from collectors.runpod.fetch import Clients, fetch
from collectors.runpod.parse import parse
from collectors.runpod.probe import probe
from collectors.runpod.usage import fetch_usage

SOURCES = ("handler-lines",)
COUNTED_BY_PROVIDER: frozenset[str] = frozenset()

__all__ = ["COUNTED_BY_PROVIDER", "SOURCES", "Clients", "assemble", "fetch", "fetch_usage", "parse", "probe"]
