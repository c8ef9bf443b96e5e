"""The verdict's evidence on every day of many trials at once, and what simpler rules would have said."""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from analysis.judging.flags import FEW_DAYS, traffic_flags
from analysis.judging.weighing import LEAST_DAYS
from analysis.statistics import ENOUGH_EXPECTED, critical_t
from analysis.verdict import ALIKE

Floats = npt.NDArray[np.float64]
Sides = npt.NDArray[np.int8]  # trials x days: +1 above, -1 below, 0 open
Rule = Callable[..., Sides]


def t_mixture(requests: Floats, cold_hits: Floats, *, threshold: float, alpha: float, weekend: npt.NDArray[np.bool_]) -> Sides:
    """What analysis.verdict.judge would decide after each day, users noticing; tests hold it to that, row by row."""
    trials, days = requests.shape
    sides = np.zeros((trials, days), dtype=np.int8)
    for n in range(LEAST_DAYS, days + 1):
        t = critical_t(n, alpha=alpha)
        if math.isinf(t):
            continue
        requests_n, cold_n = requests[:, :n], cold_hits[:, :n]
        total, cold = requests_n.sum(axis=1), cold_n.sum(axis=1)
        side = _excluded(requests_n, cold_n, threshold, t * t / n)
        side[~_enough(total, cold, threshold, alpha)] = 0
        # All warm or all cold: the requests themselves must leave the threshold out.
        side[(cold == 0) & (total * math.log1p(-threshold) > math.log(alpha / 2))] = 0
        side[(cold == total) & (total * math.log(threshold) > math.log(alpha / 2))] = 0
        side[(side < 0) & ~_whole_week(requests_n, weekend[:n])] = 0
        sides[:, n - 1] = side
    return sides


def plain_threshold(requests: Floats, cold_hits: Floats, *, threshold: float, alpha: float) -> Sides:  # noqa: ARG001 - one signature for all rules
    """Above as soon as the cumulative rate is, whatever `alpha`; it never says below."""
    return (np.cumsum(cold_hits, axis=1) > threshold * np.cumsum(requests, axis=1)).astype(np.int8)


def wilson(requests: Floats, cold_hits: Floats, *, threshold: float, alpha: float) -> Sides:
    """A Wilson score interval on all requests so far, looked at daily: at level alpha for one look at independent requests."""
    total, cold = np.cumsum(requests, axis=1), np.cumsum(cold_hits, axis=1)
    z = NormalDist().inv_cdf(1 - alpha / 2)
    off = cold - threshold * total
    return np.where(off * off > z * z * total * threshold * (1 - threshold), np.sign(off), 0).astype(np.int8)


def beta_binomial(requests: Floats, cold_hits: Floats, *, threshold: float, alpha: float) -> Sides:
    """
    The anytime-valid sequence for independent requests: a uniform mixture over the binomial (Robbins 1970), with
    E = B(C + 1, N - C + 1) / (p^C (1 - p)^(N - C)).
    """
    total, cold = np.cumsum(requests, axis=1), np.cumsum(cold_hits, axis=1)
    log_e = _log_beta(cold + 1, total - cold + 1) - cold * math.log(threshold) - (total - cold) * math.log1p(-threshold)
    return np.where(log_e >= -math.log(alpha), np.sign(cold - threshold * total), 0).astype(np.int8)


def flagged(requests: Floats, cold_hits: Floats, *, weekend: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Whether a flag of the traffic is up after each day: trials x days."""
    trials, days = requests.shape
    up = np.ones((trials, days), dtype=bool)
    for n in range(FEW_DAYS, days + 1):
        up[:, n - 1] = np.logical_or.reduce(list(traffic_flags(requests[:, :n], cold_hits[:, :n], weekend[:n]).values()))
    return up


def _excluded(requests: Floats, cold_hits: Floats, p: float, q: float) -> npt.NDArray[np.int8]:
    """On which side the confidence sequence leaves p out; the same Fieller inequality as analysis.statistics, in p."""
    v = requests.shape[1] - 1
    n, c = requests.mean(axis=1), cold_hits.mean(axis=1)
    of_n, of_c = requests - n[:, None], cold_hits - c[:, None]
    s_nn, s_cn, s_cc = (of_n**2).sum(axis=1) / v, (of_n * of_c).sum(axis=1) / v, (of_c**2).sum(axis=1) / v
    a, b, c0 = n * n - q * s_nn, c * n - q * s_cn, c * c - q * s_cc
    off = c - p * n
    rejected = (off * off >= q * (s_cc - 2 * p * s_cn + p * p * s_nn)) & (np.abs(off) > 1e-9 * (c + p * n))
    side = np.where(rejected, np.sign(off), 0).astype(np.int8)
    # Where a <= 0 the rates not rejected lie on both sides of the rejected ones, unless those reach an end of [0, 1]: at p = 0 or at p = 1.
    hole = (a <= 0) & np.where(side > 0, c0 < 0, a - 2 * b + c0 < 0)
    side[hole] = 0
    return side


def _enough(total: Floats, cold: Floats, threshold: float, alpha: float) -> npt.NDArray[np.bool_]:
    rate = np.divide(cold, total, out=np.zeros_like(total), where=total > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = [np.where(a > 0, a * np.log(a / b), 0.0) for a, b in ((rate, threshold), (1 - rate, 1 - threshold))]
    return (total * min(threshold, 1 - threshold) >= ENOUGH_EXPECTED) | ((total > 0) & (total * sum(terms) >= -math.log(alpha / 2)))


def _whole_week(requests: Floats, weekend: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    if len(weekend) >= 7:
        return np.ones(len(requests), dtype=bool)
    if weekend.all() or not weekend.any():
        return np.zeros(len(requests), dtype=bool)
    week, end = requests[:, ~weekend].mean(axis=1), requests[:, weekend].mean(axis=1)
    ratio = np.divide(end, week, out=np.zeros_like(week), where=week > 0)
    return (ratio >= ALIKE[0]) & (ratio <= ALIKE[1])


def _log_beta(a: Floats, b: Floats) -> Floats:
    lgamma = np.vectorize(math.lgamma, otypes=[np.float64])
    return lgamma(a) + lgamma(b) - lgamma(a + b)
