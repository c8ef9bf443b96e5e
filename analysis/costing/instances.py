"""
Billed by the life of an instance: lives out of the logs, cut at local midnight, rounded once each, topped up to the minimum.

A life's round-up to the platform's step happens when it ends, so it is charged on the local day it ends in, as "rounding".
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

import numpy as np

from analysis.billing import instance_life
from analysis.billing.rounding import seconds, to_us, up_us
from analysis.costing.lives import Idle, Life
from analysis.costing.lives import to_us as instant_us
from analysis.costing.spend import Spend
from analysis.pricing.rows import PriceRow
from trial.calendar import Calendar
from trial.config import PricesSection
from trial.errors import ConfigError
from trial.records import Estimate, UsageBucket


def idle_of(endpoint: Any, row: PriceRow, estimate: Estimate | None = None) -> Idle:
    """
    The idle time-out: trial.toml's, else one estimated from the log, else the price row's.

    A time-out that the platform treats as a ceiling keeps its range around the configured or estimated value.

    Raises:
        ConfigError: idle time is billed and nobody says how long it lasts.
    """
    given = endpoint.idle_timeout_s
    if estimated(endpoint, row, estimate):
        assert estimate is not None and estimate.best is not None
        bounds = (estimate.low, estimate.high)
        if row.idle is not None and not row.idle.promised:
            bounds = (min(estimate.low, float(row.idle.bounds[0])), max(estimate.high, float(row.idle.bounds[1])))
        return Idle(low_us=to_us(bounds[0]), best_us=to_us(estimate.best), high_us=to_us(bounds[1]))
    if given is None and row.idle is None:
        raise ConfigError(
            "bills idle time, and neither the price book nor trial.toml says how long an idle instance is kept",
            where=f"endpoint {endpoint.name}, price row {row.name}",
            do="Set idle_timeout_s for the endpoint in trial.toml",
        )
    best = Decimal(str(given)) if given is not None else row.idle.best  # type: ignore[union-attr]
    exact = row.idle is None or (given is not None and row.idle.promised)
    low, high = (best, best) if exact or row.idle is None else row.idle.bounds
    return Idle(low_us=to_us(min(low, best)), best_us=to_us(best), high_us=to_us(max(high, best)))


def estimated(endpoint: Any, row: PriceRow, estimate: Estimate | None) -> bool:
    """Whether the idle time-out that the bill rests on is the log's: trial.toml has none, and the log shows both of its sides."""
    return row.rule == "instance-life" and endpoint.idle_timeout_s is None and estimate is not None and estimate.best is not None


def by_life(
    endpoint: Any,
    row: PriceRow,
    *,
    days: Sequence[date],
    lives: Sequence[Life],
    usage: Sequence[UsageBucket],
    calendar: Calendar,
    prices: PricesSection,
) -> dict[date, Spend]:
    """
    Each day's instance-time by phase, priced.

    Where the provider meters instance-time itself over a whole day (UsageBucket.billed_ms), its total replaces ours and the
    difference goes to idle time: that is the part that had to be inferred.
    """
    out: dict[date, Spend] = {}
    month: dict[tuple[int, int], int] = defaultdict(int)
    rates = instance_life.usd(row, endpoint.resources, {"run": 1_000_000, "idle": 1_000_000})
    second = max(rates.values())
    reach = np.array([life.longest for life in lives], dtype=np.int64).reshape(-1, 2)
    for day in days:
        window = calendar.window(day)
        begin, end = instant_us(window.start), instant_us(window.end)
        alive = [lives[i] for i in np.flatnonzero((reach[:, 0] < end) & (reach[:, 1] >= begin)).tolist()]
        phases = _phases(alive, begin, end, row=row, floor=endpoint.min_workers)
        metered = _metered_us(usage, begin, end)
        less = more = Decimal(0)
        if metered is not None:
            # Whether the meter counts the round-ups is said nowhere: they are its uncertainty.
            more = seconds(to_us(row.rounding_s) * (1 + sum(begin <= life.end_us < end for life in alive))) * second
            phases = _as_metered(phases, metered, kept=endpoint.min_workers > 0)
        else:
            low, high = _bounds_us(alive, begin, end, row=row, floor=endpoint.min_workers)
            best = sum(phases.values())
            less, more = seconds(max(0, best - low)) * second, seconds(max(0, high - best)) * second
        key = (day.year, day.month)
        usd = instance_life.usd(row, endpoint.resources, phases, already_us=month[key], free_tier=prices.free_tier)
        billed = sum(us for phase, us in phases.items() if phase in row.billed or phase == "rounding")
        month[key] += billed
        out[day] = Spend(usd=usd, billed_seconds=seconds(billed), less=min(less, sum(usd.values(), Decimal(0))), more=more)
    return out


