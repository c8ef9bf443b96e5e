"""
Handler lines inside log payloads, in every wrapping users have: the one definition all platforms' parsers share.

Read are the project's own line (trial.handler_line), Powertools logger lines and EMF metrics, OpenTelemetry's `faas.*`
attributes, and any JSON through an endpoint's `fields`: handler field -> dotted path, optionally with a unit or a constant:

    fields = { gpu_ms = "timings.gpu_s|s", request_id = "ctx.id", gpu_ms_source = "=cuda_event" }
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated, Any, Literal

import msgspec
import orjson

from collectors.json_text import loads
from trial import handler_line

Fields = dict[str, Any]

# Only these make a mapped object a handler line: an id and a time alone stand on every application line.
MEASURES = frozenset({"gpu_ms", "handler_ms", "load_ms", "cold_start", "ttft_ms", "input_tokens", "output_tokens", "synthetic"})
# A month: no platform lets a request or a start take as long, and a time that is so far off leaves the calendar.
LONGEST_MS = 30 * 86_400_000.0
OUTER_REQUEST_IDS = ("request_id", "requestId", "function_request_id", "AWSRequestId", "aws_request_id", "RequestId")

_MS_PER = {"ms": 1.0, "s": 1000.0, "us": 0.001, "ns": 0.000001}
_TIMES = frozenset({"ts", "process_start"})
_BOOLS = frozenset({"cold_start", "synthetic"})
_TEXTS = frozenset({"request_id", "gpu_ms_source", "instance", "model"})


def handler_fields(payload: str | Mapping[str, Any], endpoint: Any) -> Fields | None:
    """
    The handler-line fields a log payload carries, typed as trial.handler_line.read types them.

    A `gpu_ms` without a source is labelled handler_wall: it was measured in the handler, and claims no more than that.
    A payload that matches the endpoint's keep_warm.payload carries synthetic = True even if it says nothing else.

    Args:
        payload: the text of a log line, or the object of a structured entry.
        endpoint: an [[endpoints]] table; its `fields` and `keep_warm` are looked at.

    Returns:
        a non-empty dict with a subset of handler_line.FIELDS, or None where the payload is no handler line.

    Raises:
        ValueError: it claims to be a handler line and is broken.
    """
    data = _decoded(payload) if isinstance(payload, str) else payload
    found = _from_object(data, endpoint) if data is not None else None
    pattern = endpoint.keep_warm.payload if endpoint.keep_warm else None
    if pattern is not None:
        text = payload if isinstance(payload, str) else _as_text(payload)
        if _compiled(pattern).search(text):
            found = {**(found or _outer_id(data)), "synthetic": True}
    if found and "gpu_ms" in found:
        found.setdefault("gpu_ms_source", "handler_wall")
    return found or None


def impossible(found: Fields) -> str | None:
    """What of these fields is well-formed and cannot be: it would throw the request's own time out of the calendar."""
    for name in ("gpu_ms", "handler_ms", "load_ms", "ttft_ms"):
        if found.get(name, 0) > LONGEST_MS:
            return f"{name} is {found[name]:.6g}, more than 30 days"
    for name in ("ts", "process_start"):
        if name in found and not 2000 <= found[name].year < 2200:
            return f"{name} is in the year {found[name].year}"
    return None


def _decoded(text: str) -> Mapping[str, Any] | None:
    start = text.find("{")
    if start < 0:
        return None
    # A logging prefix before the object is common for our own line; other formats are objects from their first character.
    ours = handler_line.MARK in text
    if start > 0 and not ours and text[:start].strip():
        return None
    try:
        data = loads(text[start:] if start else text)
    except orjson.JSONDecodeError as exc:
        if ours and ('{"fortnight":' in text or '\\"fortnight\\":' in text):
            raise ValueError(f"handler line is not JSON: {exc}") from exc
        return None
    return data if type(data) is dict else None


def _from_object(data: Mapping[str, Any], endpoint: Any) -> Fields | None:
    if handler_line.MARK in data:
        return handler_line.read(data)
    if endpoint.fields:
        mapped = _from_map(data, endpoint.fields)
        if mapped is not None:
            return mapped
    inner = data.get("message")
    if type(inner) is str:
        inner = _inner_object(inner)
    if isinstance(inner, Mapping) and handler_line.MARK in inner:
        return {**_outer_id(data), **handler_line.read(inner)}
    if "_aws" in data:
        return _from_emf(data)
    if "function_request_id" in data or ("cold_start" in data and "function_name" in data):
        return _from_powertools(data, inner)
    return _from_otel(data)


_Ms = Annotated[float, msgspec.Meta(ge=0, le=2**53)]
_Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]


