"""Cloud Run read through Cloud Logging and Cloud Monitoring."""

from __future__ import annotations

from collections.abc import Iterator

from collectors.cloud_run.usage import usage_buckets
from collectors.google_api import Clients
from collectors.google_entry import quoted, within
from collectors.google_errors import mapped
from collectors.google_logging import read_events
from trial.calendar import Window
from trial.config import CloudRunEndpoint
from trial.meter import Meter
from trial.records import RawEvent, UsageBucket

__all__ = ["Clients", "fetch", "fetch_usage", "log_filter"]

LOGS = ("requests", "varlog%2Fsystem", "stdout", "stderr")


def fetch(
    clients: Clients, endpoint: CloudRunEndpoint, window: Window, *, meter: Meter, logs: tuple[str, ...] = LOGS
) -> Iterator[RawEvent]:
    """
    Request log, instance log, stdout and stderr of the service in its region.

    Raises:
        Denied, NotFound, Throttled, Unreachable, Malformed: as `collectors.google_logging.read_events`.
    """
    find = "Check `project`, `service` and `region` in trial.toml"
    return read_events(clients, project=endpoint.project, filter=log_filter(endpoint, window, logs), find=find, meter=meter)


def fetch_usage(clients: Clients, endpoint: CloudRunEndpoint, window: Window, *, meter: Meter) -> Iterator[UsageBucket]:
    """
    What Cloud Monitoring counted, by the hour; nothing where it has no series for the window.

    Raises:
        as `fetch`.
    """
    where = f"Cloud Monitoring of project {endpoint.project}"
    grant = f"Grant roles/monitoring.viewer on project {endpoint.project}, or the permission monitoring.timeSeries.list"
    with mapped(where=where, grant=grant, find="Check `project` in trial.toml"):
        yield from usage_buckets(clients, endpoint, window, meter=meter)


def log_filter(endpoint: CloudRunEndpoint, window: Window, logs: tuple[str, ...] = LOGS) -> str:
    """The filter as the Logs Explorer takes it too, so that a user can see for themselves what was read."""
    names = " OR ".join(quoted(f"projects/{endpoint.project}/logs/run.googleapis.com%2F{name}") for name in logs)
    return " AND ".join(
        (
            'resource.type="cloud_run_revision"',
            f"resource.labels.service_name={quoted(endpoint.service)}",
            f"resource.labels.location={quoted(endpoint.region)}",
            f"logName=({names})",
            within(window),
        )
    )