def _phases(lives: Iterable[Life], begin: int, end: int, *, row: PriceRow, floor: int) -> dict[str, int]:
    total: dict[str, int] = dict.fromkeys(("start", "run", "idle"), 0)
    spans = []
    for life in lives:
        for phase, us in life.phases_us(begin, end).items():
            total[phase] = total.get(phase, 0) + us
        spans.append((life.start_us, life.end_us))
        if begin <= life.end_us < end:
            total["rounding"] = total.get("rounding", 0) + _round_up(life.end_us - life.start_us, row)
    if floor:
        total["min_instances"] = total.get("min_instances", 0) + missing_us(spans, floor, begin, end)
    return total


def _bounds_us(lives: Sequence[Life], begin: int, end: int, *, row: PriceRow, floor: int) -> tuple[int, int]:
    """Billed time of the shortest and of the longest lives."""
    shortest, longest = [life.shortest for life in lives], [life.longest for life in lives]
    return _billed_us(shortest, begin, end, row, floor), _billed_us(longest, begin, end, row, floor)


def _billed_us(spans: Sequence[tuple[int, int]], begin: int, end: int, row: PriceRow, floor: int) -> int:
    alive = sum(max(0, min(e, end) - max(s, begin)) for s, e in spans)
    round_ups = sum(_round_up(e - s, row) for s, e in spans if begin <= e < end)
    return alive + round_ups + (missing_us(spans, floor, begin, end) if floor else 0)


def missing_us(spans: Sequence[tuple[int, int]], floor: int, begin: int, end: int) -> int:
    """Instance-time below `floor` instances inside [begin, end): what a minimum is billed for and no life covers."""
    cut = [(max(s, begin), min(e, end)) for s, e in spans if s < end and e > begin]
    edges = np.array(sorted([(s, 1) for s, _ in cut] + [(e, -1) for _, e in cut]), dtype=np.int64).reshape(-1, 2)
    times = np.concatenate(([begin], edges[:, 0], [end]))
    alive = np.concatenate(([0], np.cumsum(edges[:, 1])))
    return int((np.maximum(0, floor - alive) * np.diff(times)).sum())


def _round_up(life_us: int, row: PriceRow) -> int:
    return up_us(life_us, row.rounding_s) - life_us


def _metered_us(usage: Iterable[UsageBucket], begin: int, end: int) -> int | None:
    """The provider's own instance-time of a day; None unless final buckets with one cover the whole day exactly."""
    total, covered = 0, 0
    for bucket in usage:
        first, last = instant_us(bucket.start), instant_us(bucket.end)
        if bucket.billed_ms is not None and bucket.final and begin <= first and last <= end:
            total += round(bucket.billed_ms * 1000)
            covered += last - first
    return total if covered == end - begin else None


def _as_metered(phases: Mapping[str, int], metered: int, *, kept: bool) -> dict[str, int]:
    """Phases whose sum is the metered time: idle gives or takes, then running, then start-up."""
    out = {phase: us for phase, us in phases.items() if phase != "rounding"}
    elastic = "min_instances" if kept else "idle"
    out[elastic] = out.get(elastic, 0) + metered - sum(out.values())
    for phase, lender in ((elastic, "run"), ("run", "start")):
        if out[phase] < 0:
            out[lender] = out.get(lender, 0) + out[phase]
            out[phase] = 0
    return out
