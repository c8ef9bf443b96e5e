"""Predictions as invocations: one is one, and only its wait tells whether it met a cold worker."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from datetime import datetime
from statistics import median
from typing import Any

from collectors.replicate.parse import Prediction
from trial.calendar import Calendar
from trial.records import Cold, Invocation

# A warm worker takes a prediction within tens of milliseconds; none boots within a second.
SLOWEST_PICKUP_MS = 1000.0
TIMES_MEDIAN = 5.0
MEDIAN_OF = 101


def assemble(facts: Iterable[Prediction], endpoint: Any, calendar: Calendar) -> Iterator[Invocation]:
    """
    One invocation a prediction, in order of creation.

    Replicate gives one wait (started - created) for queue and boot together. A short one was neither: warm. A long one is
    cold, labelled queue_delay, on a deployment that had nothing else of ours to do; anywhere else strangers may have been
    ahead, and it is unknown, labelled queue_or_boot.
    """
    warm_ms: deque[float] = deque(maxlen=MEDIAN_OF)
    busy_until: datetime | None = None
    own = getattr(endpoint, "deployment", None) is not None
    for fact in facts:
        alone = busy_until is None or busy_until <= fact.at
        limit_ms = max(SLOWEST_PICKUP_MS, TIMES_MEDIAN * median(warm_ms) if warm_ms else 0.0)
        cold, reason = _judge(fact, limit_ms, own=own, alone=alone)
        if cold == "warm" and fact.queue_ms is not None:
            warm_ms.append(fact.queue_ms)
        if fact.ended_at is not None:
            busy_until = fact.ended_at if busy_until is None else max(busy_until, fact.ended_at)
        yield Invocation(
            platform="replicate",
            endpoint=endpoint.name,
            day=calendar.day_of(fact.at),
            request_id=fact.id,
            instance_id=None,
            started_at=fact.at,
            queue_ms=fact.queue_ms,
            gpu_ms=fact.predict_ms,
            gpu_ms_source="none" if fact.predict_ms is None else "platform_wall",
            latency_ms=fact.total_ms,
            cold=cold,
            cold_reason=reason,
            waited={"cold": True, "warm": False}.get(cold),
            status=fact.status,
            model=fact.model or endpoint.model,
        )


def _judge(fact: Prediction, limit_ms: float, *, own: bool, alone: bool) -> tuple[Cold, str | None]:
    if fact.queue_ms is None:
        return "unknown", "no_wait_reported"
    if fact.queue_ms <= limit_ms:
        return "warm", None
    return ("cold", "queue_delay") if own and alone else ("unknown", "queue_or_boot")
