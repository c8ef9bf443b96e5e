"""What a trial can tell by its end, from the traffic seen so far: said on the first day, not on the last."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

from analysis.judging import diagnostics
from analysis.judging.counts import Counts
from analysis.judging.reasons import percent
from analysis.judging.weighing import LEAST_DAYS
from analysis.statistics import ENOUGH_EXPECTED, critical_t
from trial.config import TrialSection
from trial.summary import DaySummary

# Design effect of cold hits by days: what to reckon with before the trial's own days show theirs. A little more than the median over real
# streams (docs/calibration.md: 2.9, with loading times 3.4), so that a plan rather promises too little. From as many days as
# PRIOR_DAYS on, their own counts for more.
PRIOR_DESIGN_EFFECT = 4.0
PRIOR_DAYS = 4
POWER = 0.8
LONGEST = 366


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """
    Args:
        days_so_far, days_planned: complete days, and the registered length.
        requests_per_day: mean so far.
        design_effect: how many requests are worth one independent request: the trial's own, shrunk towards the prior while days are few.
        half_width: of the interval on the last day if traffic goes on like this, in the unit of a rate; None while it cannot be told.
        days_needed: total days until the observed rate would be told from the threshold; None if not within a year.
        separable: the rates nearest to the threshold, below and above it, that this trial tells from it in four of five cases; None
            where it can tell no rate on that side.
        sentences: the same in plain words, the most important first.
    """

    days_so_far: int
    days_planned: int
    requests_per_day: float
    design_effect: float
    half_width: float | None
    days_needed: int | None
    separable: tuple[float | None, float | None]
    sentences: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def plan(days: Sequence[DaySummary], *, trial: TrialSection) -> Plan:
    """The plan after these complete days; without a request there is nothing to plan by, and it says so."""
    counts = Counts.of_cold_hits(sorted(days, key=lambda d: d.day), without_first=True)
    total, cold = int(counts.seen.sum()), int(counts.fewest.sum())
    if total == 0:
        return Plan(
            days_so_far=len(days),
            days_planned=trial.days,
            requests_per_day=0.0,
            design_effect=PRIOR_DESIGN_EFFECT,
            half_width=None,
            days_needed=None,
            separable=(None, None),
            sentences=("No request has been seen in a complete day yet; there is nothing to plan by.",),
        )
    per_day, rate, alpha, threshold = total / len(days), cold / total, 1 - trial.confidence, trial.cold_hit_threshold
    effect = _design_effect(counts)
    # A rate seen as 0 or 1 in few requests is not known to be (Agresti and Coull 1998).
    spread_at = (cold + 2) / (total + 4)
    half = _half_width(spread_at, per_day, effect, trial.days, alpha)
    needed = next(
        (n for n in range(LEAST_DAYS, LONGEST + 1) if _told(rate, threshold, per_day, effect, n, alpha, spread_at=spread_at)), None
    )
    low, high = _separable(threshold, per_day, effect, trial.days, alpha)
    made = Plan(
        days_so_far=len(days),
        days_planned=trial.days,
        requests_per_day=per_day,
        design_effect=effect,
        half_width=half,
        days_needed=needed,
        separable=(low, high),
        sentences=(),
    )
    return Plan(**{**asdict(made), "separable": (low, high), "sentences": _sentences(made, rate, threshold)})


def _design_effect(counts: Counts) -> float:
    n = len(counts.seen)
    total, cold = int(counts.seen.sum()), int(counts.fewest.sum())
    if n < 2 or not 0 < cold < total:
        return PRIOR_DESIGN_EFFECT
    own = float(diagnostics.design_effect(counts.seen.astype(np.float64), counts.fewest.astype(np.float64)))
    return ((n - 1) * own + PRIOR_DAYS * PRIOR_DESIGN_EFFECT) / (n - 1 + PRIOR_DAYS)


def _standard_error(rate: float, per_day: float, effect: float, days: int) -> float:
    return math.sqrt(effect * rate * (1 - rate) / (per_day * days))


def _half_width(rate: float, per_day: float, effect: float, days: int, alpha: float) -> float | None:
    t = critical_t(days, alpha=alpha)
    return None if math.isinf(t) else t * _standard_error(rate, per_day, effect, days)


def _told(rate: float, threshold: float, per_day: float, effect: float, days: int, alpha: float, *, spread_at: float | None = None) -> bool:
    """Whether trials of this rate are told from the threshold by their last day in POWER of all cases, reckoned with a normal spread."""
    t = critical_t(days, alpha=alpha)
    if math.isinf(t) or days < LEAST_DAYS or per_day * days * min(threshold, 1 - threshold) < ENOUGH_EXPECTED:
        return False
    error = _standard_error(rate if spread_at is None else spread_at, per_day, effect, days)
    return abs(rate - threshold) >= (t + NormalDist().inv_cdf(POWER)) * error


def _separable(threshold: float, per_day: float, effect: float, days: int, alpha: float) -> tuple[float | None, float | None]:
    """By half points from the threshold outwards: what a sentence can carry."""
    step = 0.005
    below = (threshold - k * step for k in range(1, int(threshold / step) + 1))
    above = (threshold + k * step for k in range(1, int((1 - threshold) / step) + 1))
    low, high = (next((r for r in rates if _told(r, threshold, per_day, effect, days, alpha)), None) for rates in (below, above))
    return None if low is None else max(0.0, round(low, 6)), None if high is None else min(1.0, round(high, 6))


def _rough(rate: float) -> str:
    return f"{100 * rate:.3g} %"


def _sentences(made: Plan, rate: float, threshold: float) -> tuple[str, ...]:
    low, high = made.separable
    can = " or ".join(percent(r) for r in (low, high) if r is not None)
    about = f"At {made.requests_per_day:.0f} requests a day this trial of {made.days_planned} days"
    near = rate
    if (low is not None and rate <= low) or (high is not None and rate >= high):
        near = threshold - min(0.02, (threshold - low) / 2 if low is not None else threshold / 2)
    if not can:
        first = f"{about} can tell no rate from {percent(threshold)}: prolong it, or send it more traffic."
    elif _rough(near) == _rough(threshold):
        first = f"{about} cannot decide at a rate like the {_rough(near)} seen so far; {can} it can tell from {percent(threshold)}."
    else:
        first = f"{about} cannot separate {_rough(near)} from {percent(threshold)}; {can} it can."
    said = [first]
    if made.half_width is not None:
        said.append(f"By its last day the long-run rate will be known to about {100 * min(made.half_width, 1.0):.1f} points either way.")
    if made.days_needed is None:
        said.append(f"The {_rough(rate)} seen so far would not be told from {percent(threshold)} within a year of such days.")
    elif made.days_needed > made.days_planned:
        said.append(f"To tell the {_rough(rate)} seen so far from {percent(threshold)} takes about {made.days_needed} days in all.")
    else:
        left = max(0, made.days_needed - made.days_so_far)
        more = f"about {left} more days" if left > 1 else "about a day more" if left else "no more days than there are"
        said.append(f"To tell the {_rough(rate)} seen so far from {percent(threshold)} takes {more}.")
    if made.days_so_far < 1 + PRIOR_DAYS:
        said.append(
            f"After {made.days_so_far} day{'s' * (made.days_so_far != 1)} the clustering of cold hits is still mostly assumed "
            f"(one independent request in {made.design_effect:.1f})."
        )
    return tuple(said)
