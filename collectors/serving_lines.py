"""Log lines that serving frameworks print anyway, read as handler lines: TorchServe's metrics and BentoML's access log."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from trial.records import Ignored, Status

# <time> [INFO ] W-9014-pose_1.0-stdout MODEL_METRICS - HandlerTime.ms:127.81|#ModelName:pose|#hostname:h,requestID:x,timestamp:y
_TORCHSERVE = re.compile(
    r"(?P<logger>MODEL_METRICS|TS_METRICS) - (?P<name>[A-Za-z_]\w*)\.(?P<unit>[A-Za-z]+):(?P<value>[^|\s]+)\|(?P<tags>[^\r\n]*)"
)
_TAG = re.compile(r"(?:^|[,#|])([A-Za-z]+):([^,|#]*)")
_ECHO = re.compile(r"WorkerLifeCycle - result=\[METRICS\]")
_ACCESS = re.compile(r"ACCESS_LOG - \S* ?\"[A-Z]+ ")
_TO_MS = {"ms": 1.0, "milliseconds": 1.0, "microseconds": 0.001, "us": 0.001, "seconds": 1000.0, "s": 1000.0}
# What each metric is of the request; all are wall times in the backend, per batch and repeated for each request in it.
_PER_REQUEST = {"PredictionTime": "handler_ms", "HandlerTime": "gpu_ms", "ts_handler_inference": "gpu_ms"}

# <time> [INFO] [entry_service:Acme:1] 127.0.0.1:59474 (scheme=http,method=POST,path=/generate,...) (status=200,...) 1357.973ms (trace=...)
_BENTOML = re.compile(
    r"(?:(?P<time>\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:[+-]\d\d:?\d\d|Z)?) )?\[[A-Z]+\] \[(?P<component>[^\]]*)\] "
    r"(?:\S+ )?\((?P<request>scheme=[^)]*)\) \((?P<answer>status=[^)]*)\) (?P<ms>[^ ]+)ms(?: \((?P<trace>trace=[^)]*)\))?"
)
_HEALTH_PATHS = frozenset(("/healthz", "/livez", "/readyz", "/metrics", "/ping", "/health"))


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingLine:
    """
    What a framework's line says.

    Args:
        kind: "request", or "worker_start" where it tells how long a worker took to load its model.
        fields: names and types of trial.handler_line.FIELDS; a request's lines may each hold a part of them.
        foreign_id: the request_id is the framework's own, which no platform knows.
    """

    kind: Literal["request", "worker_start"]
    fields: dict[str, Any] = field(default_factory=dict)
    status: Status = "ok"
    foreign_id: bool = True


def read_serving_line(text: str) -> ServingLine | Ignored | None:
    """
    Returns:
        the line's fields; Ignored for a framework line that says nothing of its own about a request (TorchServe prints each
        measurement a second time); None where it is no framework's line.

    Raises:
        ValueError: a framework's measurement that is broken.
    """
    if "_METRICS - " in text and (found := _TORCHSERVE.search(text)):
        return _torchserve(found)
    if "result=[METRICS]" in text and _ECHO.search(text):
        return Ignored(reason="torchserve_echo")
    if "ACCESS_LOG - " in text and _ACCESS.search(text):
        return Ignored(reason="torchserve_access")
    if "(scheme=" in text and (found := _BENTOML.search(text)):
        return _bentoml(found)
    return None


def request_fields(text: str) -> dict[str, Any] | Ignored | None:
    """
    As read_serving_line, where a request takes one line: of TorchServe's parts it is the handler's time, and handler_ms with it.

    Raises:
        ValueError: a framework's measurement that is broken.
    """
    line = read_serving_line(text)
    if not isinstance(line, ServingLine):
        return line
    if line.kind == "worker_start":
        return Ignored(reason="worker_start")
    if "gpu_ms" not in line.fields:
        return Ignored(reason="torchserve_part")
    return {"handler_ms": line.fields["gpu_ms"], **line.fields}


def is_serving_line(text: str) -> bool:
    """Whether a serving framework wrote it."""
    try:
        return read_serving_line(text) is not None
    except ValueError:
        return True


def _torchserve(found: re.Match[str]) -> ServingLine | Ignored:
    name, tags = found["name"], dict(_TAG.findall(found["tags"]))
    per_request = _PER_REQUEST.get(name)
    if per_request is None and name != "WorkerLoadTime":
        return Ignored(reason="torchserve_metric")
    ms = _ms(found["value"], found["unit"], name)
    fields: dict[str, Any] = {}
    if (at := _epoch(tags.get("timestamp"))) is not None:
        fields["ts"] = at
    if per_request is None:
        return ServingLine(kind="worker_start", fields={**fields, "load_ms": ms})
    if not tags.get("requestID"):
        raise ValueError(f"TorchServe's {name} without requestID")
    fields["request_id"] = tags["requestID"]
    fields[per_request] = ms
    if per_request == "gpu_ms":
        fields["gpu_ms_source"] = "handler_wall"
    if tags.get("ModelName"):
        fields["model"] = tags["ModelName"]
    return ServingLine(kind="request", fields=fields)


def _bentoml(found: re.Match[str]) -> ServingLine | Ignored:
    if found["component"].startswith("runner:"):
        return Ignored(reason="bentoml_runner")  # the same request again, inside
    request, answer = _pairs(found["request"]), _pairs(found["answer"])
    if request.get("path", "").rstrip("/") in _HEALTH_PATHS:
        return Ignored(reason="health_check")
    ms = _ms(found["ms"], "ms", "latency")
    fields: dict[str, Any] = {"handler_ms": ms, "gpu_ms": ms, "gpu_ms_source": "platform_wall"}
    # Without a zone the time is some container's local one, and no better than the log's own.
    if (at := _zoned(found["time"])) is not None:
        fields["ts"] = at
    trace = _pairs(found["trace"] or "").get("trace")
    if trace and set(trace) != {"0"}:
        fields["request_id"] = trace
    parts = found["component"].split(":")
    if len(parts) == 3 and parts[1]:
        fields["model"] = parts[1]
    status = answer.get("status", "")
    failed = status.isdigit() and int(status) >= 500
    return ServingLine(kind="request", fields=fields, status="throttled" if status == "429" else "error" if failed else "ok")


def _pairs(text: str) -> dict[str, str]:
    return dict(part.split("=", 1) for part in text.split(",") if "=" in part)


def _ms(value: str, unit: str, name: str) -> float:
    scale = _TO_MS.get(unit.lower())
    if scale is None:
        raise ValueError(f"{name} has unit {unit[:20]!r}, expected ms, Milliseconds or another time")
    try:
        ms = float(value) * scale
    except ValueError:
        raise ValueError(f"{name} is {value[:40]!r}, expected a number") from None
    if not 0 <= ms <= 30 * 86_400_000 or math.isnan(ms):
        raise ValueError(f"{name} is {value[:40]}, expected a duration")
    return ms


def _epoch(value: str | None) -> datetime | None:
    if value is None or not value.isdigit() or len(value) not in (10, 13):
        return None
    return datetime.fromtimestamp(int(value) / (1000 if len(value) == 13 else 1), UTC)


def _zoned(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text.replace(",", "."))
        return at.astimezone(UTC) if at.utcoffset() is not None else None
    except (ValueError, OverflowError):
        return None
