"""Two weeks of seeded arrivals: sessions under a daily and weekly rhythm, crowds, and one day when a link goes round."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import timedelta

import numpy as np

from sandbox.instants import HOUR, SECOND, to_datetime, to_us
from sandbox.plans import Plan
from trial.calendar import Calendar

WEEKEND = 0.45
BURST_HOURS = 3.0
BURST_FACTOR = 5.0
# Around local midnight an arrival could belong to either day, depending on which of a platform's clocks one reads.
QUIET_BEFORE_MIDNIGHT = 150 * SECOND
QUIET_AFTER_MIDNIGHT = 5 * SECOND
_STEP = HOUR // 12


def arrivals(plan: Plan, *, calendar: Calendar, rng: np.random.Generator, scale: float = 1.0) -> list[int]:
    """Ascending arrival times in microseconds, distinct, clear of local midnight; about `plan.requests_per_day` x `scale` a day."""
    start, end = to_us(calendar.window(calendar.start).start), to_us(calendar.window(calendar.all_days()[-1]).end)
    edges = np.arange(start, end, _STEP, dtype=np.int64)
    weights = np.array([_intensity(plan, calendar, int(us)) for us in edges])
    total = plan.requests_per_day * scale * calendar.days
    per_crowd = plan.session_requests * plan.crowd
    crowds = rng.poisson(total / per_crowd * weights / weights.sum()) if total else np.zeros(len(edges), dtype=np.int64)
    times: list[int] = []
    for edge, count in zip(edges, crowds, strict=True):
        for offset in rng.random(count):
            times.extend(_crowd(plan, int(edge) + int(offset * _STEP), rng))
    times.extend(_burst(plan, calendar, rng, scale))
    return _clear_of_midnight(sorted({t for t in times if start <= t < end}), calendar)


def burst_start(calendar: Calendar) -> int:
    """The local afternoon, two thirds into the trial, when the link goes round."""
    day = calendar.window(calendar.start + timedelta(days=calendar.days * 2 // 3))
    return to_us(day.start) + 15 * HOUR


def _intensity(plan: Plan, calendar: Calendar, us: int) -> float:
    local = to_datetime(us).astimezone(calendar.zone)
    hour = local.hour + local.minute / 60
    # Two humps, late morning and evening, over a floor for the night.
    day = math.exp(-((hour - 11.0) ** 2) / 14.0) + 0.75 * math.exp(-((hour - 19.5) ** 2) / 9.0)
    return (plan.night + (1 - plan.night) * day) * (WEEKEND if local.weekday() >= 5 else 1.0)


def _crowd(plan: Plan, at: int, rng: np.random.Generator) -> list[int]:
    users = 1 + int(rng.poisson(plan.crowd - 1)) if plan.crowd > 1 else 1
    times: list[int] = []
    for user in range(users):
        begin = at + (int(rng.exponential(8 * SECOND)) if user else 0)
        count = int(rng.geometric(1 / plan.session_requests))
        pauses = plan.think_s * SECOND * rng.lognormal(0.0, 0.8, count - 1)
        times.extend(begin + int(p) for p in np.concatenate(([0.0], np.cumsum(pauses))))
    return times


def _burst(plan: Plan, calendar: Calendar, rng: np.random.Generator, scale: float) -> list[int]:
    mean = plan.requests_per_day * scale / 24 * BURST_HOURS * BURST_FACTOR / 2 / plan.session_requests
    begin = burst_start(calendar)
    times: list[int] = []
    for offset in rng.exponential(BURST_HOURS / 2.5 * HOUR, rng.poisson(mean)):
        times.extend(_crowd(plan, begin + int(offset), rng))
    return times


def _clear_of_midnight(times: Sequence[int], calendar: Calendar) -> list[int]:
    kept = []
    for t in times:
        window = calendar.window(calendar.day_of(to_datetime(t)))
        if t - to_us(window.start) >= QUIET_AFTER_MIDNIGHT and to_us(window.end) - t > QUIET_BEFORE_MIDNIGHT:
            kept.append(t)
    return kept
