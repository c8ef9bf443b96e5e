"""The idle time-out from logs: planted ones, open ones, and the real ones of AWS Lambda in 2020."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.replay import replay
from analysis.replaying.idle_timeout import estimate_idle_timeout, from_gaps
from analysis.replaying.policies import Policy
from trial.errors import ConfigError

LAMBDA = Path(__file__).resolve().parents[3].parent / "shared" / "data" / "lambda-2020"


def lambda_log(name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    with (LAMBDA / name).open() as file:
        rows = sorted((float(r["client_start_time"]), float(r["client_end_time"]), r["is_cold"] == "True") for r in csv.DictReader(file))
    arrival, end, cold = (np.array(column) for column in zip(*rows, strict=True))
    return arrival * 1000, end * 1000, cold


@pytest.mark.skipif(not LAMBDA.exists(), reason="the Lambda logs are not on this machine")
@pytest.mark.parametrize(
    ("name", "misfits"),
    [
        ("res-01-2020-05-28_01-57-40.csv", 0),
        ("res-01-2020-06-06_22-39-19.csv", 0),
        ("res-01-2020-06-10_22-20-08.csv", 6),
    ],
)
def test_replay_at_the_estimated_timeout_tells_the_real_lambda_log(name, misfits):
    arrival, end, cold = lambda_log(name)
    timeout = estimate_idle_timeout(arrival, end, cold)
    assert 629 <= timeout.best_s <= 655
    assert timeout.misfits == misfits
    took = end - arrival
    warm_service = float(np.median(took[~cold]))
    result = replay(
        arrival,
        np.where(cold, warm_service, took),
        Policy(idle_timeout_s=timeout.best_s),
        cold_extra_ms=float(np.median(took[cold])) - warm_service,
    )
    steady = arrival - arrival[0] > 30 * 60_000
    assert (result.cold[steady] == cold[steady]).mean() >= 0.98
    assert abs(result.cold[steady].mean() - cold[steady].mean()) <= 0.01


@given(seed=st.integers(0, 1000), timeout_s=st.sampled_from([30, 300, 640]))
@settings(max_examples=30, deadline=None)
def test_a_planted_timeout_lies_inside_its_bracket(seed, timeout_s):
    rng = np.random.default_rng(seed)
    arrival = np.cumsum(rng.exponential(timeout_s * 600, 400))
    service = rng.lognormal(7, 1, 400)
    planted = replay(arrival, service, Policy(idle_timeout_s=timeout_s), cold_extra_ms=4000)
    ends = arrival + service + planted.waited_us / 1000
    found = estimate_idle_timeout(arrival, ends, planted.cold)
    assert found.misfits == 0
    assert found.low_s <= timeout_s <= found.high_s
    assert found.best_s == pytest.approx(timeout_s, rel=0.1)


def test_the_bracket_is_open_where_the_log_says_nothing():
    all_warm = estimate_idle_timeout([0, 10_000, 30_000], [1000, 11_000, 31_000], [True, False, False])
    assert (all_warm.low_s, all_warm.best_s, all_warm.high_s) == (19.0, None, math.inf)
    all_cold = estimate_idle_timeout([0, 10_000, 30_000], [1000, 11_000, 31_000], [True, True, True])
    assert (all_cold.low_s, all_cold.best_s, all_cold.high_s) == (0.0, None, 9.0)
    nothing = estimate_idle_timeout([0], [1], [True])
    assert (nothing.gaps, nothing.best_s) == (0, None)
    for found in (all_warm, all_cold, nothing):
        assert "\n" not in found.sentence()
        assert found.as_estimate().low <= found.as_estimate().high


def test_misfits_are_counted_by_kind():
    gaps = np.array([1, 2, 3, 4, 5, 6, 7, 8]) * 1_000_000
    found = from_gaps(gaps, np.array([0, 1, 0, 0, 1, 1, 0, 1], dtype=bool))
    assert (found.low_s, found.high_s, found.cold_within, found.warm_beyond) == (4.0, 5.0, 1, 1)


@given(seed=st.integers(0, 200))
@settings(max_examples=20, deadline=None)
def test_misfits_widen_the_range_until_it_holds_what_was_planted(seed):
    rng = np.random.default_rng(seed)
    gaps = np.sort(rng.uniform(0, 120, 400)) * 1_000_000
    cold = (gaps > 60_000_000) ^ (rng.random(400) < 0.05)
    found = from_gaps(gaps.astype(np.int64), cold)
    low, high = found.range_s
    assert low <= found.low_s <= found.high_s <= high < math.inf
    assert low <= 60 <= high and high - low < 30
    assert (found.as_estimate().low, found.as_estimate().high) == (low, high)
    exact = from_gaps(gaps.astype(np.int64), gaps > 60_000_000)
    assert exact.range_s == (exact.low_s, exact.high_s)


def test_kept_workers_and_shared_ones_tell_nothing():
    # One worker is kept for ever: its long gaps are warm, whatever the time-out.
    rng = np.random.default_rng(4)
    arrival, service = np.cumsum(rng.exponential(200_000, 600)), rng.exponential(60_000, 600)
    planted = replay(arrival, service, Policy(idle_timeout_s=300, min_workers=1))
    ends = arrival + service
    found = estimate_idle_timeout(arrival, ends, planted.cold, min_workers=1)
    assert (found.misfits, found.low_s <= 300 <= found.high_s) == (0, True)
    shared = replay(arrival, service, Policy(idle_timeout_s=300, concurrency=50))
    found = estimate_idle_timeout(arrival, ends, shared.cold, concurrency=50)
    assert (found.misfits, found.low_s <= 300 <= found.high_s) == (0, True)


def test_unknown_flags_keep_workers_busy_and_tell_nothing():
    found = estimate_idle_timeout([0, 10_000, 40_000], [1000, 35_000, 41_000], [True, False, True], known=[True, False, True])
    assert found.gaps == 1
    assert found.high_s == 5.0


def test_columns_that_do_not_fit_are_refused():
    with pytest.raises(ConfigError, match="2 arrivals, 1 ends"):
        estimate_idle_timeout([0, 1], [1], [True, False])
    with pytest.raises(ConfigError, match="not sorted"):
        estimate_idle_timeout([1, 0], [2, 2], [True, False])
