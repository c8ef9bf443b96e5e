"""
The evidence on one rate from one count per complete local day: an e-process, and the confidence sequence that inverts it.

Requests meet cold instances in clusters, so the days are the units. With n days, N_d requests and C_d cold hits on day d, and a
rate p, the day scores are D_d(p) = C_d - p N_d, which have mean zero exactly if p is the long-run rate E[C]/E[N]. With t the
one-sample t statistic of the scores and g = 1,

    E_n(p) = (1 + n g)^(-1/2) [ (1 + t^2/(n-1)) / (1 + t^2/((n-1)(1 + n g))) ]^(n/2)

is the t-test e-process with a Gaussian mixture over the effect size and the right Haar prior over the scale: H. Wang, A. Ramdas,
"Anytime-valid t-tests and confidence sequences for Gaussian means with unknown variance", 2023, arXiv 2310.03722. It may be looked
at every day: P(E_n(p) >= 1/alpha for any n) <= alpha for independent Gaussian scores. How it behaves on traffic that is neither
is measured in analysis.judging.calibration and told in docs/how-the-verdict-works.md.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from trial.records import Estimate

METHOD = "t-mixture on day counts"
ENOUGH_EXPECTED = 5.0

Counts = Sequence[int] | npt.NDArray[np.generic]
_ROUNDING = 8 * np.finfo(np.float64).eps


def evidence(requests: Counts, cold_hits: Counts, threshold: float) -> float:
    """
    The e-value against "the long-run rate is `threshold`"; 20 or more is evidence at 95 %.

    Where the scores do not vary at all, their limit counts: (1 + n)^((n - 1) / 2) if they are one and the same number that is not
    zero, and (1 + n)^(-1/2), the least any data can give, if every day hits the threshold exactly or nothing was asked at all.

    Args:
        requests, cold_hits: one count per complete local day; days without a request count as days.
        threshold: a rate in [0, 1].

    Returns:
        a number above 0; infinite only where it passes the largest float.

    Raises:
        ValueError: the two lists do not fit, or the threshold is no rate.
    """
    if not 0 <= threshold <= 1:
        raise ValueError(f"a threshold is a rate between 0 and 1, got {threshold}")
    n_d, c_d = _counts(requests, cold_hits)
    try:
        return math.exp(_log_evidence(n_d, c_d, threshold))
    except OverflowError:
        return math.inf


def critical_t(days: int, *, alpha: float = 0.05) -> float:
    """
    The |t| of the day scores from which the e-value reaches 1/alpha; infinite while no data could (at 5 %: up to four days).

    From E_n = 1/alpha with k = (sqrt(1 + n) / alpha)^(2/n): t^2 = (n - 1)(k - 1) / (1 - k / (1 + n)).
    """
    if not 0 < alpha < 1:
        raise ValueError(f"alpha is between 0 and 1, got {alpha}")
    if days < 2:
        return math.inf
    k = math.exp(2 / days * (0.5 * math.log1p(days) - math.log(alpha)))
    return math.inf if k >= 1 + days else math.sqrt((days - 1) * (k - 1) / (1 - k / (1 + days)))


def confidence_sequence(requests: Counts, cold_hits: Counts, *, alpha: float = 0.05) -> Estimate:
    """
    Every rate that the e-process does not reject: the long-run rate with an interval that holds on all days at once.

    These are the Fieller roots of (C - p N)^2 = q (s_CC - 2 p s_CN + p^2 s_NN), with means, variances and covariance over the
    days and q = critical_t^2 / n. [0, 1] while the days say nothing. Where the days of many and of few requests differ so much that
    the rates not rejected lie outside two roots, the interval is the smallest that holds them all.

    Args:
        requests, cold_hits: one count per complete local day.

    Returns:
        low and high within [0, 1]; best is all cold hits over all requests, None without requests; n is the number of days.

    Raises:
        ValueError: the two lists do not fit, or alpha is not between 0 and 1.
    """
    n_d, c_d = _counts(requests, cold_hits)
    days, total = len(n_d), float(n_d.sum())
    best = float(c_d.sum()) / total if total else None
    t = critical_t(days, alpha=alpha)
    low, high = (0.0, 1.0) if best is None or math.isinf(t) else _fieller(n_d, c_d, best, t * t / days)
    if best is not None:
        low, high = min(low, best), max(high, best)
    return Estimate(low=low, best=best, high=high, n=days, method=METHOD)


def long_run(requests: Counts, cold_hits: Counts, *, alpha: float = 0.05) -> Estimate:
    """
    The confidence sequence, widened where all requests or none were cold: days that are all alike show no spread to reckon with.

    There the requests themselves bound the rate: (1 - p)^N >= alpha / 2 when none of N was cold (the "rule of three"). It holds at
    every look, for a run of nothing but warm requests can fall below alpha / 2 only once.
    """
    of = confidence_sequence(requests, cold_hits, alpha=alpha)
    total, cold = int(np.sum(requests)), int(np.sum(cold_hits))
    if total == 0 or 0 < cold < total:
        return of
    room = -math.expm1(math.log(alpha / 2) / total)
    low, high = (of.low, max(of.high, room)) if cold == 0 else (min(of.low, 1 - room), of.high)
    return Estimate(low=low, best=of.best, high=high, n=of.n, method=of.method)


def enough_requests(requests: int, cold_hits: int, threshold: float, *, alpha: float = 0.05) -> bool:
    """
    Whether there are requests enough for day counts to be judged by their spread.

    Either five or more cold and five or more warm requests are expected at the threshold (the usual bound for counts to be nearly
    Gaussian), or the counts would be a surprise even if requests were independent: exp(-N KL(C/N || threshold)) <= alpha / 2
    (Chernoff's bound). Ten requests without a cold hit are no evidence of anything, however alike the days.
    """
    if requests == 0:
        return False
    if requests * min(threshold, 1 - threshold) >= ENOUGH_EXPECTED:
        return True
    rate = cold_hits / requests
    divergence = sum(a * math.log(a / b) for a, b in ((rate, threshold), (1 - rate, 1 - threshold)) if a > 0)
    return math.exp(-requests * divergence) <= alpha / 2


def _counts(requests: Counts, cold_hits: Counts) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    n_d, c_d = np.asarray(requests, dtype=np.float64), np.asarray(cold_hits, dtype=np.float64)
    if n_d.ndim != 1 or n_d.shape != c_d.shape:
        raise ValueError(f"one count of each kind per day: got {n_d.shape} days of requests and {c_d.shape} of cold hits")
    if not (np.isfinite(n_d).all() and (c_d >= 0).all() and (c_d <= n_d).all()):
        raise ValueError("every day needs 0 <= cold hits <= requests, both finite")
    return n_d, c_d


def _log_evidence(n_d: npt.NDArray[np.float64], c_d: npt.NDArray[np.float64], p: float) -> float:
    """With S = sum of (D - mean D)^2 and R = n (mean D)^2, E = (1 + n)^(-1/2) [(S + R) / (S + R / (1 + n))]^(n/2): 0/0 at R = S = 0."""
    days = len(n_d)
    if days < 2:
        return 0.0
    scores = c_d - p * n_d
    scores[np.abs(scores) <= _ROUNDING * (c_d + p * n_d)] = 0.0
    largest = float(np.abs(scores).max())
    if largest == 0:
        return -0.5 * math.log1p(days)
    scores /= largest  # E knows no unit; squares of huge counts would overflow
    mean = float(scores.mean())
    spread = float(((scores - mean) ** 2).sum())
    shift = days * mean * mean
    return -0.5 * math.log1p(days) + days / 2 * (math.log(spread + shift) - math.log(spread + shift / (1 + days)))


def _fieller(n_d: npt.NDArray[np.float64], c_d: npt.NDArray[np.float64], best: float, q: float) -> tuple[float, float]:
    scale = float(n_d.max())
    n_d, c_d = n_d / scale, c_d / scale
    n, c = float(n_d.mean()), float(c_d.mean())
    of_n, of_c = n_d - n, c_d - c
    v = len(n_d) - 1
    s_nn, s_cn, s_cc = float(of_n @ of_n) / v, float(of_c @ of_n) / v, float(of_c @ of_c) / v
    residual = of_c - best * of_n
    a, b = n * n - q * s_nn, c * n - q * s_cn
    # b^2 - a c written without the cancelling terms.
    root = math.sqrt(max(0.0, q * n * n * float(residual @ residual) / v + q * q * (s_cn * s_cn - s_nn * s_cc)))
    if a > 0:
        return min(1.0, max(0.0, (b - root) / a)), max(0.0, min(1.0, (b + root) / a))
    if a == 0 or root == 0:
        return 0.0, 1.0
    below, above = (b + root) / a, (b - root) / a  # a < 0: rejected between the roots
    if below < 0 and above > 0:
        return min(above, 1.0), 1.0
    if above > 1 and below < 1:
        return 0.0, max(below, 0.0)
    return 0.0, 1.0
