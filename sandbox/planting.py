"""Chooses where each case goes: on which arrivals, and which instances are started without one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

import numpy as np

from sandbox.happened import Arrival, Prestart
from sandbox.instants import HOUR, MINUTE, MS, SECOND, to_us
from sandbox.plans import Plan
from sandbox.traffic import burst_start
from trial.calendar import Calendar

# Inside the idle time-out of Lambda and Cloud Run, far outside RunPod's.
PING_EVERY = {"aws-lambda": 3 * MINUTE, "cloud-run": 3 * MINUTE, "runpod": 8 * MINUTE}


@dataclass(frozen=True, slots=True, kw_only=True)
class Planted:
    """An endpoint's arrivals with their cases, and the instances that start unasked."""

    arrivals: tuple[Arrival, ...]
    prestarts: tuple[Prestart, ...]


# On an arrival: how many a day, and which arrivals can carry it.
_PER_DAY: dict[str, dict[str, tuple[float, str]]] = {
    "aws-lambda": {
        "init-timeout": (0.8, "alone"),
        "init-error": (0.4, "alone"),
        "crash": (1.0, "followed"),
        "out-of-memory": (0.4, "followed"),
        "timeout": (0.8, "followed"),
        "async-retry": (0.6, "followed"),
        "killed": (0.3, "any"),
        "xray": (20.0, "any"),
        "wrapped-line": (60.0, "json"),
        "pretty-json": (10.0, "json"),
        "logs-dropped": (0.6, "json"),
        "powertools-line": (10.0, "any"),
        "dict-message": (4.0, "any"),
        "emf-line": (10.0, "any"),
        "otel-line": (4.0, "any"),
        "user-report-line": (3.0, "any"),
        "extension-report": (3.0, "any"),
        "traceback": (2.0, "any"),
        "cut-line": (0.7, "any"),
        "cut-report": (0.4, "any"),
        "half-json": (1.0, "any"),
        "garbage": (1.0, "any"),
        "spaced-report": (4.0, "any"),
        "init-timeout-twice": (0.5, "alone"),
        "billed-without-init": (0.5, "alone"),
        "own-json": (5.0, "any"),
        "torchserve-line": (5.0, "any"),
        "bentoml-line": (5.0, "any"),
    },
    "cloud-run": {
        "aborted": (3.0, "burst"),
        "labels-missing": (0.5, "first"),
        "short-reason": (1.0, "first"),
        "probe-failed": (0.5, "first"),
        "probe-lags": (1.0, "first"),
        "exit": (0.5, "apart"),
        "stderr": (5.0, "any"),
        "half-json": (1.0, "any"),
        "garbage": (1.0, "any"),
        "own-json": (5.0, "any"),
        "torchserve-line": (5.0, "apart"),
        "bentoml-line": (5.0, "apart"),
    },
    "runpod": {
        "lazy-load": (4.0, "alone"),
        "error": (2.0, "any"),
        "sdk-lines": (20.0, "any"),
        "plain-sdk-lines": (20.0, "any"),
        "truncated": (2.0, "any"),
        "half-json": (1.0, "any"),
        "garbage": (1.0, "any"),
        "failed-sdk-lines": (2.0, "any"),
        "failed-plain-lines": (2.0, "any"),
        "truncated-line": (2.0, "any"),
        "torchserve-line": (3.0, "any"),
        "bentoml-line": (3.0, "any"),
        "webhook-again": (3.0, "any"),
    },
}
_PER_DAY["replicate"] = {
    "error": (2.0, "any"),
    "canceled": (1.0, "any"),
    "aborted": (1.0, "any"),
    "odd-times": (2.0, "any"),
    "negative-time": (0.5, "any"),
    "other-model": (4.0, "any"),
}
_NAMED = {"missing-report": "killed", "failed": "error"}


