"""The e-process and the confidence sequence that inverts it."""

from __future__ import annotations

import math

import numpy as np
import pytest
import ville
from hypothesis import example, given, settings
from hypothesis import strategies as st

from analysis.statistics import confidence_sequence, critical_t, enough_requests, evidence, long_run

# Wang and Ramdas 2023 (arXiv 2310.03722) with g = 1, alpha = 0.05; computed apart from this code.
CRITICAL_T = {5: 8.45, 6: 5.45, 7: 4.64, 8: 4.25, 9: 4.02, 10: 3.87, 12: 3.68, 14: 3.58, 21: 3.41, 28: 3.36}


def plain_evidence(scores: list[float]) -> float:
    """E_n as the formula is printed, with t."""
    n = len(scores)
    t2 = n * np.mean(scores) ** 2 / np.var(scores, ddof=1)
    return (1 + n) ** -0.5 * ((1 + t2 / (n - 1)) / (1 + t2 / ((n - 1) * (1 + n)))) ** (n / 2)


@st.composite
def counts(draw, *, max_days: int = 30, most: int = 2_000):
    requests = draw(st.lists(st.integers(0, most), max_size=max_days))
    return requests, [draw(st.integers(0, n)) for n in requests]


@pytest.mark.parametrize("days", CRITICAL_T)
def test_critical_values_are_those_published(days):
    assert critical_t(days) == pytest.approx(CRITICAL_T[days], abs=0.005)


@pytest.mark.parametrize("days", range(5))
def test_no_data_can_decide_before_five_days(days):
    assert math.isinf(critical_t(days))
    assert evidence([1000] * days, [0] * days, 0.2) < 20


@pytest.mark.parametrize("alpha", [0, 1, -0.1, 2])
def test_an_alpha_that_is_none_is_refused(alpha):
    with pytest.raises(ValueError, match="alpha"):
        critical_t(7, alpha=alpha)


def test_evidence_is_the_printed_formula():
    requests, cold = [600, 580, 640, 0, 610, 700], [130, 150, 160, 0, 110, 170]
    assert evidence(requests, cold, 0.2) == pytest.approx(plain_evidence([c - 0.2 * n for n, c in zip(requests, cold, strict=True)]))


@pytest.mark.parametrize("days", [2, 5, 7, 14])
@pytest.mark.parametrize("cold", [0, 25, 100])
def test_where_equal_days_leave_no_spread_the_limit_counts(days, cold):
    assert evidence([100] * days, [cold] * days, 0.2) == pytest.approx((1 + days) ** ((days - 1) / 2))


@pytest.mark.parametrize("shift", [0.0, 0.02, 0.05])
def test_over_many_days_it_is_the_gaussian_mixture_of_ville(shift):
    """With the variance known to so many days, Wang and Ramdas's t-mixture is Robbins's normal mixture over the effect size."""
    rng = np.random.default_rng([14, int(100 * shift)])
    scores = rng.normal(shift, 1.0, 20_000)
    cold = 200_000 + np.rint(10_000 * scores)
    plain = ville.MSPRT(theta0=0.0, sigma=float(scores.std(ddof=1)), tau=float(scores.std(ddof=1))).fit(scores)
    ours = evidence([1_000_000] * len(cold), cold, 0.2)
    assert math.log(ours) == pytest.approx(plain.log_e_values_[-1], rel=0.01, abs=0.01)


@pytest.mark.parametrize(("requests", "cold"), [([15, 30, 35, 55, 5], [3, 6, 7, 11, 1]), ([0] * 5, [0] * 5)])
def test_days_exactly_at_the_threshold_are_the_least_evidence(requests, cold):
    # 0.2 * 15 is not 3 in binary: the scores must be taken for the zeros they are.
    assert evidence(requests, cold, 0.2) == pytest.approx(6**-0.5)


def test_nothing_and_one_day_are_no_evidence():
    assert evidence([], [], 0.2) == 1.0
    assert evidence([900], [900], 0.2) == 1.0
    for of in (confidence_sequence([], []), confidence_sequence([900], [900]), confidence_sequence([0] * 9, [0] * 9)):
        assert (of.low, of.high) == (0.0, 1.0)


