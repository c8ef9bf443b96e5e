"""Lambda's JSON system logs: platform.* events with `time`, application records with `timestamp`."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from sandbox.happened import Served
from sandbox.instants import MS, iso_ms
from sandbox.lambda_report import Report

_ARN = "arn:aws:lambda:us-east-1::runtime:5d1c1b0f9f6a4d6e8a5b2c7e9d3f1a0b4c6d8e2f7a9b1c3d5e7f9a0b2c4d6e8f"


def init_start(at_us: int, kind: str, version: str) -> str:
    record = {
        "initializationType": kind,
        "phase": "init",
        "runtimeVersion": "python:3.12.v38",
        "runtimeVersionArn": _ARN,
        "functionName": "summariser",
        "functionVersion": version,
    }
    return _platform(at_us, "initStart", record)


def extension_line(at_us: int) -> str:
    return _platform(at_us, "extension", {"name": "telemetry-agent", "state": "Ready", "events": ["INVOKE", "SHUTDOWN"]})


def init_report(at_us: int, duration_us: int, kind: str, phase: str, status: str) -> str:
    record: dict[str, Any] = {"initializationType": kind, "phase": phase, "status": status}
    if status == "error":
        record["errorType"] = "Runtime.Unknown"
    return _platform(at_us, "initReport", {**record, "metrics": {"durationMs": duration_us / MS}})


def restore_start(at_us: int) -> str:
    return _platform(at_us, "restoreStart", {})


def restore_report(at_us: int, duration_us: int) -> str:
    return _platform(at_us, "restoreReport", {"status": "success", "metrics": {"durationMs": duration_us / MS}})


def start(at_us: int, request_id: str, version: str) -> str:
    return _platform(at_us, "start", {"requestId": request_id, "version": version})


def application(at_us: int, request_id: str, message: str) -> str:
    return _line({"timestamp": iso_ms(at_us), "level": "INFO", "requestId": request_id, "message": message})


def traceback(at_us: int, request_id: str) -> str:
    record = {"timestamp": iso_ms(at_us), "level": "ERROR", "requestId": request_id, "message": "slow tokenizer"}
    return _line({**record, "stackTrace": ['  File "/var/task/app.py", line 41']})


def runtime_exited(_at_us: int, request_id: str) -> str:
    # Written by the runtime interface, not by the function's logger: plain text in a JSON stream.
    return f"RequestId: {request_id} Error: Runtime exited with error: signal: killed\nRuntime.ExitError\n"


def end(at_us: int, request: Served) -> str:
    record: dict[str, Any] = {"requestId": request.request_id, "status": _status(request.fate)}
    spans = [{"name": "responseLatency", "start": iso_ms(request.taken_us), "durationMs": request.handler_us / MS}]
    return _platform(
        at_us, "runtimeDone", {**record, "spans": spans, "metrics": {"durationMs": request.handler_us / MS, "producedBytes": 811}}
    )


def report(at_us: int, request: Served, figures: Report, *, xray: bool, rng: np.random.Generator) -> str:
    metrics: dict[str, Any] = {
        "durationMs": figures.duration_us / MS,
        "billedDurationMs": figures.billed_ms,
        "memorySizeMB": figures.memory_mb,
        "maxMemoryUsedMB": figures.max_memory_mb,
    }
    if figures.init_us is not None:
        metrics["initDurationMs"] = figures.init_us / MS
    if figures.restore_us is not None:
        metrics |= {"restoreDurationMs": figures.restore_us / MS, "billedRestoreDurationMs": figures.billed_restore_ms}
    record: dict[str, Any] = {"requestId": request.request_id, "metrics": metrics}
    if xray:
        root = f"Root=1-{at_us // 1_000_000:08x}-{rng.bytes(12).hex()};Parent={rng.bytes(8).hex()};Sampled=1"
        record["tracing"] = {"spanId": rng.bytes(8).hex(), "type": "X-Amzn-Trace-Id", "value": root}
    record["status"] = _status(request.fate)
    if figures.error_type:
        record["errorType"] = figures.error_type
    return _platform(at_us, "report", record)


def managed_report(at_us: int, request: Served, figures: Report) -> str:
    """Managed Instances report how long it took, and nothing else."""
    spans = [{"name": "responseLatency", "start": iso_ms(request.taken_us), "durationMs": request.handler_us / MS}]
    record = {"requestId": request.request_id, "metrics": {"durationMs": figures.duration_us / MS}, "spans": spans}
    return _platform(at_us, "report", {**record, "status": _status(request.fate)})


def logs_dropped(at_us: int) -> str:
    return _platform(at_us, "logsDropped", {"reason": "BufferFull", "droppedRecords": 2, "droppedBytes": 981})


def pretty(message: str) -> str:
    return json.dumps(json.loads(message), indent=2) + "\n"


def _status(fate: str) -> str:
    return {"timeout": "timeout", "crash": "error", "out-of-memory": "error"}.get(fate, "success")


def _platform(at_us: int, kind: str, record: dict[str, Any]) -> str:
    return _line({"time": iso_ms(at_us), "type": f"platform.{kind}", "record": record})


def _line(record: dict[str, Any]) -> str:
    return json.dumps(record, separators=(",", ":")) + "\n"
