"""Lives of instances out of what the logs show, with their bounds."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.costing.busy import Busy, busy, union, within
from analysis.costing.instances import missing_us
from analysis.costing.lives import Idle, lives, to_us
from trial.records import Instance, Invocation
from trial.schema import invocations_table

T0 = datetime(2026, 11, 2, 12, tzinfo=UTC)
S = 1_000_000
FIVE = Idle(low_us=5 * S, best_us=5 * S, high_us=5 * S)
UP_TO_15_MIN = Idle(low_us=0, best_us=900 * S, high_us=900 * S)


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def us(seconds: float) -> int:
    return to_us(T0) + round(seconds * S)


def invocation(second: float, **kwargs) -> Invocation:
    values = {"instance_id": "a", "handler_ms": 1000.0, "status": "ok", **kwargs}
    return Invocation(platform="runpod", endpoint="e", day=date(2026, 11, 2), request_id=None, started_at=at(second), **values)


def seen(first: float, last: float, **kwargs) -> Instance:
    return Instance(**{"endpoint": "e", "id": "a", "first_seen_at": at(first), "last_seen_at": at(last), **kwargs})


def test_a_life_runs_from_its_start_to_its_last_request_and_the_time_out():
    (life,) = lives([seen(0, 30, started_at=at(0), ready_at=at(8))], busy([invocations_table([invocation(8), invocation(20)])]), idle=FIVE)
    assert (life.start_us, life.ready_us, life.end_us) == (us(0), us(8), us(30))
    assert life.phases_us(us(0), us(60)) == {"start": 8 * S, "run": 2 * S, "idle": 20 * S}


def test_phases_are_cut_at_midnight_and_add_up():
    (life,) = lives([seen(0, 21, started_at=at(0), ready_at=at(8))], busy([invocations_table([invocation(8), invocation(20)])]), idle=FIVE)
    before, after = life.phases_us(us(-100), us(20.5)), life.phases_us(us(20.5), us(100))
    assert before == {"start": 8 * S, "run": int(1.5 * S), "idle": 11 * S}
    assert after == {"start": 0, "run": int(0.5 * S), "idle": 5 * S}


def test_a_time_out_that_is_only_promised_up_to_leaves_a_range():
    (life,) = lives([seen(0, 9, started_at=at(0))], busy([invocations_table([invocation(8)])]), idle=UP_TO_15_MIN)
    assert life.shortest == (us(0), us(9))
    assert life.longest == (us(0), us(909)) == (life.start_us, life.end_us)


def test_an_unseen_start_lies_between_the_first_request_and_the_first_sign():
    rows = invocations_table([invocation(0, queue_ms=9000.0, cold="cold")])
    (life,) = lives([seen(4, 10)], busy([rows]), idle=FIVE)
    assert (life.longest[0], life.start_us) == (us(0), us(4))


def test_what_precedes_a_process_is_taken_to_be_no_longer_than_its_own_start():
    (life,) = lives([seen(0, 10, started_at=at(0), init_ms=8000.0)], busy([invocations_table([invocation(8)])]), idle=FIVE)
    assert life.longest[0] == us(-8)
    assert life.start_us == us(0)


def test_a_job_that_came_before_the_process_bounds_the_containers_start():
    """The wait before the process is queue and container start together: nothing, all, and best guess half of it."""
    rows = invocations_table([invocation(-3, queue_ms=11_000.0)])
    (life,) = lives([seen(0, 9, started_at=at(0), init_ms=8000.0)], busy([rows]), idle=FIVE)
    assert (life.longest[0], life.start_us, life.shortest[0]) == (us(-3), us(-1.5), us(0))
    assert life.phases_us(us(-10), us(60)) == {"start": int(9.5 * S), "run": S, "idle": 5 * S}
    # A long queue before it is not taken for a start longer than the one that is seen.
    rows = invocations_table([invocation(-300, queue_ms=308_000.0)])
    (life,) = lives([seen(0, 9, started_at=at(0), init_ms=8000.0)], busy([rows]), idle=FIVE)
    assert (life.longest[0], life.start_us, life.shortest[0]) == (us(-8), us(-4), us(0))


def test_a_start_that_the_platform_reports_is_the_start_whenever_the_request_came():
    rows = invocations_table([invocation(-1, queue_ms=9000.0)])
    (life,) = lives([seen(0, 9, started_at=at(0), ready_at=at(8), init_ms=8000.0)], busy([rows]), idle=FIVE)
    assert (life.longest[0], life.start_us, life.shortest[0]) == (us(0), us(0), us(0))


def test_a_second_process_is_not_dated_by_the_first_ones_request():
    days = [seen(0, 10, started_at=at(0), init_ms=5000.0), seen(100, 110, started_at=at(100), init_ms=5000.0)]
    found = lives(days, busy([invocations_table([invocation(-2, queue_ms=7000.0), invocation(105)])]), idle=FIVE)
    assert [(x.longest[0], x.start_us) for x in found] == [(us(-2), us(-1)), (us(95), us(100))]


def test_the_same_instance_on_two_days_is_one_life():
    days = [seen(0, 100, started_at=at(0)), seen(50, 300), seen(250, 400)]
    (life,) = lives(days, busy([invocations_table([invocation(399)])]), idle=FIVE)
    assert (life.start_us, life.end_us) == (us(0), us(405))


def test_two_processes_of_one_worker_are_two_lives():
    days = [seen(0, 10, started_at=at(0)), seen(100, 110, started_at=at(100))]
    found = lives(days, busy([invocations_table([invocation(5), invocation(105)])]), idle=FIVE)
    assert [(x.start_us, x.end_us) for x in found] == [(us(0), us(11)), (us(100), us(111))]


def test_a_resumed_worker_is_not_billed_while_it_was_stopped():
    rows = busy([invocations_table([invocation(5), invocation(60)])])
    one = lives([seen(0, 61, started_at=at(0))], rows, idle=FIVE)
    two = lives([seen(0, 61, started_at=at(0))], rows, idle=FIVE, resumes=True)
    assert [(x.start_us, x.end_us) for x in one] == [(us(0), us(66))]
    assert [(x.start_us, x.end_us) for x in two] == [(us(0), us(11)), (us(60), us(66))]


def test_instances_known_by_their_requests_alone_count():
    (life,) = lives([], busy([invocations_table([invocation(0, queue_ms=500.0), invocation(3)])]), idle=FIVE)
    assert (life.start_us, life.end_us) == (us(0.5), us(9))
    assert life.longest[0] == us(0)


def test_kept_instances_idle_as_minimum():
    (life,) = lives([seen(0, 50, started_at=at(0), start_reason="manual_or_customer_min_instance")], busy([]), idle=FIVE)
    assert life.phases_us(us(0), us(50)) == {"start": 0, "run": 0, "min_instances": 50 * S}


def test_requests_without_instance_share_the_workers_they_need():
    rows = [invocation(s, instance_id=None) for s in (0, 0.5, 3, 30)]
    found = lives([], busy([invocations_table(rows)]), idle=FIVE)
    # Two at once, the third goes to the newest idle one, the last finds none.
    assert sorted((x.start_us, x.end_us) for x in found) == [(us(0), us(6)), (us(0.5), us(9)), (us(30), us(36))]


@given(st.lists(st.tuples(st.integers(0, 2000), st.integers(1, 100)), min_size=1, max_size=40), st.integers(1, 200))
def test_anonymous_workers_are_the_peak_of_requests_within_the_time_out(requests, timeout):
    """alive(t) = max over [t - T, t] of the requests in flight: the identity of newest-idle-first routing."""
    rows = sorted((begin * 10, begin * 10 + length * 10) for begin, length in requests)
    idle = Idle(low_us=timeout, best_us=timeout, high_us=timeout)
    found = lives([], Busy(by_instance={None: np.array(rows, dtype=np.int64)}, arrivals={}), idle=idle)
    for t in range(5, 22_000, 487):
        alive = sum(life.start_us <= t < life.end_us for life in found)
        moments = [t, *(b for b, _ in rows if t - timeout < b <= t), t - timeout]
        peak = max(sum(b <= m < e for b, e in rows) for m in moments)
        assert alive == peak


@given(st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 200)), max_size=30), st.integers(0, 1200), st.integers(0, 1200))
def test_union_counts_every_moment_once(spans, begin, end):
    begin, end = min(begin, end), max(begin, end)
    merged = union(np.array([(s, s + n) for s, n in spans], dtype=np.int64).reshape(-1, 2))
    covered = {t for s, n in spans for t in range(s, s + n)}
    assert within(merged, begin, end) == len(covered & set(range(begin, end)))


@given(st.lists(st.tuples(st.integers(0, 100), st.integers(1, 60)), max_size=12), st.integers(1, 3))
def test_what_a_minimum_adds_is_the_time_below_it(spans, floor):
    pairs = [(s, s + n) for s, n in spans]
    expected = sum(max(0, floor - sum(s <= t < e for s, e in pairs)) for t in range(20, 120))
    assert missing_us(pairs, floor, 20, 120) == expected


@pytest.mark.parametrize("status", ["throttled", "aborted"])
def test_refused_requests_occupy_nothing(status):
    assert busy([invocations_table([invocation(0, status=status)])]).by_instance == {}
