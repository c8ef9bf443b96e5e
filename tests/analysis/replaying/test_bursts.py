"""Bursts that were planted, and counts that can be made by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.replay import replay
from analysis.replaying.arrivals import Arrivals
from analysis.replaying.bursts import concurrency, observed, replayed
from analysis.replaying.policies import Policy

MINUTE = 60_000.0


def viral(rate: int = 10, burst: int = 1000, *, minutes: int = 180, at: int = 120, lasts: int = 5) -> np.ndarray:
    """`rate` requests a minute, evenly, and `burst` a minute for `lasts` minutes from minute `at` on."""
    return np.concatenate(
        [m * MINUTE + np.arange(n) * MINUTE / n for m in range(minutes) for n in [burst if at <= m < at + lasts else rate]]
    )


def test_the_planted_burst_is_found_with_its_herd():
    arrivals = viral()
    result = replay(arrivals, np.full(len(arrivals), 200.0), Policy(idle_timeout_s=600), cold_extra_ms=10_000)
    found = replayed(result)
    assert len(found.bursts) == 1
    burst = found.bursts[0]
    assert (burst.start_ms, burst.end_ms) == (120 * MINUTE, 125 * MINUTE)
    assert (burst.requests, burst.peak_rate, burst.rate_before) == (5000, 1000, 10)
    # Until the first worker is through, 10.2 s, 170 requests come, and the one warm worker takes every fourth of them.
    assert burst.cold == pytest.approx(170 * 3 / 4, abs=2)
    assert burst.absorbed_ms == pytest.approx(20_400, abs=300)
    assert found.cold_in_bursts == pytest.approx(burst.cold / result.cold_hits)
    assert found.starts_per_minute == burst.cold
    assert found.busiest_minute == 1000
    assert found.slowest_absorbed_ms == burst.absorbed_ms


def test_steady_and_empty_traffic_has_no_burst():
    steady = viral(burst=10)
    found = concurrency(steady, steady + 100, np.zeros(len(steady), bool))
    assert (found.bursts, found.cold_in_bursts, found.peak_concurrent) == ((), None, 1)
    none = concurrency(np.zeros(0), np.zeros(0), np.zeros(0, bool))
    assert (none.requests, none.peak_concurrent, none.bursts) == (0, 0, ())


def test_neither_the_start_of_a_log_nor_a_working_day_is_a_burst():
    start = viral(rate=40, burst=40, minutes=60)
    day = np.concatenate([viral(rate=1, burst=1, minutes=480), 480 * MINUTE + viral(rate=20, burst=20, minutes=480)])
    for log in (start, day):
        assert concurrency(log, log + 1, np.zeros(len(log), bool)).bursts == ()


def test_two_bursts_with_calm_between_are_two():
    arrivals = np.concatenate([viral(minutes=180, lasts=3), 180 * MINUTE + viral(minutes=180, lasts=3)])
    found = concurrency(arrivals, arrivals + 1, np.zeros(len(arrivals), bool))
    assert [b.start_ms for b in found.bursts] == [120 * MINUTE, 300 * MINUTE]


@given(st.lists(st.tuples(st.integers(0, 200), st.integers(1, 50)), min_size=1, max_size=40).map(sorted))
@settings(max_examples=200, deadline=None)
def test_peak_is_what_counting_every_request_gives(rows):
    at, ended = np.array([a for a, _ in rows], dtype=float), np.array([a + s for a, s in rows], dtype=float)
    by_hand = max(sum(1 for a, s in rows if a <= t < a + s) for t, _ in rows)
    assert concurrency(at, ended, np.zeros(len(rows), bool)).peak_concurrent == by_hand


def test_rejections_count_as_throttles_and_json_is_plain():
    arrivals = viral()
    policy = Policy(idle_timeout_s=600, max_workers=5, overflow="reject")
    found = replayed(replay(arrivals, np.full(len(arrivals), 200.0), policy, cold_extra_ms=10_000))
    assert found.throttled > 100
    data = found.as_json()
    assert json.loads(json.dumps(data, allow_nan=False)) == data
    assert data["worst_burst"]["peak_rate"] > 500


def test_observed_bursts_leave_pings_out():
    log = Arrivals(
        arrival_ms=np.array([0.0, 10.0, 20.0]),
        service_ms=np.full(3, 100.0),
        cold_extra_ms=None,
        synthetic=np.array([False, True, False]),
        day=np.zeros(3, np.int64),
        days=1,
        cold=np.array([True, True, False]),
        known=np.ones(3, bool),
        throttled=3,
    )
    found = observed(log)
    assert (found.requests, found.peak_concurrent, found.cold_hits, found.throttled) == (2, 2, 1, 3)


def test_a_sentence_and_the_time_of_the_worst_burst_from_a_log():
    at = viral()
    result = replay(at, np.full(len(at), 200.0), Policy(idle_timeout_s=600), cold_extra_ms=10_000)
    seen = Arrivals(
        arrival_ms=at,
        service_ms=np.full(len(at), 200.0),
        cold_extra_ms=None,
        synthetic=np.zeros(len(at), np.bool_),
        day=np.zeros(len(at), np.int64),
        days=1,
        cold=result.cold,
        ended_ms=at + 200 + result.waited_us / 1000,
        origin_us=1_793_577_600_000_000,
        throttled=1234,
    )
    found = observed(seen)
    assert found.as_json()["worst_burst"]["began"] == "2026-11-02T02:00:00+00:00"
    assert "1,000 in a minute" in found.sentence() and "1,234 throttled" in found.sentence()
    assert "1 burst with " in found.sentence() and found.sentence().endswith(" s")
    quiet = concurrency(np.arange(3) * MINUTE, np.arange(3) * MINUTE + 5, np.zeros(3, np.bool_))
    assert quiet.sentence().endswith("No bursts") and quiet.as_json()["worst_burst"] is None
