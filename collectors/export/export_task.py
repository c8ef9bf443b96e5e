"""Objects of CloudWatch's CreateExportTask: a folder per log stream, and in it each event with its time before it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from hashlib import sha256

from collectors.files import MAX_LINE_BYTES, Source, split_lines, text_of
from trial.errors import Malformed
from trial.records import RawEvent

SOURCE = "export"
# Every task writes it, to see whether it may.
MARKER = "aws-logs-write-test"
# `2026/11/02/[$LATEST]ab` is exported into the folder `2026-11-02-[$LATEST]ab`.
_OBJECT = re.compile(r"(?:^|/)(\d{4})-(\d\d)-(\d\d)-([^/]*\[[^\]/]+\][^/]*)/\d{6}(?:\.gz)?$")
_EVENT = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z) ?")


def is_marker(name: str) -> bool:
    return name.rpartition("/")[2] == MARKER


def stream_of(name: str) -> str | None:
    """The log stream that an object of this name holds; None where it is of no export task."""
    found = _OBJECT.search(name)
    return found and f"{found[1]}/{found[2]}/{found[3]}/{found[4]}"


def events(source: Source, stream: str) -> Iterator[RawEvent]:
    """
    Every event, with the further lines of its message.

    The export leaves the events' ids out. In their place stand the event's time, its number within that millisecond, which
    keeps the order, and a hash of its text: so it is the same event in every task that exports it.

    Raises:
        Malformed: the first line carries no time; compressed data that breaks off.
    """
    at: datetime | None = None
    number, message = 0, ""
    with source.open() as data:
        for line in split_lines(data):
            text = text_of(line)
            begins = _EVENT.match(text)
            time = _time(begins[1]) if begins else None
            if begins is None or time is None:
                if at is None:
                    raise Malformed("its first line carries no time", where=source.name, do="Export it again")
                if len(message) < MAX_LINE_BYTES:
                    message = f"{message}\n{text}"
                continue
            if at is not None:
                yield _event(stream, at, number, message)
            number = number + 1 if time == at else 0
            at, message = time, text[begins.end() :]
    if at is not None:
        yield _event(stream, at, number, message)


def _time(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def _event(stream: str, at: datetime, number: int, message: str) -> RawEvent:
    digest = sha256(message.encode()).hexdigest()[:16]
    stamp = f"{at:%Y%m%dT%H%M%S}{at.microsecond // 1000:03d}"
    return RawEvent(source=SOURCE, stream=stream, event_id=f"{stamp}-{number:06d}-{digest}", at=at, payload=message)