class OwnLine(msgspec.Struct, gc=False, kw_only=True, omit_defaults=True):
    """Our own line as its writer prints it, decoded and checked in one go; the fields of trial.handler_line. See own_line."""

    fortnight: Literal[1]
    request_id: str | None = None
    cold_start: bool | None = None
    model: str | None = None
    gpu_ms: _Ms | None = None
    gpu_ms_source: Literal["cuda_event", "handler_wall"] | None = None
    handler_ms: _Ms | None = None
    input_tokens: _Count | None = None
    output_tokens: _Count | None = None
    process_start: Any = None
    ts: Any = None
    instance: str | None = None
    load_ms: _Ms | None = None
    ttft_ms: _Ms | None = None
    synthetic: bool | None = None
    type: Any = None

    @property
    def fields(self) -> Fields:
        """What handler_fields would have given."""
        found: Fields = msgspec.to_builtins(self, builtin_types=(datetime,))
        del found["fortnight"]
        return found


_iso = datetime.fromisoformat
_decode_own = msgspec.json.Decoder(OwnLine).decode


def own_line(text: str) -> OwnLine | None:
    """
    As handler_fields on a text that begins as our own line does, several times as fast; None where it is odd in any way.

    Odd is whatever needs handler_fields to judge it: broken, or merely unusual.
    """
    try:
        line = _decode_own(text)
        if line.ts is not None:
            line.ts = at = _iso(line.ts)
            if at.tzinfo is not UTC:
                return None
        if line.process_start is not None:
            line.process_start = at = _iso(line.process_start)
            if at.tzinfo is not UTC:
                return None
    except (msgspec.MsgspecError, ValueError, TypeError, RecursionError):
        return None
    if line.request_id is None or line.type is not None:
        return None
    if line.gpu_ms is not None and line.gpu_ms_source is None:
        line.gpu_ms_source = "handler_wall"
    return line


def _inner_object(text: str) -> Any:
    if handler_line.MARK not in text or not text.lstrip().startswith("{"):
        return None
    try:
        return loads(text)
    except orjson.JSONDecodeError as exc:
        if '{"fortnight":' in text:
            raise ValueError(f"handler line is not JSON: {exc}") from exc
        return None


def _outer_id(data: Any) -> Fields:
    """The request id that a wrapping (Lambda's JSON logging, Powertools) puts beside the message."""
    if isinstance(data, Mapping):
        for name in OUTER_REQUEST_IDS:
            if isinstance(data.get(name), str):
                return {"request_id": data[name]}
    return {}


def _from_powertools(data: Mapping[str, Any], inner: Any) -> Fields | None:
    """Powertools' logger: extra keys keep their names; they stand beside `message`, or inside it where it is a dict."""
    raw: Fields = {name: data[name] for name in MEASURES if name in data}
    for name in ("gpu_ms_source", "model"):
        if isinstance(data.get(name), str):
            raw[name] = data[name]
    if isinstance(inner, Mapping):
        raw = {**{name: inner[name] for name in (*MEASURES, "gpu_ms_source", "model") if name in inner}, **raw}
    if not MEASURES & raw.keys():
        return None
    at = _instant(data.get("timestamp"))
    return _typed({**_outer_id(data), **raw, **({"ts": at} if at else {})})


# Metric names as users write them, without case and separators.
_EMF_NAMES = {
    "coldstart": "cold_start",
    "gpums": "gpu_ms",
    "gputime": "gpu_ms",
    "handlerms": "handler_ms",
    "handlertime": "handler_ms",
    "loadms": "load_ms",
    "modelloadms": "load_ms",
    "modelloadtime": "load_ms",
    "ttftms": "ttft_ms",
    "timetofirsttoken": "ttft_ms",
    "inputtokens": "input_tokens",
    "outputtokens": "output_tokens",
}
_EMF_MS_PER = {"Milliseconds": 1.0, "Seconds": 1000.0, "Microseconds": 0.001}


def _from_emf(data: Mapping[str, Any]) -> Fields | None:
    """
    Embedded metric format: units as declared, lists summed (several values flushed for one request).

    Raises:
        ValueError: a known metric in a unit that cannot be what it measures.
    """
    aws = data["_aws"]
    directives = aws.get("CloudWatchMetrics") if isinstance(aws, Mapping) else None
    raw: Fields = {}
    for directive in directives if isinstance(directives, list) else []:
        metrics = directive.get("Metrics") if isinstance(directive, Mapping) else None
        for metric in metrics if isinstance(metrics, list) else []:
            name = metric.get("Name") if isinstance(metric, Mapping) else None
            if not isinstance(name, str) or data.get(name) is None:
                continue
            field = _EMF_NAMES.get(re.sub(r"[^a-z]", "", name.lower()))
            if field is not None:
                raw[field] = _emf_value(field, name, metric.get("Unit"), data[name])
    if not raw:
        return None
    at = _instant(aws.get("Timestamp"))
    for name in ("model", "gpu_ms_source"):
        if isinstance(data.get(name), str):
            raw[name] = data[name]
    return _typed({**_outer_id(data), **raw, **({"ts": at} if at else {})})


