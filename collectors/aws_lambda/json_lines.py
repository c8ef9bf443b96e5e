"""Platform events of Lambda's JSON format: {"time", "type": "platform.*", "record": {...}}."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from collectors.aws_lambda.facts import End, Init, LambdaFact, LogsDropped, Report, Start
from collectors.aws_lambda.text_lines import STATUSES
from collectors.lines import LONGEST_MS
from trial.records import Ignored, Rejected

Outcome = LambdaFact | Ignored | Rejected

PLATFORM_EVENT = Ignored(reason="platform_event")

_STEPS = {
    "platform.initStart": "init_start",
    "platform.initReport": "init_report",
    "platform.restoreStart": "restore_start",
    "platform.restoreReport": "restore_report",
}
INITIALIZATION_TYPES = frozenset({"on-demand", "provisioned-concurrency", "snap-start", "lambda-managed-instances"})


def parse_platform(kind: str, data: Mapping[str, Any], *, at: datetime, stream: str) -> Outcome:
    """
    One platform event; types this version does not know are passed over, as the platform adds them without notice.

    Rejected where an event it does know lacks what every such event has, or carries a number that cannot be one.
    """
    record = data.get("record")
    try:
        if kind == "platform.report":
            return _report(_mapping(record), at=at, stream=stream)
        if kind == "platform.start":
            return Start(at, stream, _text(_mapping(record), "requestId"))
        if kind == "platform.runtimeDone":
            return End(at, stream, _text(_mapping(record), "requestId"))
        if kind in _STEPS:
            return _init(_STEPS[kind], _mapping(record), at=at, stream=stream)
        if kind == "platform.logsDropped":
            return LogsDropped(at, stream, int(_number(_mapping(record), "droppedRecords") or 0))
    except ValueError as exc:
        return Rejected(reason="malformed_platform_event", detail=f"{kind}: {exc}")
    return PLATFORM_EVENT


def _report(record: Mapping[str, Any], *, at: datetime, stream: str) -> Report:
    metrics = record.get("metrics")
    metrics = {} if metrics is None else _mapping(metrics)
    return Report(
        at,
        stream,
        _text(record, "requestId"),
        _number(metrics, "durationMs"),
        _number(metrics, "billedDurationMs"),
        _number(metrics, "memorySizeMB"),
        _number(metrics, "maxMemoryUsedMB"),
        _number(metrics, "initDurationMs"),
        _number(metrics, "restoreDurationMs"),
        _number(metrics, "billedRestoreDurationMs"),
        _one_of(record, "status", STATUSES),
        record.get("errorType") if isinstance(record.get("errorType"), str) else None,
    )


def _init(step: str, record: Mapping[str, Any], *, at: datetime, stream: str) -> Init:
    metrics, kind = record.get("metrics"), record.get("initializationType")
    return Init(
        at,
        stream,
        step,  # type: ignore[arg-type]
        kind if isinstance(kind, str) and kind in INITIALIZATION_TYPES else None,
        _one_of(record, "phase", frozenset({"init", "invoke"})),
        _one_of(record, "status", STATUSES),
        None if metrics is None else _number(_mapping(metrics), "durationMs"),
    )


def _mapping(value: Any) -> Mapping[str, Any]:
    if type(value) is not dict:
        raise ValueError(f"expected an object, got {type(value).__name__}")
    return value


def _text(record: Mapping[str, Any], name: str) -> str:
    value = record.get(name)
    if not isinstance(value, str) or not value:
        raise ValueError(f"{name} is {value!r:.60}, expected text")
    return value


def _number(metrics: Mapping[str, Any], name: str) -> float | None:
    value = metrics.get(name)
    if value is None:
        return None
    if type(value) not in (float, int) or not 0 <= value <= LONGEST_MS:
        raise ValueError(f"{name} is {value!r:.60}, expected a number from 0 to {LONGEST_MS:.0f}")
    return float(value)


def _one_of(record: Mapping[str, Any], name: str, known: frozenset[str]) -> str | None:
    value = record.get(name)
    if value is not None and not (isinstance(value, str) and value in known):
        raise ValueError(f"{name} is {value!r:.60}, expected one of {', '.join(sorted(known))}")
    return value
