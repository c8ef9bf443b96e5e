"""What a RunPod line is wrapped in: a console time, a server-sent event, the SDK's two log modes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from collectors.json_text import loads

# `2026-06-01T12:05:04Z text`, as the console's download and the worker-log API write it; fractions vary up to ns.
_CONSOLE = re.compile(r"(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d))[ \t]+(.*)", re.DOTALL)
# The SDK outside RunPod: level padded to 6, then `| id | text`, the id left out where there is none.
_PLAIN = re.compile(r"(TRACE|DEBUG|INFO|WARN|ERROR|NOTSET) *\| (?:([A-Za-z0-9_-]{6,80}) \| )?(.*)", re.DOTALL)
_FIRST = frozenset("0123456789")
_TIMES = ("ts", "time", "timestamp", "received_at", "receivedAt", "completedAt", "completed_at")


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """
    A line out of its wrapping.

    Args:
        at: the wrapping's own time, aware UTC; None where the line has none.
        body: what was printed: a JSON object, or text where it is none.
        text: the body as text.
        system: the platform wrote it, not the container.
        level, request_id: of the SDK's log record, where it is one.
        broken: it begins like a JSON object and is none.
    """

    at: datetime | None
    body: str | dict[str, Any]
    text: str
    system: bool = False
    level: str | None = None
    request_id: str | None = None
    broken: bool = False


def unwrap(payload: str | Mapping[str, Any]) -> Envelope:
    """Takes a line, or the data object of a worker-log event, out of its wrapping. Never fails."""
    at, system = None, False
    if not isinstance(payload, str):
        inner = payload.get("line")
        if not isinstance(inner, str):
            return _object(dict(payload), None, text="", system=False)
        at, system, text = instant(payload.get("ts")), payload.get("source") == "system", inner
    else:
        text = payload.removeprefix("\ufeff").removeprefix("data: ")
    if text[:1] in _FIRST and (console := _CONSOLE.fullmatch(text)):
        at, text = instant(console[1]) or at, console[2]
    if text[:1] == "{":
        return _json(text, at, system)
    if plain := _PLAIN.fullmatch(text):
        inner = plain[3]
        if inner[:1] == "{" and inner.rstrip()[-1:] == "}":
            found = _json(inner, at, system)
            return Envelope(
                at=found.at, body=found.body, text=inner, system=system, level=plain[1], request_id=plain[2], broken=found.broken
            )
        return Envelope(at=at, body=inner, text=inner, system=system, level=plain[1], request_id=plain[2])
    return Envelope(at=at, body=text, text=text, system=system)


def instant(value: Any) -> datetime | None:
    """An aware UTC time from RFC 3339 text with any number of fraction digits; None for anything else."""
    if not isinstance(value, str) or len(value) > 40:
        return None
    try:
        at = datetime.fromisoformat(value.replace(",", "."))
        return at.astimezone(UTC) if at.utcoffset() is not None else None
    except (ValueError, OverflowError):
        return None


def _json(text: str, at: datetime | None, system: bool) -> Envelope:
    try:
        data = loads(text)
    except orjson.JSONDecodeError:
        return Envelope(at=at, body=text, text=text, system=system, broken=True)
    if isinstance(data.get("line"), str) and data.get("source") in ("container", "system"):
        # A saved event stream: one more wrapping, at most once.
        inner, own = data["line"], instant(data.get("ts"))
        if not inner.startswith('{"ts"'):
            found = unwrap(inner)
            return Envelope(
                at=own or found.at,
                body=found.body,
                text=found.text,
                system=data["source"] == "system",
                level=found.level,
                request_id=found.request_id,
                broken=found.broken,
            )
    return _object(data, at, text=text, system=system)


def _object(data: dict[str, Any], at: datetime | None, *, text: str, system: bool) -> Envelope:
    if at is None:
        at = next((found for name in _TIMES if (found := instant(data.get(name))) is not None), None)
    if "message" in data and "level" in data and "requestId" in data:
        message, request_id = data["message"], data["requestId"]
        return Envelope(
            at=at,
            body=data,
            text=message if isinstance(message, str) else text,
            system=system,
            level=str(data["level"]),
            request_id=request_id if isinstance(request_id, str) and request_id else None,
        )
    return Envelope(at=at, body=data, text=text, system=system)