def _emf_value(field: str, name: str, unit: Any, value: Any) -> Any:
    values = value if isinstance(value, list) else [value]
    if not values or not all(isinstance(v, int | float) and not isinstance(v, bool) and abs(v) < 1e18 for v in values):
        raise ValueError(f"EMF metric {name} is {value!r:.60}, expected numbers")
    if field == "cold_start":
        return any(values)
    if not field.endswith("_ms"):
        return sum(values)
    if unit in (None, "None") and field.removesuffix("_ms") + "ms" in name.lower().replace("_", ""):
        return sum(values)
    if not isinstance(unit, str) or unit not in _EMF_MS_PER:
        raise ValueError(f"EMF metric {name} has unit {unit!r}, expected one of {', '.join(_EMF_MS_PER)}")
    return sum(values) * _EMF_MS_PER[unit]


_OTEL = {"faas.coldstart": "cold_start", "faas.invocation_id": "request_id", "faas.instance": "instance"}


def _from_otel(data: Mapping[str, Any]) -> Fields | None:
    """OpenTelemetry's faas attributes: flat, nested, under `attributes`, or as OTLP's key/value list; resource ones too."""
    raw: Fields = {}
    for holder in (_at(data, "resource.attributes"), data.get("resource"), data, data.get("attributes")):
        if isinstance(holder, list):
            pairs = [item for item in holder if isinstance(item, Mapping) and isinstance(item.get("key"), str)]
            holder = {item["key"]: _otlp_value(item.get("value")) for item in pairs}
        if isinstance(holder, Mapping):
            for path, field in _OTEL.items():
                value = _at(holder, path)
                if value is not None:
                    raw[field] = value
    return _typed({**_outer_id(data), **raw}) if "cold_start" in raw else None


def _otlp_value(value: Any) -> Any:
    return next(iter(value.values()), None) if isinstance(value, Mapping) else value


def _from_map(data: Mapping[str, Any], paths: Mapping[str, str]) -> Fields | None:
    raw: Fields = {}
    constants: Fields = {}
    for field, spec in paths.items():
        if spec.startswith("="):
            constants[field] = spec[1:]
            continue
        path, _, unit = spec.partition("|")
        value = _at(data, path.strip())
        if value is None:
            continue
        raw[field] = value if not unit or field in _TEXTS else _scaled(field, value, unit.strip())
    return _typed({**_outer_id(data), **constants, **raw}) if MEASURES & raw.keys() else None


def _scaled(field: str, value: Any, unit: str) -> float:
    if unit not in _MS_PER:
        raise ValueError(f"field map of {field}: unit {unit!r}, expected one of {', '.join(_MS_PER)}")
    number = _number(value)
    if not isinstance(number, int | float) or isinstance(number, bool) or abs(number) > 1e18:
        raise ValueError(f"field map of {field}: {value!r:.60} is not a number")
    return number * _MS_PER[unit]


def _at(data: Any, path: str) -> Any:
    """The value at a dotted path; keys may themselves contain dots, and digits index lists."""
    if isinstance(data, Mapping):
        if path in data:
            return data[path]
        head, dot, rest = path.partition(".")
        while dot:
            if head in data:
                found = _at(data[head], rest)
                if found is not None:
                    return found
            more, dot, rest = rest.partition(".")
            head = f"{head}.{more}"
        return None
    if isinstance(data, list):
        head, dot, rest = path.partition(".")
        if head.isdecimal() and int(head) < len(data):
            return _at(data[int(head)], rest) if dot else data[int(head)]
    return None


def _typed(raw: Fields) -> Fields | None:
    """Foreign values coerced where that loses nothing, then held to the same rules as our own line."""
    line: Fields = {handler_line.MARK: handler_line.VERSION}
    for name, value in raw.items():
        if name not in handler_line.FIELDS or value is None:
            continue
        if name in _TIMES:
            at = _instant(value)
            line[name] = at.isoformat() if at else value
        elif name in _BOOLS:
            line[name] = _flag(value)
        elif name in _TEXTS:
            line[name] = value if isinstance(value, str) else str(value)
        else:
            line[name] = _number(value)
    return handler_line.read(line)


def _flag(value: Any) -> Any:
    if isinstance(value, str):
        return {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}.get(value.strip().lower(), value)
    return bool(value) if value in (0, 1) else value


def _number(value: Any) -> Any:
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value


def _instant(value: Any) -> datetime | None:
    """An aware time from ISO text (Powertools' comma and +0000 too) or epoch seconds or milliseconds; None if it is neither."""
    try:
        if isinstance(value, datetime):
            return value
        if isinstance(value, str):
            at = datetime.fromisoformat(value)
            return at if at.tzinfo else None
        if isinstance(value, int | float) and not isinstance(value, bool):
            return datetime.fromtimestamp(value / 1000 if value > 1e11 else value, UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return None


def _as_text(data: Mapping[str, Any]) -> str:
    # Not orjson: objects that came through gRPC may hold whole numbers over 64 bits.
    try:
        return json.dumps(data, default=str, separators=(",", ":"), ensure_ascii=False)
    except RecursionError as exc:
        raise ValueError("nested too deeply") from exc


@lru_cache(maxsize=64)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)
