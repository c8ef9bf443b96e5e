from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.happened import Arrival, Prestart
from sandbox.instants import HOUR, MS, SECOND
from sandbox.plans import default_plans
from sandbox.pool import Pool

LAMBDA, RUN, RUNPOD = default_plans()


def serve(plan, times, prestarts=(), *, seed=1, cases=frozenset(), marks=()):
    arrivals = [Arrival(at_us=t, cases=frozenset(dict(marks).get(i, ()))) for i, t in enumerate(times)]
    return Pool(plan, rng=np.random.default_rng(seed), cases=cases).serve(arrivals, prestarts)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 3 * 3600 * 1000), min_size=1, max_size=120, unique=True), st.integers(0, 3))
def test_cold_exactly_when_never_so_many_were_in_flight_within_the_idle_timeout(at_ms, seed):
    """
    Scale per request, newest idle first: a request is cold iff max over [t - T, t) of N is at most N just before t.

    An identity for any arrivals and durations, with N the requests in flight as they came out.
    """
    plan = replace(LAMBDA, idle_timeout_s=60, max_life_s=1e9)
    served = serve(plan, [ms * MS for ms in sorted(at_ms)], seed=seed).requests
    timeout = 60 * SECOND

    def in_flight(at):
        return sum(r.arrival.at_us < at <= r.ended_us for r in served)

    for request in served:
        at = request.arrival.at_us
        before = in_flight(at)
        # N is right-continuous downwards at an end: just after `a` it no longer counts what ended at `a`.
        moments = [r.arrival.at_us + 1 for r in served if at - timeout <= r.arrival.at_us < at] + [at - timeout + 1]
        most = max(in_flight(m) for m in moments)
        assert request.cold == (most <= before), (request.number, most, before)


def test_the_newest_idle_worker_serves():
    # Two at once make two workers; the one that finished last takes the next request.
    history = serve(RUNPOD, [0, 100 * MS, 40 * SECOND], prestarts=())
    first, second, third = history.requests
    assert first.worker != second.worker
    plan = replace(LAMBDA, idle_timeout_s=600)
    first, second, third = serve(plan, [0, 100 * MS, 60 * SECOND]).requests
    assert third.worker == max((first, second), key=lambda r: r.ended_us).worker
    assert not third.cold


def test_an_idle_worker_stops_after_its_timeout_and_not_before():
    plan = replace(RUNPOD, idle_timeout_s=5)
    worker = serve(plan, [0]).workers[0]
    served = serve(plan, [0]).requests[0]
    assert worker.stopped_us == served.ended_us + 5 * SECOND
    for gap, cold in ((5 * SECOND - 50 * MS, False), (5 * SECOND + 50 * MS, True)):
        again = serve(plan, [0, served.ended_us + gap]).requests[1]
        assert again.cold is cold


def test_several_requests_wait_for_one_starting_instance():
    history = serve(RUN, [0, 2 * SECOND, 4 * SECOND, 6 * SECOND, 8 * SECOND])
    workers = [r.worker for r in history.requests]
    assert workers == [0, 0, 0, 0, 1]  # concurrency 4, then another instance
    assert all(r.cold and r.waited for r in history.requests)
    ready = history.workers[0].ready_us
    assert all(r.taken_us >= ready for r in history.requests[:4])


def test_nobody_arrives_on_the_brink_of_readiness():
    ready = serve(RUN, [0]).workers[0].ready_us
    moved = serve(RUN, [0, ready - 100 * MS]).requests[1]
    assert moved.arrival.at_us > ready + SECOND
    assert not moved.cold


def test_a_crash_makes_the_next_request_reinitialise():
    plan = replace(LAMBDA, idle_timeout_s=600)
    crashed, after, later = serve(plan, [0, 60 * SECOND, 120 * SECOND], marks={0: ["crash"]}).requests
    assert crashed.fate == "crash"
    assert (after.cold, after.waited, after.reason) == (True, True, "reinit")
    assert after.reinit_us > SECOND and after.taken_us - after.arrival.at_us >= after.reinit_us
    assert after.worker == crashed.worker and not later.cold


def test_a_retry_reuses_the_request_id():
    plan = replace(LAMBDA, idle_timeout_s=600)
    first, again = serve(plan, [0], marks={0: ["async-retry"]}).requests
    assert first.request_id == again.request_id
    assert (first.arrival.attempt, again.arrival.attempt) == (1, 2)
    assert (first.fate, again.fate) == ("crash", "ok")
    assert again.arrival.at_us == first.ended_us + 60 * SECOND


@pytest.mark.parametrize(
    ("reason", "cases", "expected"),
    [
        ("proactive", (), (True, False, "proactive")),
        ("provisioned", (), (True, False, "proactive")),
        ("provisioned", ("json",), (True, False, "provisioned")),
        ("proactive", ("lazy-load",), (True, True, "lazy_load")),
        ("mid_stream", (), (False, False, "mid_stream")),
    ],
)
def test_an_environment_started_ahead(reason, cases, expected):
    start = Prestart(at_us=0, reason=reason, cases=frozenset(cases))
    request = serve(replace(LAMBDA, idle_timeout_s=600), [60 * SECOND], [start]).requests[0]
    assert (request.cold, request.waited, request.reason) == expected


def test_a_rollout_drains_the_others_and_a_minimum_stays():
    plan = replace(RUN, idle_timeout_s=60)
    rollout = Prestart(at_us=100 * SECOND, reason="rollout", drains_others=True)
    history = serve(replace(plan, idle_timeout_s=3600), [0, 200 * SECOND], [rollout])
    assert history.workers[0].stopped_us == 100 * SECOND
    assert history.requests[1].worker == 1 and not history.requests[1].cold
    kept = Prestart(at_us=0, reason="min_instance", keep_until_us=HOUR)
    history = serve(plan, [1800 * SECOND], [kept])
    assert not history.requests[0].cold and history.workers[0].stopped_us == HOUR


def test_a_resumed_worker_keeps_its_process_and_says_nothing():
    plan = replace(RUNPOD, idle_timeout_s=1)
    times = [i * 30 * SECOND for i in range(200)]
    history = serve(plan, times, cases=frozenset(("flashboot",)))
    resumed = [r for r in history.requests if r.reason == "flashboot_resume"]
    assert resumed and all(r.cold and r.waited and not r.visible and not r.first_of_process for r in resumed)
    lives = {w.number: w for w in history.workers}
    for request in resumed:
        life = lives[request.worker]
        assert life.process_us < life.started_us and any(w.id == life.id for w in history.workers if w.number < life.number)


def test_a_prestart_that_kills_leaves_no_worker_behind():
    history = serve(LAMBDA, [0], marks={0: ["killed"]})
    assert history.workers[0].stopped_us == history.requests[0].ended_us
