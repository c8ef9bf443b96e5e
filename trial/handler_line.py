"""
The handler line: one JSON line per request, printed by the inference handler, because no platform logs GPU milliseconds.

This file needs nothing but the standard library. Copy it into the image of your model and use it either way:

    from handler_line import record, timed

    @timed                                # a handler(event, context) of AWS Lambda, or handler(job) of RunPod
    def handler(event, context):
        return model(event)

    with record(request_id) as line:      # anywhere else
        answer = model(request)
        line["gpu_ms"], line["gpu_ms_source"] = elapsed, "cuda_event"

The same file is the definition every parser reads: `read` turns one JSON object into the known fields and nothing else.
Units: *_ms in milliseconds. Without a CUDA event, gpu_ms is the handler's wall time and gpu_ms_source says "handler_wall".
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

VERSION = 1
MARK = "fortnight"

# name -> the types JSON may carry it in. Floats are welcome for ints: gRPC's Struct knows no other number.
FIELDS: dict[str, tuple[type, ...]] = {
    "request_id": (str,),
    "gpu_ms": (float, int),
    "gpu_ms_source": (str,),
    "handler_ms": (float, int),
    "load_ms": (float, int),
    "cold_start": (bool,),
    "process_start": (str,),
    "ts": (str,),
    "instance": (str,),
    "model": (str,),
    "synthetic": (bool,),
    "input_tokens": (int, float),
    "output_tokens": (int, float),
    "ttft_ms": (float, int),
}
GPU_MS_SOURCES = ("cuda_event", "handler_wall")
_NUMBERS = ("gpu_ms", "handler_ms", "load_ms", "input_tokens", "output_tokens", "ttft_ms")
_COUNTS = ("input_tokens", "output_tokens")
_TIMES = ("process_start", "ts")
_LARGEST = 2**53  # beyond, floats skip whole numbers, and columns of 64 bits are near their end

_PROCESS_START = datetime.now(UTC)
_first = True


def is_line(data: Mapping[str, Any]) -> bool:
    """Whether a JSON object claims to be a handler line."""
    return MARK in data


def read(data: Mapping[str, Any]) -> dict[str, Any]:
    """
    The known fields of one handler line, typed; unknown fields are dropped, null ones too.

    Returns:
        a dict with a subset of FIELDS; "ts" and "process_start" as aware datetimes, token counts as int.

    Raises:
        ValueError: another version, a field of the wrong type, a negative or non-finite number, a time without a zone.
    """
    if data.get(MARK) != VERSION:
        raise ValueError(f"handler line version {data.get(MARK)!r}, this reader knows {VERSION}")
    line: dict[str, Any] = {}
    for name, types in FIELDS.items():
        value = data.get(name)
        if value is None:
            continue
        if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
            raise ValueError(f"handler line field {name} is {type(value).__name__}, expected {types[0].__name__}")
        line[name] = value
    for name in _NUMBERS:
        if name in line and not 0 <= line[name] <= _LARGEST:
            raise ValueError(f"handler line field {name} is {line[name]!r:.40}, expected a finite number from 0 to {_LARGEST}")
    for name in _COUNTS:
        if name in line:
            if line[name] != int(line[name]):
                raise ValueError(f"handler line field {name} is {line[name]!r}, expected a whole number")
            line[name] = int(line[name])
    for name in _TIMES:
        if name in line:
            at = datetime.fromisoformat(line[name])
            if at.utcoffset() is None:
                raise ValueError(f"handler line field {name} is {line[name]!r}, without a time zone")
            line[name] = at.astimezone(UTC)
    source = line.get("gpu_ms_source")
    if source is not None and source not in GPU_MS_SOURCES:
        raise ValueError(f"handler line field gpu_ms_source is {source!r}, expected one of {', '.join(GPU_MS_SOURCES)}")
    return line


@contextlib.contextmanager
def record(request_id: str, **fields: Any) -> Iterator[dict[str, Any]]:
    """
    Measures the block and prints its handler line, also when the block raises.

    Args:
        request_id: the platform's id: context.aws_request_id, the trace id of X-Cloud-Trace-Context, or job["id"].
        fields: any of FIELDS known beforehand, for example model="summariser-7b" or synthetic=True.

    Yields:
        the line as a dict, to put gpu_ms, gpu_ms_source, load_ms, token counts or ttft_ms into.
    """
    global _first
    cold, _first = _first, False
    line: dict[str, Any] = {MARK: VERSION, "request_id": request_id, "cold_start": cold, **fields}
    began = time.perf_counter()
    try:
        yield line
    finally:
        wall_ms = (time.perf_counter() - began) * 1000
        line.setdefault("handler_ms", round(wall_ms, 3))
        if "gpu_ms" not in line:
            line["gpu_ms"], line["gpu_ms_source"] = line["handler_ms"], "handler_wall"
        line.setdefault("process_start", _stamp(_PROCESS_START))
        line.setdefault("ts", _stamp(datetime.now(UTC)))
        line.setdefault("instance", _instance())
        sys.stdout.write(json.dumps(line, separators=(",", ":")) + "\n")
        sys.stdout.flush()


def timed(handler: Callable[..., Any]) -> Callable[..., Any]:
    """Decorates handler(event, context) of AWS Lambda or handler(job) of RunPod."""

    @functools.wraps(handler)
    def wrapper(event: Any, context: Any = None) -> Any:
        args = (event,) if context is None else (event, context)
        with record(_request_id(event, context)):
            return handler(*args)

    return wrapper


def _request_id(event: Any, context: Any) -> str:
    if context is not None:
        return str(context.aws_request_id)
    return str(event["id"]) if isinstance(event, dict) and "id" in event else ""


def _instance() -> str:
    return os.environ.get("AWS_LAMBDA_LOG_STREAM_NAME") or os.environ.get("RUNPOD_POD_ID") or os.environ.get("HOSTNAME", "")


def _stamp(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
