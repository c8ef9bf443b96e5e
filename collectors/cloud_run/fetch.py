"""Cloud Run read through Cloud Logging and Cloud Monitoring."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote

from collectors import dated_objects
from collectors.cloud_run.usage import usage_buckets
from collectors.google_api import Clients
from collectors.google_entry import SOURCE, log_id, mapping, quoted, resource_label, within
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
    Request log, instance log, stdout and stderr of the service in its region; from a sink's objects where `endpoint.logs` says so.

    Raises:
        Denied, NotFound, Throttled, Unreachable, Malformed: as `collectors.google_logging.read_events`.
    """
    if endpoint.logs is not None:
        return _sunk(clients, endpoint, window, logs, meter)
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


def _sunk(clients: Clients, endpoint: CloudRunEndpoint, window: Window, logs: tuple[str, ...], meter: Meter) -> Iterator[RawEvent]:
    from collectors.export.other_files import cloud_run_events  # here, since that package names this one

    assert clients.objects is not None and endpoint.logs is not None, "`logs` needs something to list it with"
    names = {unquote(f"run.googleapis.com/{name}") for name in logs}
    sources = clients.objects(endpoint.logs, window, below=lambda day: [f"{name}/{day}" for name in sorted(names)])
    for event in dated_objects.events(sources, window, read=cloud_run_events, source=SOURCE, meter=meter):
        if _is_of(event.payload, endpoint, names):
            yield event


def _is_of(entry: Any, endpoint: CloudRunEndpoint, names: set[str]) -> bool:
    """What `log_filter` asks the API for; an entry that is damaged passes, for the ledger to count."""
    if not isinstance(entry, Mapping) or "logName" not in entry:
        return True
    given = (mapping(entry.get("resource")).get("type"), resource_label(entry, "service_name"), resource_label(entry, "location"))
    return log_id(entry) in names and given == ("cloud_run_revision", endpoint.service, endpoint.region)


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
