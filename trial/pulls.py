"""
What collecting itself took: one line per pull, beside the days and never in them.

    pulls/endpoint=E/day=D.ndjson    D: the UTC day on which the pull was made

A pull that reads days again is another line, because it was another pull; no day's manifest or rows depend on it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime

from trial import chain
from trial.errors import StoreError
from trial.files import Files
from trial.meter import Meter


@dataclass(frozen=True, slots=True, kw_only=True)
class Pull:
    """
    Args:
        at: when the collection was told to run.
        what: "days" (a daily pull) or "harvest" (the logs of live workers).
        first, last: the local days asked for; None for a harvest.
        failed: it ended with an error; what it had called by then is counted.
        calls, bytes, events, throttles, metrics: as trial.meter counts them.
    """

    at: datetime
    what: str
    first: date | None = None
    last: date | None = None
    failed: bool = False
    calls: int = 0
    bytes: int = 0
    events: int = 0
    throttles: int = 0
    metrics: int = 0


def of(meter: Meter, *, at: datetime, what: str, days: Iterable[date] = (), failed: bool = False) -> Pull:
    span = sorted(days)
    return Pull(
        at=at.astimezone(UTC),
        what=what,
        first=span[0] if span else None,
        last=span[-1] if span else None,
        failed=failed,
        calls=meter.calls,
        bytes=meter.bytes,
        events=meter.events,
        throttles=meter.throttles,
        metrics=meter.metrics,
    )


def record(files: Files, *, endpoint: str, pull: Pull) -> None:
    """
    Appends one line.

    Raises:
        StoreError: the store cannot be written.
    """
    name = f"pulls/endpoint={endpoint}/day={pull.at.date()}.ndjson"
    data = {
        "at": pull.at.isoformat(),
        "what": pull.what,
        "first": pull.first.isoformat() if pull.first else None,
        "last": pull.last.isoformat() if pull.last else None,
        "failed": pull.failed,
        **{key: getattr(pull, key) for key in _COUNTS},
    }
    with chain.turn(files):
        before = files.read(name) if files.exists(name) else b""
        files.write(name, before + json.dumps(data, sort_keys=True).encode() + b"\n")


def read(files: Files, *, endpoint: str) -> list[Pull]:
    """
    Every pull, in the order they were made.

    Raises:
        StoreError: a line that is not what `record` writes.
    """
    return [_pull(line, name) for name in files.list(f"pulls/endpoint={endpoint}") for line in files.read(name).splitlines()]


_COUNTS = ("calls", "bytes", "events", "throttles", "metrics")


def _pull(line: bytes, name: str) -> Pull:
    try:
        data = json.loads(line)
        return Pull(
            at=datetime.fromisoformat(data["at"]),
            what=data["what"],
            first=_day(data["first"]),
            last=_day(data["last"]),
            failed=bool(data["failed"]),
            calls=int(data["calls"]),
            bytes=int(data["bytes"]),
            events=int(data["events"]),
            throttles=int(data["throttles"]),
            metrics=int(data["metrics"]),
        )
    except (ValueError, KeyError, TypeError) as exc:
        raise StoreError(f"a line is not what a pull writes: {exc!r}", where=name, do="Delete the line; no result depends on it") from exc


def _day(text: str | None) -> date | None:
    return date.fromisoformat(text) if text else None
