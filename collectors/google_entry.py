"""Cloud Logging without its SDK: an entry as `gcloud logging read --format=json` prints it, and the words of a filter."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

import orjson

from trial.calendar import Window
from trial.records import RawEvent

SOURCE = "cloud-logging"

_STAMP = re.compile(r"(\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d)(?:\.(\d{1,9})\d*)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


def to_event(entry: Mapping[str, Any]) -> RawEvent:
    """
    A log entry as a raw event, the same whether it came through gRPC, HTTP or an export on disk.

    Cloud Logging takes two entries for one where logName, timestamp (to the nanosecond) and insertId are equal, and a sink
    can hold such copies; so the stream is the logName and the event id is timestamp and insertId together. It starts with the
    timestamp, so that entries of one log within a microsecond keep their order.

    Raises:
        ValueError: no logName, or no timestamp that can be read.
    """
    log_name = entry.get("logName")
    if not isinstance(log_name, str) or not log_name:
        raise ValueError("log entry without logName")
    at, stamp = _instant(entry.get("timestamp"))
    insert_id = entry.get("insertId")
    if not isinstance(insert_id, str) or not insert_id:
        insert_id = hashlib.sha256(_canonical(entry)).hexdigest()[:24]
    received = entry.get("receiveTimestamp")
    return RawEvent(
        source=SOURCE,
        stream=log_name,
        event_id=f"{stamp}/{insert_id}",
        at=at,
        ingested_at=_instant(received)[0] if received is not None else None,
        payload=dict(entry),
    )


def _canonical(entry: Mapping[str, Any]) -> bytes:
    try:
        return orjson.dumps(entry, default=str, option=orjson.OPT_SORT_KEYS)
    except TypeError:
        return json.dumps(entry, default=str, sort_keys=True).encode()  # nested deeper than orjson writes


def _instant(value: Any) -> tuple[datetime, str]:
    """The time in whole microseconds, and its text with all nine digits in UTC."""
    found = _STAMP.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError(f"log entry with timestamp {value!r}, expected RFC 3339")
    nanos = (found[2] or "").ljust(9, "0")
    try:
        seconds = datetime.fromisoformat(f"{found[1].upper()}{found[3].upper()}").astimezone(UTC)
    except (ValueError, OverflowError) as exc:
        raise ValueError(f"log entry with timestamp {value!r}: {exc}") from exc
    if not 1970 <= seconds.year < 9000:  # so that a day can be added to it or taken from it
        raise ValueError(f"log entry with timestamp {value!r}, which no log was written at")
    return seconds.replace(microsecond=int(nanos[:6])), f"{seconds:%Y-%m-%dT%H:%M:%S}.{nanos}Z"


def log_id(entry: Mapping[str, Any]) -> str:
    """The log's own name: "run.googleapis.com/requests" of "projects/p/logs/run.googleapis.com%2Frequests"."""
    return unquote(text(entry.get("logName")).rpartition("/logs/")[2])


def mapping(value: Any) -> Mapping[str, Any]:
    """The object, or an empty one where there is none: Google's JSON leaves out what is empty."""
    return value if isinstance(value, Mapping) else {}


def text(value: Any) -> str:
    """The string, or an empty one."""
    return value if isinstance(value, str) else ""


def resource_label(entry: Mapping[str, Any], name: str) -> str | None:
    return text(mapping(mapping(entry.get("resource")).get("labels")).get(name)) or None


def region_of(event: RawEvent, endpoint: Any) -> str | None:  # noqa: ARG001 - one signature for every platform
    """The region of the resource that wrote the entry."""
    return resource_label(mapping(event.payload), "location")


def label(entry: Mapping[str, Any], name: str) -> str | None:
    return text(mapping(entry.get("labels")).get(name)) or None


def whole(value: Any) -> int | None:
    """
    A whole number however it travelled: int, float (gRPC's Struct knows no other) or text (JSON's int64); None if absent.

    Raises:
        ValueError: it is something else.
    """
    if value is None:
        return None
    if isinstance(value, str) and re.fullmatch(r"\d{1,18}", value, re.ASCII):
        return int(value)
    if isinstance(value, (int, float)) and not isinstance(value, bool) and value == value // 1:
        return int(value)
    raise ValueError(f"expected a whole number, got {value!r}")


# The hexadecimal id inside a resource name, an X-Cloud-Trace-Context or a traceparent.
_TRACE = re.compile(r"(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])", re.ASCII)


def trace_id(value: Any) -> str | None:
    """The bare trace id; other ids are kept as they are, without a resource path."""
    given = text(value).strip()
    found = _TRACE.search(given.lower())
    return found[0] if found else given.rpartition("/traces/")[2] or None


def within(window: Window) -> str:
    """
    The filter's clause for the window, half-open.

    It names `timestamp` itself: where a filter does not, some clients add "the last 24 hours" without saying so.
    """
    return f'timestamp>="{_rfc3339(window.start)}" AND timestamp<"{_rfc3339(window.end)}"'


def quoted(value: str) -> str:
    """A value in the logging query language's double quotes."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _rfc3339(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
