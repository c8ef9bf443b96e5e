"""The cold rule for RunPod: the handler's own word where there is one, else inferred from the wait, and labelled so."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from statistics import median
from typing import Any

from trial.records import Cold

# RunPod's delayTime mixes queueing and boot. A worker that is up takes a job within a few hundred milliseconds, and none
# boots within a second, so the line is drawn there, or at five times the usual warm wait where that is slower.
SLOWEST_PICKUP_MS = 1000.0
TIMES_MEDIAN = 5.0
MEDIAN_OF = 101
IDLE_TIMEOUT_S = 5.0  # RunPod's default
# An active worker that was ready this long before its first job was ready for it: nobody waited.
READY_GAP_MS = 10_000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """
    What is known about one request's start.

    Args:
        flag: the handler line's cold_start.
        first: it was the first job of its process; None where that cannot be told.
        delay_ms: RunPod's delayTime.
        idle_s: how long its worker had had nothing to do, inf for a worker not seen before; None where that is not known.
        gap_ms: from the start of the process to the start of the handler.
    """

    flag: bool | None = None
    first: bool | None = None
    delay_ms: float | None = None
    idle_s: float | None = None
    gap_ms: float | None = None
    load_ms: float | None = None
    handler_ms: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    cold: Cold
    reason: str | None = None
    waited: bool | None = None


class ColdRule:
    """Judges one request after the other; remembers only the latest warm waits, whose median is what is usual."""

    def __init__(self, endpoint: Any) -> None:
        self._idle_timeout_s = endpoint.idle_timeout_s or IDLE_TIMEOUT_S
        self._min_workers = endpoint.min_workers
        self._warm_delays_ms: deque[float] = deque(maxlen=MEDIAN_OF)

    def judge(self, seen: Evidence) -> Judgement:
        slow = seen.delay_ms is not None and seen.delay_ms > self._limit_ms()
        judgement = self._judge(seen, slow)
        if judgement.cold == "warm" and seen.delay_ms is not None:
            self._warm_delays_ms.append(seen.delay_ms)
        return judgement

    def _judge(self, seen: Evidence, slow: bool) -> Judgement:
        new = seen.flag if seen.flag is not None else seen.first
        if new:
            reason = "handler_flag" if seen.flag else "instance_start"
            return Judgement(cold="cold", reason=reason, waited=self._waited(seen, slow))
        if seen.delay_ms is None:
            return Judgement(cold="warm", waited=False) if new is False else Judgement(cold="unknown", reason="mid_stream")
        if not slow:
            return Judgement(cold="warm", waited=False)
        if seen.idle_s is None:
            return Judgement(cold="unknown", reason="queue_or_start")
        if seen.idle_s <= self._idle_timeout_s:
            return Judgement(cold="warm", waited=False)  # its worker was at work or just done: the wait was for its turn
        # The process was there before, so it was frozen and resumed, which the handler itself cannot see.
        return Judgement(cold="cold", reason="flashboot_resume" if new is False else "queue_delay", waited=True)

    def _waited(self, seen: Evidence, slow: bool) -> bool | None:
        loaded_inside = bool(seen.load_ms) and seen.handler_ms is not None and (seen.load_ms or 0) <= seen.handler_ms
        if seen.delay_ms is not None:
            return slow or loaded_inside
        if not self._min_workers or seen.gap_ms is None:
            return True if not self._min_workers else None
        if seen.gap_ms - (seen.load_ms or 0.0) <= READY_GAP_MS or loaded_inside:
            return True
        return False if seen.load_ms is not None else None

    def _limit_ms(self) -> float:
        usual = median(self._warm_delays_ms) if self._warm_delays_ms else 0.0
        return max(SLOWEST_PICKUP_MS, TIMES_MEDIAN * usual)
