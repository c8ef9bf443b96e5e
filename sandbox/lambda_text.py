"""Lambda's text format, tabs and trailing tabs included."""

from __future__ import annotations

import numpy as np

from sandbox.happened import Served
from sandbox.instants import MS, iso_ms
from sandbox.lambda_report import Report

_ARN = "arn:aws:lambda:us-east-1::runtime:5d1c1b0f9f6a4d6e8a5b2c7e9d3f1a0b4c6d8e2f7a9b1c3d5e7f9a0b2c4d6e8f"


def init_start(_at_us: int, _kind: str, _version: str) -> str:
    return f"INIT_START Runtime Version: python:3.12.v38\tRuntime Version ARN: {_ARN}\n"


def extension_line(_at_us: int) -> str:
    return "EXTENSION\tName: telemetry-agent\tState: Ready\tEvents: [SHUTDOWN, INVOKE]\n"


def init_report(_at_us: int, duration_us: int, _kind: str, phase: str, status: str) -> str:
    end = f"\tPhase: {phase}\tStatus: {status}" if status != "success" else f"\tPhase: {phase}"
    error = "\tError Type: Runtime.Unknown" if status == "error" else ""
    return f"INIT_REPORT Init Duration: {duration_us / MS:.2f} ms{end}{error}\n"


def restore_start(_at_us: int) -> str:
    return f"RESTORE_START Runtime Version: python:3.12.v38\tRuntime Version ARN: {_ARN}\n"


def restore_report(_at_us: int, duration_us: int) -> str:
    return f"RESTORE_REPORT Restore Duration: {duration_us / MS:.2f} ms\n"


def start(_at_us: int, request_id: str, version: str) -> str:
    return f"START RequestId: {request_id} Version: {version}\n"


def application(at_us: int, request_id: str, message: str) -> str:
    return f"[INFO]\t{iso_ms(at_us)}\t{request_id}\t{message}\n"


def traceback(at_us: int, request_id: str) -> str:
    return (
        f'[ERROR]\t{iso_ms(at_us)}\t{request_id}\tslow tokenizer\rTraceback (most recent call last):\r  File "/var/task/app.py", line 41\n'
    )


def runtime_exited(_at_us: int, request_id: str) -> str:
    return f"RequestId: {request_id} Error: Runtime exited with error: signal: killed\nRuntime.ExitError\n"


def end(_at_us: int, request: Served) -> str:
    return f"END RequestId: {request.request_id}\n"


def report(at_us: int, request: Served, figures: Report, *, xray: bool, rng: np.random.Generator) -> str:
    parts = [
        f"REPORT RequestId: {request.request_id}",
        f"Duration: {figures.duration_us / MS:.2f} ms",
        f"Billed Duration: {figures.billed_ms} ms",
        f"Memory Size: {figures.memory_mb} MB",
        f"Max Memory Used: {figures.max_memory_mb} MB",
    ]
    if figures.restore_us is not None:
        parts += [f"Restore Duration: {figures.restore_us / MS:.2f} ms", f"Billed Restore Duration: {figures.billed_restore_ms} ms"]
    if figures.init_us is not None:
        parts.append(f"Init Duration: {figures.init_us / MS:.2f} ms")
    if figures.status:
        parts.append(f"Status: {figures.status}")
    if figures.error_type:
        parts.append(f"Error Type: {figures.error_type}")
    trace = (
        f"XRAY TraceId: 1-{at_us // 1_000_000:08x}-{rng.bytes(12).hex()}\tSegmentId: {rng.bytes(8).hex()}\tSampled: true\t\n"
        if xray
        else ""
    )
    return "\t".join(parts) + "\t\n" + trace


def timed_out(at_us: int, request_id: str, timeout_s: float) -> str:
    return f"{iso_ms(at_us)} {request_id} Task timed out after {timeout_s:.2f} seconds\n\n"
