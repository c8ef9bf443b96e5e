"""The events of exported files; each format has its reader, and the window is cut here."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from collectors.export import lambda_files, other_files, rows
from collectors.files import Source, match_files
from trial.calendar import Window
from trial.meter import Meter
from trial.records import RawEvent, UsageBucket

log = logging.getLogger("fortnight")


@dataclass(frozen=True, slots=True, kw_only=True)
class Clients:
    """
    Args:
        folder: where trial.toml lies; `path` is relative to it.
    """

    folder: Path


_READERS: dict[str, Callable[[Source, Any], Iterator[RawEvent]]] = {
    "aws-lambda": lambda source, _endpoint: lambda_files.events(source),
    "cloud-run": lambda source, _endpoint: other_files.cloud_run_events(source),
    "runpod": other_files.runpod_events,
    "replicate": lambda source, _endpoint: other_files.replicate_events(source),
    "invocations": lambda source, _endpoint: rows.row_events(source),
}


def fetch(clients: Clients, endpoint: Any, window: Window, *, meter: Meter) -> Iterator[RawEvent]:
    """
    The window's events of every file that `endpoint.path` matches.

    Raises:
        NotFound: no file matches. Malformed: a file is not what `endpoint.format` says. Denied, Unreachable: as the storage says.
    """
    for source in match_files(endpoint.path, folder=clients.folder):
        meter.calls += 1
        meter.bytes += source.size
        for event in events_of(source, endpoint):
            if event.at in window:
                meter.events += 1
                yield event
        if source.size == 0:
            # A quiet day's export may be so; an export that failed is too.
            log.warning("%s: %s is empty: taken as a file without events", endpoint.name, source.name)


def events_of(source: Source, endpoint: Any) -> Iterator[RawEvent]:
    """
    All events of one file, as `endpoint.format` has them.

    Raises:
        Malformed: it is not of that format. Denied, Unreachable: as the storage says.
    """
    return _READERS[endpoint.format](source, endpoint)


def fetch_usage(clients: Clients, endpoint: Any, window: Window, *, meter: Meter) -> Iterator[UsageBucket]:  # noqa: ARG001 (the Protocol's shape)
    """Nothing: files hold no bill."""
    yield from ()
