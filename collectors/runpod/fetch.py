"""Handler lines, worker logs and job objects out of shipped files, placed in time line by line."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import httpx
import orjson

from collectors.files import Line, open_lines, text_of
from collectors.runpod.envelope import Envelope, unwrap
from collectors.runpod.parse import parse, told
from collectors.serving_lines import ServingLine
from trial.calendar import Window
from trial.errors import Malformed
from trial.meter import Meter
from trial.records import Ignored, RawEvent, Rejected

SOURCE = "handler-lines"
# Lines that come before the first time in their file wait for it, but not without bound.
_WAITING_MAX = 10_000


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Clients:
    """
    Args:
        http: an httpx.Client with base_url (https://api.runpod.io) and the bearer key; None where no key is configured.
        files: pattern -> lines; collectors.files.open_lines with trial.toml's folder bound.
        now: tells which billing bucket is still in progress.
    """

    http: httpx.Client | None = None
    files: Callable[[str], Iterator[Line]] = open_lines
    now: Callable[[], datetime] = _utc_now


def fetch(clients: Clients, endpoint: Any, window: Window, *, meter: Meter) -> Iterator[RawEvent]:
    """
    The window's lines of `handler_lines`; nothing where the endpoint ships none.

    Raises:
        NotFound, Denied, Unreachable, Malformed: as the files' storage says.
    """
    if endpoint.handler_lines is None:
        return
    meter.calls += 1
    yield from events_of(clients.files(endpoint.handler_lines), endpoint, window, meter=meter)


def events_of(lines: Iterator[Line], endpoint: Any, window: Window, *, meter: Meter) -> Iterator[RawEvent]:
    """
    Lines as events of the window.

    A line that carries its own time and request id is itself wherever it lies, so that copies of it in two files are one
    event. Any other line is what stands at its place in its file, at its own time, or else at the last time seen above it,
    or else at the first one below, or else when the file was written. An SDK line that stands twice in a row was shipped twice.

    Raises:
        Malformed: a file that speaks of requests, and no line of it carries a time.
    """
    file: str | None = None
    last: datetime | None = None
    waiting: list[RawEvent] = []
    before: Line | None = None
    for line in lines:
        meter.bytes += len(line.data) + 1
        if line.file != file:
            yield from _placed(_dated(waiting, file, endpoint), None, window, meter)
            file, last, waiting, before = line.file, None, [], None
        if before is None or line.data != before.data:
            before = line
        event, timed = _event(line, endpoint, first=before.number)
        if timed:
            last = event.at
            if waiting:
                yield from _placed(waiting, last, window, meter)
                waiting = []
            yield from _placed([event], None, window, meter)
        elif last is not None:
            yield from _placed([event], last, window, meter)
        else:
            waiting.append(event)
            if len(waiting) > _WAITING_MAX:
                yield from _placed(_dated(waiting, file, endpoint), None, window, meter)
                waiting = []
    yield from _placed(_dated(waiting, file, endpoint), None, window, meter)


def _dated(events: list[RawEvent], file: str | None, endpoint: Any) -> list[RawEvent]:
    """
    Lines of a file without any time, dated by when it was written: good enough for a worker's start-up chatter, but a
    request dated so would be counted again each time the file is touched.
    """
    for event in events:
        fact = parse(event, endpoint)
        if not isinstance(fact, (Ignored, Rejected)) and fact.kind != "worker_start":
            raise Malformed(
                "no line carries a time, so its requests belong to no day",
                where=file,
                do="Print `ts` in the handler line, or let the webhook's receiver add its own time as `ts`",
            )
    return events


def identity(envelope: Envelope, endpoint: Any) -> tuple[str, str, datetime] | None:
    """(stream, event_id, at) of a line that carries its own time and request id; None for any other line."""
    body = envelope.body
    try:
        line = told(envelope, endpoint)
    except (ValueError, OverflowError, RecursionError):
        return None
    found = line.fields if isinstance(line, ServingLine) else {}
    if "ts" not in found or not found.get("request_id"):
        return None
    try:
        canonical = orjson.dumps(body, option=orjson.OPT_SORT_KEYS) if isinstance(body, dict) else body.strip().encode()
    except TypeError:
        return None  # nested deeper than orjson writes: a line of its place in its file, as lines without an id are
    return endpoint.name, hashlib.sha256(canonical).hexdigest()[:40], found["ts"]


def _event(line: Line, endpoint: Any, *, first: int) -> tuple[RawEvent, bool]:
    """
    The line's event, and whether it carries its own time.

    Args:
        first: number of the first of the equal lines it stands among.
    """
    text = text_of(line.data)
    envelope = unwrap(text)
    own = identity(envelope, endpoint)
    if own is not None:
        stream, event_id, at = own
        return RawEvent(source=SOURCE, stream=stream, event_id=event_id, at=at, payload=text), True
    at = envelope.at or line.modified_at or datetime(1970, 1, 1, tzinfo=UTC)
    number = line.number if envelope.request_id is None else first
    return RawEvent(source=SOURCE, stream=line.file, event_id=f"{number:012d}", at=at, payload=text), envelope.at is not None


def _placed(events: list[RawEvent], at: datetime | None, window: Window, meter: Meter) -> Iterator[RawEvent]:
    for event in events:
        placed = event if at is None else replace(event, at=at)
        if placed.at in window:
            meter.events += 1
            yield placed
