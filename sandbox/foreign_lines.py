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


def foreign_lines(plan: Plan, request: Served, *, instance: str) -> list[str]:
    """The lines of a request whose case asks for another format; none where none does."""
    cases = request.arrival.cases
    if "powertools-line" in cases:
        return [_dumps({**_powertools(request), "message": "inference done", **_figures(plan, request)})]
    if "dict-message" in cases:
        return [_dumps({**_powertools(request), "message": {"event": "inference done", **_figures(plan, request)}})]
    if "emf-line" in cases:
        return [_dumps(_emf(request))]
    if "otel-line" in cases:
        return [_dumps(_otel(request, instance))]
    if "own-json" in cases:
        return [_dumps({"event": "done", "ctx": {"id": request.request_id}, "timings": {"gpu_s": request.gpu_us / SECOND}})]
    if "torchserve-line" in cases:
        return _torchserve(plan, request)
    if "bentoml-line" in cases:
        return [_bentoml(plan, request)]
    return []


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


def _torchserve(plan: Plan, request: Served) -> list[str]:
    """The handler's time, what the front end prints of the same message, and the prediction's time."""
    said, worker = f"{iso_us(request.ended_us)[:-4].replace('.', ',')} [INFO ]", "W-9000-summariser_1.0"
    named = f"requestID:{request.number:08x}-1c2d,timestamp:{request.ended_us // SECOND}"
    tags = f"#ModelName:{plan.model},Level:Model|#hostname:169.254.76.1,{named}"
    handler_ms = f"{request.gpu_us / MS:.3f}"
    return [
        f"{said} {worker}-stdout MODEL_METRICS - HandlerTime.ms:{handler_ms}|{tags}",
        f"{said} {worker} org.pytorch.serve.wlm.WorkerLifeCycle - result=[METRICS]HandlerTime.Milliseconds:{handler_ms}|{tags}",
        f"{said} {worker}-stdout MODEL_METRICS - PredictionTime.ms:{request.gpu_us / MS + 0.4:.3f}|{tags}",
    ]


def _bentoml(plan: Plan, request: Served) -> str:
    asked = "(scheme=http,method=POST,path=/summarise,type=application/json,length=911)"
    trace = f"(trace={request.number + 1:032x},span=00f067aa0ba902b7,sampled=0,service.name=Summariser)"
    answer = "(status=200,type=application/json,length=377)"
    return (
        f"{iso_us(request.ended_us)[:19]}+0000 [INFO] [entry_service:{plan.model}:1] 127.0.0.1:59474 {asked} {answer} "
        f"{request.gpu_us / MS:.3f}ms {trace}"
    )


def _dumps(line: dict[str, Any]) -> str:
    return json.dumps(line, separators=(",", ":"))
