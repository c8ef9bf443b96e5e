"""The figures of a handler line as other people's tools print them."""

from __future__ import annotations

import json
from typing import Any

from sandbox.happened import Served
from sandbox.instants import MS, SECOND, iso_us, to_datetime
from sandbox.plans import Plan

# Formats that carry no GPU time.
WITHOUT_GPU_MS = frozenset(("otel-line",))
_ARN = "arn:aws:lambda:us-east-1:123456789012:function:summariser"


def foreign_line(plan: Plan, request: Served, *, instance: str) -> str | None:
    """The line of a request whose case asks for another format; None where none does."""
    cases = request.arrival.cases
    if "powertools-line" in cases:
        return _dumps({**_powertools(request), "message": "inference done", **_figures(plan, request)})
    if "dict-message" in cases:
        return _dumps({**_powertools(request), "message": {"event": "inference done", **_figures(plan, request)}})
    if "emf-line" in cases:
        return _dumps(_emf(request))
    if "otel-line" in cases:
        return _dumps(_otel(request, instance))
    return None


def _figures(plan: Plan, request: Served) -> dict[str, Any]:
    return {"gpu_ms": request.gpu_us / MS, "handler_ms": request.handler_us / MS, "model": plan.model}


def _powertools(request: Served) -> dict[str, Any]:
    at = to_datetime(request.ended_us)
    return {
        "level": "INFO",
        "location": "handler:41",
        "timestamp": f"{at:%Y-%m-%d %H:%M:%S},{at.microsecond // MS:03d}+0000",
        "service": "inference",
        "cold_start": request.first_of_process,
        "function_name": "summariser",
        "function_memory_size": 10_240,
        "function_arn": _ARN,
        "function_request_id": request.request_id,
    }


def _emf(request: Served) -> dict[str, Any]:
    metrics = [
        {"Name": "GpuMs", "Unit": "Milliseconds"},
        {"Name": "HandlerTime", "Unit": "Seconds"},
        {"Name": "ColdStart", "Unit": "Count"},
    ]
    directive = {"Namespace": "Inference", "Dimensions": [["service"]], "Metrics": metrics}
    return {
        "_aws": {"Timestamp": request.ended_us // MS, "CloudWatchMetrics": [directive]},
        "service": "inference",
        "request_id": request.request_id,
        "GpuMs": [request.gpu_us / MS],
        "HandlerTime": [request.handler_us / SECOND],
        "ColdStart": [float(request.first_of_process)],
    }


def _otel(request: Served, instance: str) -> dict[str, Any]:
    attributes = {"faas.coldstart": request.first_of_process, "faas.invocation_id": request.request_id, "faas.trigger": "http"}
    resource = {"faas.name": "summariser", "faas.instance": instance, "cloud.provider": "aws"}
    return {"timestamp": iso_us(request.ended_us), "body": "inference done", "attributes": attributes, "resource": resource}


def _dumps(line: dict[str, Any]) -> str:
    return json.dumps(line, separators=(",", ":"))
