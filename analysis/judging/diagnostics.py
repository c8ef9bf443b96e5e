"""How far the days of a trial are from what the evidence assumes of them: independent days of one kind."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trial.summary import DaySummary

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnostics:
    """
    Args:
        design_effect: how much more the day counts vary than independent requests would make them.
        effective_requests: requests / design effect: how many independent ones they are worth.
        lag_1: correlation of a day's score with the next day's.
        largest_day: the busiest day over the mean day.
        requests_trend_p, rate_trend_p: p-values of a slope over the days.
    """

    design_effect: float
    effective_requests: float
    lag_1: float
    largest_day: float
    requests_trend_p: float
    rate_trend_p: float


def describe(days: Sequence[DaySummary]) -> Diagnostics | None:
    """What a report shows beside the verdict; None without requests."""
    days = sorted(days, key=lambda d: d.day)
    requests = np.array([d.requests for d in days], dtype=np.float64)
    cold = np.array([d.cold_hits for d in days], dtype=np.float64)
    if not requests.any():
        return None
    kinds = weekends(days)
    effect = float(design_effect(requests, cold))
    return Diagnostics(
        design_effect=effect,
        effective_requests=float(requests.sum()) / max(effect, 1.0),
        lag_1=float(lag_1(scores(requests, cold))),
        largest_day=float(largest_share(requests)),
        requests_trend_p=float(trend(np.log1p(requests), kinds=kinds)[1]),
        rate_trend_p=float(trend(rates(requests, cold), requests, kinds=kinds)[1]),
    )


def weekends(days: Sequence[DaySummary]) -> npt.NDArray[np.bool_]:
    return np.array([d.day.weekday() >= 5 for d in days], dtype=bool)


def rates(requests: Floats, cold_hits: Floats) -> Floats:
    """Daily rates, 0 on a day without requests."""
    return np.divide(cold_hits, requests, out=np.zeros_like(cold_hits), where=requests > 0)


def scores(requests: Floats, cold_hits: Floats) -> Floats:
    """Day scores C - r N at the trial's own rate r; days along the last axis."""
    total = requests.sum(axis=-1, keepdims=True)
    rate = np.divide(cold_hits.sum(axis=-1, keepdims=True), total, out=np.zeros_like(total), where=total > 0)
    return cold_hits - rate * requests


def design_effect(requests: Floats, cold_hits: Floats) -> Floats:
    """
    Variance of the day scores over the one independent requests would give: how many requests are worth one.

    1 where it cannot be told: fewer than two days, none or all cold. Kish, "Survey Sampling", 1965, 8.2, with days as clusters.
    """
    days = requests.shape[-1]
    total, cold = requests.sum(axis=-1), cold_hits.sum(axis=-1)
    binomial = np.divide(cold * (total - cold), total, out=np.zeros_like(total), where=total > 0)
    if days < 2:
        return np.ones_like(binomial)
    between = (scores(requests, cold_hits) ** 2).sum(axis=-1) * days / (days - 1)
    return np.divide(between, binomial, out=np.ones_like(binomial), where=binomial > 0)


def lag_1(values: Floats) -> Floats:
    """Correlation of each day with the next, along the last axis; 0 where the values do not vary."""
    centred = values - values.mean(axis=-1, keepdims=True)
    power = (centred**2).sum(axis=-1)
    with_next = (centred[..., 1:] * centred[..., :-1]).sum(axis=-1)
    return np.divide(with_next, power, out=np.zeros_like(power), where=power > 0)


def largest_share(requests: Floats) -> Floats:
    """The busiest day over the mean day; 0 without requests."""
    mean = requests.mean(axis=-1)
    return np.divide(requests.max(axis=-1), mean, out=np.zeros_like(mean), where=mean > 0)


def trend(values: Floats, weights: Floats | None = None, *, kinds: npt.NDArray[np.generic] | None = None) -> tuple[Floats, Floats]:
    """
    The least-squares slope per day along the last axis, and its two-sided p-value.

    Args:
        weights: of the days; all alike by default.
        kinds: one label per day (weekday or weekend); each kind gets a level of its own, so that a week's rhythm is no trend.

    Returns:
        slope and p-value; p is 1 where values do not vary or too few days are left, 0 where they lie on a line.
    """
    days = values.shape[-1]
    w = np.ones_like(values) if weights is None else weights
    kinds = np.zeros(days, dtype=np.int64) if kinds is None else kinds
    df = days - 1 - len(np.unique(kinds))
    x = _centred(np.broadcast_to(np.arange(days, dtype=np.float64), values.shape), w, kinds)
    y = _centred(values, w, kinds)
    s_xx, s_xy, s_yy = (w * x * x).sum(axis=-1), (w * x * y).sum(axis=-1), (w * y * y).sum(axis=-1)
    slope = np.divide(s_xy, s_xx, out=np.zeros_like(s_xx), where=s_xx > 0)
    flat = s_yy <= 1e-18 * (w * values * values).sum(axis=-1)
    if df < 1:
        return slope, np.ones_like(slope)
    error = np.sqrt(np.divide(np.maximum(s_yy - slope * s_xy, 0.0), s_xx * df, out=np.zeros_like(s_xx), where=s_xx > 0))
    t = np.divide(slope, error, out=np.full_like(s_xx, math.inf), where=error > 0)
    return np.where(flat, 0.0, slope), np.where(flat | (s_xx <= 0), 1.0, p_value(t, df))


def _centred(values: Floats, weights: Floats, kinds: npt.NDArray[np.generic]) -> Floats:
    out = np.array(values, dtype=np.float64)
    for kind in np.unique(kinds):
        of = kinds == kind
        w = weights[..., of]
        total = w.sum(axis=-1, keepdims=True)
        out[..., of] -= (w * out[..., of]).sum(axis=-1, keepdims=True) / np.where(total > 0, total, 1.0)
    return out


def p_value(t: Floats, df: int) -> Floats:
    """Two-sided p-value of Student's t for whole degrees of freedom (Abramowitz and Stegun, 26.7.3 and 26.7.4)."""
    theta = np.arctan(np.abs(np.asarray(t, dtype=np.float64)) / math.sqrt(df))
    sin, cos2 = np.sin(theta), np.cos(theta) ** 2
    term, total = np.ones_like(theta), np.ones_like(theta)
    if df % 2:
        for k in range(1, (df - 1) // 2):
            term = term * cos2 * (2 * k) / (2 * k + 1)
            total = total + term
        inside = 2 / math.pi * (theta + (sin * np.cos(theta) * total if df > 1 else 0.0))
    else:
        for k in range(1, df // 2):
            term = term * cos2 * (2 * k - 1) / (2 * k)
            total = total + term
        inside = sin * total
    return np.clip(1 - inside, 0.0, 1.0)
