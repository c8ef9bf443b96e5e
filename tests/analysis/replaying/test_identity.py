"""The sliding-maximum identity, written twice more, against the event loop; and what follows from it for free."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.replay import replay
from analysis.replaying import identity as replay_identity
from analysis.replaying.policies import Policy

requests = st.lists(st.tuples(st.integers(0, 60), st.integers(1, 12)), min_size=1, max_size=40).map(sorted)


def columns(rows):
    return [a for a, _ in rows], [s for _, s in rows]


def sup_of_progress(rows, *, timeout: int, floor: int) -> list[bool]:
    """max(m, sup over [t-T, t) of N) <= N(t-), as the formula reads: N after every event, the value on entering the window included."""
    order = sorted([(a, 1, i, +1) for i, (a, _) in enumerate(rows)] + [(a + s, 0, i, -1) for i, (a, s) in enumerate(rows)])
    times, after, now = [], [], 0
    flags = []
    for at, _, _, step in order:
        if step > 0:
            level = now
            inside = [n for t, n in zip(times, after, strict=True) if t > at - timeout]
            entering = [n for t, n in zip(times, after, strict=True) if t <= at - timeout]
            flags.append(max(floor, entering[-1] if entering else 0, *inside, 0) <= level)
        now += step
        times.append(at)
        after.append(now)
    return flags


@pytest.mark.parametrize("floor", [0, 1, 3])
@given(rows=requests, timeout=st.integers(1, 30))
@settings(max_examples=200, deadline=None)
def test_identity_equals_the_formula_and_the_event_loop(floor, rows, timeout):
    arrival, service = columns(rows)
    by_levels = replay_identity.ages(arrival, service).cold(idle_timeout_s=timeout / 1000, min_workers=floor).tolist()
    assert by_levels == replay(arrival, service, Policy(idle_timeout_s=timeout / 1000, min_workers=floor)).cold.tolist()
    assert by_levels == sup_of_progress(rows, timeout=timeout, floor=floor)


@pytest.mark.parametrize("floor", [0, 1, 3])
@given(rows=requests, timeout=st.integers(1, 30), extra=st.integers(0, 15))
@settings(max_examples=150, deadline=None)
def test_fixed_point_equals_the_event_loop_where_cold_starts_take_time(floor, rows, timeout, extra):
    arrival, service = columns(rows)
    fixed = replay_identity.cold_flags(arrival, service, idle_timeout_s=timeout / 1000, min_workers=floor, cold_extra_ms=extra)
    looped = replay(arrival, service, Policy(idle_timeout_s=timeout / 1000, min_workers=floor), cold_extra_ms=extra)
    assert fixed.tolist() == looped.cold.tolist()


@given(rows=requests, timeout=st.integers(1, 30), longer=st.integers(0, 30), floor=st.integers(0, 3), more=st.integers(0, 3))
@settings(max_examples=150, deadline=None)
def test_a_longer_timeout_or_a_higher_floor_never_makes_a_warm_request_cold(rows, timeout, longer, floor, more):
    arrival, service = columns(rows)
    tight = replay(arrival, service, Policy(idle_timeout_s=timeout / 1000, min_workers=floor)).cold
    loose = replay(arrival, service, Policy(idle_timeout_s=(timeout + longer) / 1000, min_workers=floor + more)).cold
    assert not (loose & ~tight).any()


def bursty(seed: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Sessions of requests with lognormal service: hundreds at once, then hours of silence; whole milliseconds, so with ties."""
    rng = np.random.default_rng(seed)
    sessions = np.sort(rng.uniform(0, 86_400_000, n // 20))
    arrival = np.sort((np.repeat(sessions, 20) + rng.exponential(30_000, n // 20 * 20)).astype(np.int64))
    return arrival, np.rint(rng.lognormal(12, 1.5, len(arrival))).astype(np.int64)


@pytest.mark.parametrize("floor", [0, 1, 3])
def test_no_flag_differs_on_bursty_traffic_over_many_chunks(floor):
    arrival, service = bursty(11, 60_000)
    assert len(arrival) > 3 * replay_identity.CHUNK
    ages = replay_identity.ages(arrival, service)
    assert ages.in_progress.max() > 255  # levels past one byte are sorted as two
    for timeout_s in (5, 60, 600):
        looped = replay(arrival, service, Policy(idle_timeout_s=timeout_s, min_workers=floor)).cold
        differing = int((ages.cold(idle_timeout_s=timeout_s, min_workers=floor) != looped).sum())
        assert differing == 0
        assert 0 < looped.sum() < len(looped)


def test_no_flag_differs_where_a_chunk_lasts_minutes():
    rng = np.random.default_rng(6)
    arrival = np.sort(rng.integers(0, 600_000, 20_000))  # 33 a second, and then a silence of an hour
    arrival[15_000:] += 3_600_000
    service = rng.exponential(900, 20_000)
    ages = replay_identity.ages(arrival, service)
    for timeout_s in (0.1, 1, 5):
        looped = replay(arrival, service, Policy(idle_timeout_s=timeout_s)).cold
        assert (ages.cold(idle_timeout_s=timeout_s) == looped).all()
        assert 30 < looped.sum() < len(looped)


def test_no_flag_differs_with_more_than_65_536_requests_at_once():
    rng = np.random.default_rng(8)
    arrival = np.sort(rng.integers(0, 3_600_000, 150_000))
    service = rng.exponential(3_000_000, 150_000)
    ages = replay_identity.ages(arrival, service)
    assert ages.in_progress.max() > 1 << 16
    looped = replay(arrival, service, Policy(idle_timeout_s=0.5)).cold
    assert (ages.cold(idle_timeout_s=0.5) == looped).all()
    assert 0 < looped.sum() < len(looped)


def test_sweep_gives_the_cold_hits_and_idle_seconds_of_the_event_loop():
    arrival, service = bursty(5, 4_000)
    for row in replay_identity.sweep(replay_identity.ages(arrival, service), idle_timeouts_s=[5, 60, 600], floors=[0, 1, 3]):
        result = replay(arrival, service, Policy(idle_timeout_s=row.idle_timeout_s, min_workers=row.min_workers))
        assert row.cold == result.cold_hits
        if row.min_workers == 0:
            tails = row.idle_timeout_s * result.workers.peak  # after its last request no worker meets a next one
            assert row.idle_seconds == pytest.approx(result.workers.idle_us.sum() / 1e6, abs=tails)


@given(rows=st.lists(st.tuples(st.integers(0, 20), st.integers(0, 3)), min_size=1, max_size=20).map(sorted), timeout=st.integers(1, 9))
@settings(max_examples=100, deadline=None)
def test_requests_that_take_no_time_are_treated_alike(rows, timeout):
    arrival, service = columns(rows)
    looped = replay(arrival, service, Policy(idle_timeout_s=timeout / 1000)).cold
    assert replay_identity.ages(arrival, service).cold(idle_timeout_s=timeout / 1000).tolist() == looped.tolist()


def test_no_timeout_is_cold_once_per_worker():
    assert replay_identity.ages([0, 10**7, 2 * 10**7], [5, 5, 5]).cold(idle_timeout_s=None).tolist() == [True, False, False]
