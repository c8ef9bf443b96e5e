"""Fetching: what an endpoint's sources return goes to the raw store before anything is parsed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from collectors import triton
from collectors.protocol import Collector
from collectors.serving_lines import is_serving_line
from flows import garbage
from trial import raw, redaction
from trial.calendar import Calendar, Window
from trial.errors import SourceError
from trial.meter import Meter
from trial.records import RawEvent, UsageBucket
from trial.store import Store

log = logging.getLogger("fortnight")

# A request that starts before midnight reports after it: the longest Lambda runs 15 minutes, a Cloud Run request an hour.
TAIL = timedelta(hours=1)
# An instance that serves today may have started yesterday: without that day its first request would be unknown.
CONTEXT = timedelta(days=1)


def window_of(store: Store, endpoint: str, first: date, last: date, calendar: Calendar) -> Window:
    """
    The span to fetch for days first to last, with the tail after and the day before.

    Without the day before where the store has it, except the one before the trial: that is no day of its own, which would be read again.
    """
    window = Window(start=calendar.window(first).start, end=calendar.window(last).end)
    known = first > calendar.start and raw.names(store.files, endpoint=endpoint, day=first - timedelta(days=1))
    return window.widened(before=timedelta(0) if known else CONTEXT, after=TAIL)


def pull(
    store: Store,
    collector: Collector,
    clients: Any,
    endpoint: Any,
    window: Window,
    calendar: Calendar,
    *,
    meter: Meter,
    keep_raw: str = "all",
    on_events: Callable[[int], None] | None = None,
) -> int:
    """
    Fetches the window and unites it with the raw store.

    Args:
        keep_raw: as [store] keep_raw says.
        on_events: called with the number of events since the last call, for a progress bar.

    Returns:
        how many events were new.

    Raises:
        SourceError: the platform could not be read; what was stored before stays as it was.
    """
    events: Iterable[RawEvent] = collector.fetch(clients, endpoint, window, meter=meter)
    if on_events is not None:
        events = _watched(events, on_events)
    events = kept(events, collector, endpoint, keep_raw=keep_raw)
    with garbage.held_back():
        new = raw.merge(store.files, endpoint=endpoint.name, events=events, day_of=calendar.day_of)
    return sum(new.values())


def kept(events: Iterable[RawEvent], collector: Collector, endpoint: Any, *, keep_raw: str) -> Iterable[RawEvent]:
    """The events as the raw store is to keep them."""
    if keep_raw == "all":
        return events
    return redaction.redacted(events, parse=partial(_parse, collector, endpoint), framework=is_serving_line)


def _parse(collector: Collector, endpoint: Any, event: RawEvent) -> Any:
    return collector.parse(event, endpoint)


def usage(
    collector: Collector, clients: Any, endpoint: Any, days: Iterable[date], calendar: Calendar, *, folder: Path, meter: Meter
) -> dict[date, tuple[UsageBucket, ...] | None]:
    """
    The provider's own counts and bills, by day; None from the first day on that could not be read, which is said and stops
    nothing: without them completeness and reconciliation are unknown, and the logs still count.

    Triton's statistics come beside them, and its count of requests where the provider has none.

    Args:
        folder: trial.toml's.
    """
    found: dict[date, tuple[UsageBucket, ...] | None] = dict.fromkeys(days)
    for day in found:
        try:
            buckets = list(collector.fetch_usage(clients, endpoint, calendar.window(day), meter=meter))
        except SourceError as exc:
            log.warning("%s: the provider's own counts could not be read: %s", endpoint.name, exc)
            break
        buckets += _triton(endpoint, calendar.window(day), counted=any(b.requests is not None for b in buckets), folder=folder, meter=meter)
        found[day] = tuple(sorted(buckets, key=lambda b: (b.start, b.end, b.source)))
    return found


def _triton(endpoint: Any, window: Window, *, counted: bool, folder: Path, meter: Meter) -> list[UsageBucket]:
    if endpoint.triton is None:
        return []
    try:
        buckets = list(triton.fetch_usage(endpoint, window, folder=folder, meter=meter))
    except SourceError as exc:
        log.warning("%s: Triton's statistics could not be read: %s", endpoint.name, exc)
        return []
    return [replace(bucket, requests=None) for bucket in buckets] if counted else buckets


def _watched(events: Iterable[RawEvent], on_events: Callable[[int], None]) -> Iterator[RawEvent]:
    pending = 0
    for event in events:
        yield event
        pending += 1
        if pending == 1000:
            on_events(pending)
            pending = 0
    on_events(pending)
