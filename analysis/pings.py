"""Requests at exact intervals: keep-warm pings that do not say so, as a suggestion and never as an assumption."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from scipy.stats import binom

# Schedulers count in whole minutes; between two hours' pings nothing is kept warm.
PERIODS_MIN = (1, 2, 3, 4, 5, 6, 8, 10, 12, 14, 15, 20, 25, 30, 45, 60, 120)
# EventBridge, Cloud Scheduler and cron start their calls within a few seconds of the same second; where only the end of the
# wait for a worker is known, that wait's spread comes on top.
SPREADS_S = (4.0, 30.0)
# A ping now and then fails, is lost, or comes while logs are late.
LEAST_SHARE, LEAST_PINGS, LONGEST_GAP = 0.9, 12, 2
# That chance alone fills so many slots of any phase of any period.
SIGNIFICANCE = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class PingTrain:
    """
    Requests at `phase` + k * `period`.

    Args:
        members: positions, in the times given, of the request closest to each slot.
        slots: how many slots there are from the first to the last of them.
    """

    period: timedelta
    phase: datetime
    members: tuple[int, ...]
    slots: int


def find_pings(times: Sequence[datetime]) -> PingTrain | None:
    """
    The shortest period at which requests come like clockwork for a while, whatever else comes between; None where there is none.

    A slot is one of SPREADS_S long. In the longest stretch without a gap of more than LONGEST_GAP slots at least LEAST_SHARE of the slots
    must be filled, and so many that requests at random times, as frequent as the others in that stretch, would fill them with
    probability below SIGNIFICANCE (binomial tail, times the number of phases, periods and stretches tried).

    Args:
        times: aware, in any order.
    """
    if len(times) < LEAST_PINGS:
        return None
    order = np.argsort(np.array([t.timestamp() for t in times]), kind="stable")
    at_s = np.array([times[i].timestamp() for i in order])
    for minutes in PERIODS_MIN:
        period_s = minutes * 60.0
        if at_s[-1] - at_s[0] < (LEAST_PINGS - 1) * period_s * LEAST_SHARE:
            return None
        found = next((f for spread_s in SPREADS_S if (f := _at_period(at_s, period_s, spread_s)) is not None), None)
        if found is not None:
            phase_s, slots, members = found
            chosen = tuple(sorted(int(order[i]) for i in members))
            return PingTrain(period=timedelta(minutes=minutes), phase=datetime.fromtimestamp(phase_s, UTC), members=chosen, slots=slots)
    return None


def _at_period(at_s: np.ndarray, period_s: float, spread_s: float) -> tuple[float, int, list[int]] | None:
    """The first slot's time, the number of slots, and which times fill them."""
    folded = at_s % period_s
    # The busiest stretch of the folded clock, spread_s wide and around its end.
    ring = np.sort(np.concatenate([folded, folded + period_s]))
    ends = np.searchsorted(ring, ring[: len(folded)] + spread_s, side="right")
    start = float(ring[int(np.argmax(ends - np.arange(len(folded))))])
    away = (folded - start) % period_s
    inside = np.flatnonzero(away <= spread_s)
    filled, positions = np.unique(np.round((at_s[inside] - start) / period_s).astype(np.int64), return_index=True)
    runs = np.split(np.arange(len(filled)), np.flatnonzero(np.diff(filled) > LONGEST_GAP + 1) + 1)
    run = max(runs, key=len)
    slots = int(filled[run[-1]] - filled[run[0]]) + 1
    if len(run) < LEAST_PINGS or len(run) < LEAST_SHARE * slots:
        return None
    members = inside[positions[run]]
    first_s, last_s = at_s[members[0]], at_s[members[-1]]
    others = np.count_nonzero((at_s >= first_s) & (at_s <= last_s)) - len(run)
    by_chance = min(1.0, 1 - float(np.exp(-others / (last_s - first_s) * spread_s)))
    tries = len(SPREADS_S) * len(PERIODS_MIN) * (period_s / spread_s) * (1 + (at_s[-1] - at_s[0]) / period_s)
    if binom.sf(len(run) - 1, slots, by_chance) * tries >= SIGNIFICANCE:
        return None
    return float(np.median(at_s[members] - filled[run] * period_s) + filled[run[0]] * period_s), slots, [int(i) for i in members]
