"""Cloud Run with GPUs, read from Cloud Logging and Cloud Monitoring."""

from collectors.cloud_run.assemble import assemble
from collectors.cloud_run.fetch import fetch, fetch_usage
from collectors.cloud_run.parse import COUNTED_BY_PROVIDER, parse
from collectors.cloud_run.probe import probe
from collectors.google_api import Clients, connect
from collectors.google_entry import region_of

SOURCES = ("cloud-logging",)

__all__ = ["COUNTED_BY_PROVIDER", "SOURCES", "Clients", "assemble", "connect", "fetch", "fetch_usage", "parse", "probe", "region_of"]
