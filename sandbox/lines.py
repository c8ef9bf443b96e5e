"""Handler lines as trial.handler_line prints them, for requests that never ran through it."""

from __future__ import annotations

import json
from typing import Any

from sandbox.happened import Served, Worker
from sandbox.instants import MS, iso_ms
from sandbox.plans import Plan
from trial.handler_line import MARK, VERSION

# A handler that dies prints nothing; one that raises prints its line all the same.
SILENT = frozenset(("timeout", "crash", "out-of-memory", "killed", "aborted"))


def has_line(request: Served, worker: Worker) -> bool:
    """Whether the handler printed its line; the version before the trial, whose environment outlived it, had none."""
    return request.fate not in SILENT and worker.reason != "mid_stream"


def handler_object(plan: Plan, request: Served, worker: Worker, *, instance: str, silent_pings: bool = False) -> dict[str, Any]:
    """The line as an object, its keys in the order the writer has them."""
    line: dict[str, Any] = {MARK: VERSION, "request_id": request.request_id, "cold_start": request.first_of_process, "model": plan.model}
    if request.arrival.kind == "ping" and silent_pings:
        line["note"] = "keep-warm"
    elif request.arrival.kind == "ping":
        line["synthetic"] = True
    else:
        line |= {"input_tokens": request.input_tokens, "output_tokens": request.output_tokens}
    if request.load_us:
        line["load_ms"] = request.load_us / MS
    line["handler_ms"] = request.handler_us / MS
    line["gpu_ms"] = request.gpu_us / MS
    line["gpu_ms_source"] = "handler_wall" if plan.gpu_share is None else "cuda_event"
    line["process_start"] = iso_ms(worker.process_us if not request.reinit_us else request.taken_us - request.reinit_us)
    line["ts"] = iso_ms(request.ended_us)
    line["instance"] = instance
    return line


def text(line: dict[str, Any]) -> str:
    return json.dumps(line, separators=(",", ":"))
