"""
What the raw store keeps of a line where `[store] keep_raw = "known-fields"`: an allow-list, so that what nobody thought of is left out.

    the platform's own lines     whole: starts, reports, request entries, instance starts, serving frameworks' measurements
    handler lines                the fields of trial.handler_line.FIELDS that were read from them, as a handler line of our own
    job and prediction objects   the keys of OBJECT_KEYS
    all other lines              their length and SHA-256, and where the ledger counts them

Each line is judged before and after, and must come to the same fact; one that does not is kept as its length and hash and
rejected as "not_redactable", where it is seen, rather than kept whole.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from types import SimpleNamespace
from typing import Any

import orjson

from trial import handler_line
from trial.records import Ignored, RawEvent, Rejected
from trial.schema import INVOCATIONS

KEY = "fortnight.redacted"
# Reasons of Ignored that only the platform's own lines have.
PLATFORM_REASONS = frozenset(
    (
        *("platform_event", "platform_line", "extension", "xray", "blank", "system_message", "startup_probe_failed", "access_entry"),
        *("head", "options", "health_check", "forbidden", "refused"),
        *("torchserve_echo", "torchserve_access", "torchserve_metric", "bentoml_runner"),
    )
)
OBJECT_KEYS = frozenset(
    (
        *("id", "status", "delayTime", "executionTime", "workerId", "requestId", "level", "requests"),
        *("ts", "time", "timestamp", "received_at", "receivedAt", "completedAt", "completed_at", "created_at", "started_at"),
        *("model", "version", "deployment", "metrics", "source", "line"),
        *INVOCATIONS.names,
    )
)
ENTRY_KEYS = frozenset(("insertId", "logName", "resource", "timestamp", "receiveTimestamp", "severity", "trace", "spanId"))
ENTRY_LABELS = frozenset(("instanceId", "replica_id"))
# What may stand before a JSON object: times, levels, ids, and the marks between them.
_PREFIX = re.compile(r"[\w:.,+|\[\] \t-]{0,120}", re.ASCII)


def redacted(
    events: Iterable[RawEvent], *, parse: Callable[[RawEvent], Any], framework: Callable[[str], bool] = lambda _: False
) -> Iterator[RawEvent]:
    """
    The events as the raw store is to keep them; identities, times and copies stay.

    Args:
        parse: the platform's, with its endpoint bound.
        framework: whether a line is a serving framework's own, with a user's words nowhere in it.
    """
    for event in events:
        yield _redacted(event, parse, framework)


def reading(collector: Any) -> Any:
    """A collector that knows the outcomes of redacted lines, which are written in them, and parses all others as before."""

    def parse(event: RawEvent, endpoint: Any) -> Any:
        return outcome(event) or collector.parse(event, endpoint)

    def parse_batch(batch: list[RawEvent], endpoint: Any) -> list[Any]:
        known = [outcome(event) for event in batch]
        if not any(known):
            return collector.parse_batch(batch, endpoint)
        others = iter(collector.parse_batch([e for e, k in zip(batch, known, strict=True) if k is None], endpoint))
        return [next(others) if k is None else k for k in known]

    rest = {name: getattr(collector, name) for name in dir(collector) if not name.startswith("__")}
    batched = {"parse_batch": parse_batch} if hasattr(collector, "parse_batch") else {}
    return SimpleNamespace(**{**rest, "parse": parse, **batched})


def outcome(event: RawEvent) -> Ignored | Rejected | None:
    """What a redacted line was judged to be before it was redacted; None for any other event."""
    payload = event.payload
    if type(payload) is not dict or KEY not in payload:
        return None
    kept = payload[KEY]
    if not isinstance(kept, dict) or not isinstance(kept.get("reason"), str):
        return Rejected(reason="not_redactable")
    return Rejected(reason=kept["reason"]) if kept.get("outcome") == "rejected" else Ignored(reason=kept["reason"])


def _redacted(event: RawEvent, parse: Callable[[RawEvent], Any], framework: Callable[[str], bool]) -> RawEvent:
    judged = parse(event)
    if isinstance(judged, Rejected):
        return _hashed(event, judged)
    if isinstance(judged, Ignored):
        return event if judged.reason in PLATFORM_REASONS else _hashed(event, judged)
    for payload in _candidates(event.payload, getattr(judged, "fields", None), framework):
        candidate = replace(event, payload=payload)
        if parse(candidate) == judged:
            return candidate
    return _hashed(event, Rejected(reason="not_redactable"))


def _candidates(
    payload: str | dict[str, Any], fields: Mapping[str, Any] | None, framework: Callable[[str], bool]
) -> Iterator[str | dict[str, Any]]:
    """What may stand for a line that says something, the least first."""
    if fields is not None:
        yield _with_fields(payload, fields)
        if isinstance(payload, str):
            if framework(payload):
                yield payload
        elif isinstance(said := payload.get("textPayload"), str) and framework(said):
            yield {**_entry(payload), "textPayload": said}
    else:
        yield _allowed(payload, OBJECT_KEYS)
        yield _allowed(payload, OBJECT_KEYS | {"message"})


def _hashed(event: RawEvent, judged: Ignored | Rejected) -> RawEvent:
    text = event.payload if isinstance(event.payload, str) else json.dumps(event.payload, sort_keys=True, default=str)
    data = text.encode("utf-8", "backslashreplace")
    kind = "rejected" if isinstance(judged, Rejected) else "ignored"
    kept = {"outcome": kind, "reason": judged.reason, "length": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    return replace(event, payload={KEY: kept})


def _with_fields(payload: str | dict[str, Any], fields: Mapping[str, Any]) -> str | dict[str, Any]:
    """A handler line of our own with these fields, in the wrapping it came in."""
    line: dict[str, Any] = {handler_line.MARK: handler_line.VERSION}
    for name in handler_line.FIELDS:
        if name in fields:
            line[name] = fields[name].isoformat() if isinstance(fields[name], datetime) else fields[name]
    text = json.dumps(line, separators=(",", ":"))
    if isinstance(payload, str):
        return text
    if "logName" in payload:
        return {**_entry(payload), "jsonPayload": line}
    if isinstance(payload.get("line"), str):
        return {**{k: v for k, v in payload.items() if k in ("ts", "source")}, "line": text}
    return line


def _entry(payload: dict[str, Any]) -> dict[str, Any]:
    """Of a log entry what surrounds its payload."""
    labels = payload.get("labels")
    kept = {k: v for k, v in payload.items() if k in ENTRY_KEYS}
    return {**kept, "labels": {k: v for k, v in labels.items() if k in ENTRY_LABELS}} if isinstance(labels, dict) else kept


def _allowed(payload: str | dict[str, Any], keys: frozenset[str]) -> str | dict[str, Any]:
    """A platform's line whole; of an object, the keys that are known."""
    if not isinstance(payload, str):
        return _known_keys(payload, keys)
    start = payload.find("{")
    try:
        data = orjson.loads(payload[start:]) if start >= 0 else None
    except orjson.JSONDecodeError:
        data = None
    if not isinstance(data, dict):
        return payload
    prefix = payload[:start] if _PREFIX.fullmatch(payload[:start]) else ""
    return prefix + orjson.dumps(_known_keys(data, keys)).decode()


def _known_keys(data: dict[str, Any], keys: frozenset[str]) -> dict[str, Any]:
    kind = data.get("type")
    if "logName" in data or (isinstance(kind, str) and kind.startswith("platform.")):
        return data
    kept = {k: v for k, v in data.items() if k in keys}
    if isinstance(kept.get("line"), str):
        kept["line"] = _allowed(kept["line"], keys)
    if isinstance(kept.get("metrics"), dict):
        # What should be a number and is none stays what it is: none.
        kept["metrics"] = {k: v if isinstance(v, int | float) else "" for k, v in kept["metrics"].items()}
    return kept