def plant(plan: Plan, times: Sequence[int], *, calendar: Calendar, cases: frozenset[str], rng: np.random.Generator) -> Planted:
    marks: dict[int, set[str]] = {}
    switched = {_NAMED.get(name, name) for name in cases}
    last_version = _snapstart_from(calendar) if "snapstart" in cases and plan.platform == "aws-lambda" else 1 << 62
    usable = [i for i, t in enumerate(times) if t < last_version]
    for name, (per_day, where) in _PER_DAY[plan.platform].items():
        if where == "json":
            spots = _json_spots(times, versions(plan, calendar, cases))
        else:
            spots = [i for i in _spots(plan, times, where, calendar) if i < len(usable)]
        # The first arrival is the one an environment older than its logs serves.
        spots = [i for i in spots if i and i not in marks]
        if name not in switched or not spots:
            continue
        count = min(len(spots), max(1, round(per_day * calendar.days)))
        for spot in rng.choice(len(spots), size=count, replace=False):
            marks[spots[int(spot)]] = {name}
    arrivals = [Arrival(at_us=t, cases=frozenset(marks.get(i, ()))) for i, t in enumerate(times)]
    # An instance started ahead meets a request on which nothing else is planted.
    free = [t if i not in marks else -1 for i, t in enumerate(times)]
    if "managed-instances" in cases and times:
        prestarts = _managed(times, calendar)
    else:
        prestarts = _prestarts(plan, free, calendar, cases, rng, before=last_version)
    if "init-across-midnight" in cases:
        for day in calendar.all_days()[:-1]:
            if "across-midnight" not in cases or day not in calendar.all_days()[::3]:
                midnight = _midnight(calendar, day + timedelta(days=1))
                style = max((v for v in versions(plan, calendar, cases) if v[0] <= midnight), key=lambda v: v[0])[1]
                # The same version deployed anew: nothing is warm.
                prestarts.append(Prestart(at_us=midnight - 3 * SECOND, reason="drain", drains_others=True, cases=frozenset((style,))))
                arrivals.append(Arrival(at_us=midnight - 2 * SECOND, cases=frozenset(("init-across-midnight",))))
    if "across-midnight" in cases:
        arrivals.extend(_across_midnight(plan, calendar))
    if "waiting-together" in cases:
        spots = _spots(plan, times, "first", calendar)
        for at in [times[i] for i in spots[:: max(1, len(spots) // calendar.days)]]:
            arrivals += [Arrival(at_us=at + wait * MS, cases=frozenset(("waiting-together",))) for wait in (300, 2_000, 5_000)]
    if "at-midnight" in cases:
        arrivals.extend(_at_midnight(plan, calendar))
    if "yesterdays-stream" in cases:
        for midnight in (_midnight(calendar, day) for day in calendar.all_days()[1:]):
            arrivals += [Arrival(at_us=midnight - 100 * SECOND), Arrival(at_us=midnight + MINUTE, cases=frozenset(("yesterdays-stream",)))]
    if {"keep-warm", "silent-pings"} & cases:
        arrivals.extend(Arrival(at_us=t, kind="ping") for t in _pings(plan, calendar))
    return Planted(arrivals=tuple(sorted(arrivals, key=lambda a: a.at_us)), prestarts=tuple(prestarts))


def versions(plan: Plan, calendar: Calendar, cases: frozenset[str]) -> list[tuple[int, str]]:
    """(from, format) of the function's versions, ascending: text, then json, then snapstart, as the cases say."""
    if plan.platform != "aws-lambda":
        return [(0, "text")]
    if "managed-instances" in cases:
        return [(0, "managed")]
    if "warn-level" in cases:
        return [(0, "warn")]
    found = [(0, "json" if "json-only" in cases else "text")]
    if "json-format" in cases and "json-only" not in cases:
        found.append((_night(calendar, calendar.days // 2), "json"))
    if "snapstart" in cases:
        found.append((_snapstart_from(calendar), "snapstart"))
    return found


def _json_spots(times: Sequence[int], found: Sequence[tuple[int, str]]) -> list[int]:
    """Arrivals while a version with JSON logs is deployed."""
    edges = [*found, (1 << 62, "")]
    spans = [(begin, edges[n + 1][0]) for n, (begin, style) in enumerate(found) if style == "json"]
    return [i for i, t in enumerate(times) if any(begin < t < end for begin, end in spans)]


def _snapstart_from(calendar: Calendar) -> int:
    return _night(calendar, calendar.days - 1 - calendar.days // 7)


def _night(calendar: Calendar, number: int) -> int:
    return _midnight(calendar, calendar.all_days()[number]) + 3 * HOUR


def _midnight(calendar: Calendar, day: date) -> int:
    return to_us(calendar.window(day).start)


def _spots(plan: Plan, times: Sequence[int], where: str, calendar: Calendar) -> list[int]:
    if where == "any":
        return list(range(len(times)))
    if where == "burst":
        begin = burst_start(calendar)
        inside = [i for i, t in enumerate(times) if begin <= t < begin + 3 * HOUR]
        return inside + list(range(0, len(times), 5))
    idle = int((plan.idle_timeout_s + plan.timeout_s + 60) * SECOND) if plan.platform != "runpod" else 45 * SECOND
    if where == "apart":
        return [i for i in range(1, len(times) - 1) if times[i] - times[i - 1] > 15 * SECOND and times[i + 1] - times[i] > 30 * SECOND]
    if where == "first":
        return [i for i in range(1, len(times)) if times[i] - times[i - 1] > idle]
    if where == "alone":
        # Nobody for so long before it that no worker can be alive, and nobody right after it.
        return [i for i in range(1, len(times) - 1) if times[i] - times[i - 1] > idle and times[i + 1] - times[i] > 60 * SECOND]
    return [
        i
        for i in range(1, len(times) - 1)
        if times[i] - times[i - 1] > 40 * SECOND and 45 * SECOND < times[i + 1] - times[i] < (plan.idle_timeout_s - 60) * SECOND
    ]


def _quiet(times: Sequence[int], *, least: int, most: int) -> list[int]:
    """Arrivals that come after a pause of `least` to `most` microseconds."""
    return [times[i] for i in range(1, len(times)) if times[i - 1] > 0 and least < times[i] - times[i - 1] < most]


def _prestarts(
    plan: Plan, times: Sequence[int], calendar: Calendar, cases: frozenset[str], rng: np.random.Generator, *, before: int
) -> list[Prestart]:
    starts: list[Prestart] = []

    def some(count: int, *, lead: int, least: int, most: int) -> list[int]:
        taken = {p.at_us for p in starts}
        spots = [t for t in _quiet(times, least=least, most=most) if t < before and all(abs(t - s) > HOUR for s in taken)]
        return sorted(int(t) - lead for t in rng.choice(spots, size=min(count, len(spots)), replace=False)) if spots else []

    if plan.platform == "aws-lambda":
        for at, style in versions(plan, calendar, cases)[1:]:
            starts.append(Prestart(at_us=at, reason="drain", drains_others=True, cases=frozenset((style,))))
        wide = {"lead": 50 * SECOND, "least": 95 * SECOND, "most": 900 * SECOND}
        if "proactive-init" in cases:
            starts += [Prestart(at_us=t, reason="proactive") for t in some(calendar.days, **wide)]
        if "provisioned-init" in cases:
            starts += [Prestart(at_us=t, reason="provisioned") for t in some(max(1, calendar.days // 2), **wide)]
        if "lazy-load" in cases:
            lazy = some(max(1, calendar.days // 4), **wide)
            starts += [Prestart(at_us=t, reason="proactive", cases=frozenset(("lazy-load",))) for t in lazy]
        if "mid-stream" in cases and times:
            starts.append(Prestart(at_us=times[0] - 60 * SECOND, reason="mid_stream"))
    elif plan.platform == "cloud-run":
        wide = {"lead": 90 * SECOND, "least": 150 * SECOND, "most": 2 * HOUR}
        if "rollout" in cases:
            starts += [Prestart(at_us=t, reason="rollout", drains_others=True) for t in some(max(1, calendar.days // 5), **wide)]
        if "lazy-load" in cases:
            lazy = some(max(1, calendar.days // 7), **wide)
            starts += [Prestart(at_us=t, reason="rollout", drains_others=True, cases=frozenset(("lazy-load",))) for t in lazy]
        if "min-instance" in cases:
            kept = some(1, **wide)
            starts += [Prestart(at_us=t, reason="min_instance", keep_until_us=t + 3 * HOUR) for t in kept]
    return sorted(starts, key=lambda p: p.at_us)


def _managed(times: Sequence[int], calendar: Calendar) -> list[Prestart]:
    """Three environments, up before the first request and until after the last."""
    end = _midnight(calendar, calendar.end)
    return [Prestart(at_us=times[0] - (2 + n) * MINUTE, reason="managed", keep_until_us=end + HOUR) for n in range(3)]


def _across_midnight(plan: Plan, calendar: Calendar) -> list[Arrival]:
    """Every third midnight: one request that warms an instance, and one that is in its handler when the day ends."""
    found = []
    for day in calendar.all_days()[:-1:3]:
        midnight = _midnight(calendar, day + timedelta(days=1))
        spill = Arrival(at_us=midnight - 4 * SECOND, until_us=midnight + 3 * SECOND, cases=frozenset(("across-midnight",)))
        if plan.platform == "runpod":
            found.append(replace(spill, at_us=midnight - 30 * SECOND))
        elif plan.platform == "replicate":
            found.append(replace(spill, at_us=midnight - 100 * SECOND))
        else:
            found += [Arrival(at_us=midnight - 140 * SECOND, cases=frozenset(("across-midnight",))), spill]
    return found


def _at_midnight(plan: Plan, calendar: Calendar) -> list[Arrival]:
    """Every third midnight: a request at the very instant, on an instance that is up: one day's end and the next one's beginning."""
    found = []
    for day in calendar.all_days()[:-1:3]:
        midnight = _midnight(calendar, day + timedelta(days=1))
        if plan.platform == "runpod":
            found.append(Arrival(at_us=midnight - 30 * SECOND, until_us=midnight - 2 * SECOND))
        elif plan.platform != "replicate":
            # Two, as a request that goes on over midnight may take one.
            found += [Arrival(at_us=midnight - 100 * SECOND)] * 2
        found.append(Arrival(at_us=midnight, cases=frozenset(("at-midnight",))))
    return found


def _pings(plan: Plan, calendar: Calendar) -> list[int]:
    times: list[int] = []
    for day in calendar.all_days():
        first = _midnight(calendar, day) + 9 * HOUR
        times += range(first, first + 3 * HOUR, PING_EVERY[plan.platform])
    return times
