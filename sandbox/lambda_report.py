"""What Lambda reports and bills for one attempt."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sandbox.happened import Served, Worker
from sandbox.instants import MS


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """REPORT's figures; durations in whole microseconds as printed (text shows hundredths of a millisecond)."""

    duration_us: int
    billed_ms: int
    memory_mb: int
    max_memory_mb: int
    init_us: int | None = None
    restore_us: int | None = None
    billed_restore_ms: int | None = None
    status: str | None = None
    error_type: str | None = None


def report_of(request: Served, worker: Worker, *, memory_mb: int, rng: np.random.Generator, snapstart: bool) -> Report:
    """
    Billed = ceil(Duration + Init Duration), the rule since INIT is billed; an INIT that failed counts inside Duration.

    The last version's restores are billed for the part that loads the runtime.
    """
    first = request.first_of_process and not request.reinit_us
    inside = _inside_us(worker) if first else 0
    duration = _hundredths(request.handler_us + request.reinit_us + inside + 900)
    init = restore = billed_restore = None
    if first and snapstart:
        restore, billed_restore = _hundredths(worker.start_up_us - 8 * MS), int(rng.integers(50, 170))
    elif first and not inside and worker.reason != "mid_stream" and "init-timeout-twice" not in worker.cases:
        init = _hundredths(worker.start_up_us + 80)
    status, error = {
        "timeout": ("timeout", None),
        "crash": ("error", "Runtime.ExitError"),
        "out-of-memory": ("error", "Runtime.OutOfMemory"),
    }.get(request.fate, (None, None))
    if request.fate == "timeout":
        duration = request.handler_us + request.reinit_us + inside
    billed_init = 0 if "billed-without-init" in request.arrival.cases else init or 0
    billed = -(-(duration + billed_init) // MS) + (billed_restore or 0)
    return Report(
        duration_us=duration,
        billed_ms=billed,
        memory_mb=memory_mb,
        max_memory_mb=int(rng.integers(memory_mb * 5 // 10, memory_mb * 8 // 10)),
        init_us=init,
        restore_us=restore,
        billed_restore_ms=billed_restore,
        status=status,
        error_type=error,
    )


def _inside_us(worker: Worker) -> int:
    """Start-up that happened inside the first invocation, and so inside its Duration."""
    if "init-timeout" in worker.cases:
        return worker.start_up_us - 10_000 * MS
    if "init-error" in worker.cases:
        return worker.start_up_us - worker.start_up_us * 48 // 100
    return 0


def _hundredths(us: int) -> int:
    return -(-us // 10) * 10