def test_huge_counts_neither_overflow_nor_lose_the_answer():
    big = 10**200
    of = confidence_sequence([big * k for k in (6, 5, 7, 6, 6, 5)], [big * k for k in (3, 2, 3, 3, 3, 3)])
    small = confidence_sequence([6, 5, 7, 6, 6, 5], [3, 2, 3, 3, 3, 3])
    assert (of.low, of.high) == pytest.approx((small.low, small.high))
    assert evidence([big] * 20, [0] * 20, 0.2) == pytest.approx(21**9.5)
    assert evidence([100] * 200, [0] * 200, 0.2) == pytest.approx(201**99.5)
    assert evidence([100] * 400, [0] * 400, 0.2) == math.inf


@pytest.mark.parametrize(("requests", "cold"), [([3], [4]), ([3], [-1]), ([3, 4], [1]), ([math.nan], [0]), ([[3]], [[1]])])
def test_counts_that_are_none_are_refused(requests, cold):
    with pytest.raises(ValueError):
        evidence(requests, cold, 0.2)
    with pytest.raises(ValueError):
        confidence_sequence(requests, cold)


@given(counts(), st.floats(0, 1), st.sampled_from([0.01, 0.05, 0.2]))
@example(([10] * 13 + [10_000], [10] * 13 + [0]), 0.001, 0.05)
@example(([19, 516, 8, 2, 69, 11, 12], [0, 330, 0, 0, 7, 6, 5]), 0.64, 0.05)
@settings(max_examples=300, deadline=None)
def test_the_interval_and_the_evidence_agree(of, p, alpha):
    requests, cold = of
    cs = confidence_sequence(requests, cold, alpha=alpha)
    e = evidence(requests, cold, p)
    assert e > 0
    assert 0 <= cs.low <= cs.high <= 1
    assert cs.best is None or cs.low <= cs.best <= cs.high
    if math.isclose(e, 1 / alpha, rel_tol=1e-6) or min(abs(p - cs.low), abs(p - cs.high)) < 1e-9:
        return
    if p < cs.low or p > cs.high:
        assert e >= 1 / alpha
    elif e >= 1 / alpha:
        # Inside, only where days of very unequal size leave a hole, and then the interval spans it whole.
        assert (cs.low, cs.high) == (0.0, 1.0)


@given(st.lists(st.tuples(st.integers(50, 150), st.floats(0, 1)), min_size=5, max_size=20))
@settings(deadline=None)
def test_days_of_like_size_have_no_hole(days):
    requests = [n for n, _ in days]
    cold = [int(n * share) for n, share in days]
    n = np.array(requests)
    if critical_t(len(n)) ** 2 / len(n) * n.var(ddof=1) >= n.mean() ** 2:
        return
    cs = confidence_sequence(requests, cold)
    for p in np.linspace(0, 1, 41):
        if min(abs(p - cs.low), abs(p - cs.high)) > 1e-6:
            assert (p < cs.low or p > cs.high) == (evidence(requests, cold, float(p)) >= 20)


def test_the_sequence_covers_gaussian_days_at_every_look_at_once():
    rng = np.random.default_rng(20261102)
    missed = 0
    for _ in range(400):
        requests = rng.poisson(600, size=14)
        cold = np.clip(np.rint(requests * 0.2 + rng.normal(0, 40, size=14)), 0, requests)
        missed += any(evidence(requests[:n], cold[:n], 0.2) >= 20 for n in range(5, 15))
    assert missed <= 14  # 1.5 % expected at day 14, 5 % promised; 3.5 % is four standard errors out


@given(counts())
def test_the_long_run_interval_is_never_narrower(of):
    plain, floored = confidence_sequence(*of), long_run(*of)
    assert floored.low <= plain.low <= plain.high <= floored.high


def test_none_cold_leaves_room_above_zero():
    assert confidence_sequence([10] * 7, [0] * 7).high == 0
    assert long_run([10] * 7, [0] * 7).high == pytest.approx(1 - 0.025 ** (1 / 70))
    assert long_run([10] * 7, [10] * 7).low == pytest.approx(0.025 ** (1 / 70))


def test_a_handful_of_requests_is_not_enough():
    assert not enough_requests(0, 0, 0.2)
    assert not enough_requests(10, 0, 0.2)
    assert enough_requests(17, 0, 0.2)  # 0.8^17 = 2.25 %
    assert not enough_requests(16, 0, 0.2)
    assert enough_requests(10, 10, 0.2)
    assert enough_requests(25, 5, 0.2)
