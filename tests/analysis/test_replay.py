"""The event loops against known answers, against each other and against a simulation that scans every worker."""

from __future__ import annotations

import math
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.replay import replay, replay_us
from analysis.replaying import events as replay_events
from analysis.replaying import provisioned as replay_provisioned
from analysis.replaying import stack as replay_stack
from analysis.replaying.policies import Policy, QueueDelay, RequestCount, Shift, changes, from_flags
from analysis.replaying.result import Workers
from trial.errors import ConfigError

SPARSE = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "replay" / "two_week_sparse.csv"

# Few, small, whole milliseconds: ties of arrivals, completions and time-outs are the rule, not the exception.
requests = st.lists(st.tuples(st.integers(0, 60), st.integers(1, 12)), min_size=1, max_size=40).map(sorted)


def columns(rows: list[tuple[int, int]]) -> tuple[list[int], list[int]]:
    return [a for a, _ in rows], [s for _, s in rows]


def scanned(rows: list[tuple[int, int]], *, timeout: int, floor: int, extra: int) -> tuple[list[bool], int]:
    """Cold flags and the sum of lives, by looking at every worker at every arrival: slow, and written with nothing of the product."""
    workers = [{"from": 0, "free": 0, "gone": None} for _ in range(floor)]
    flags = []

    def stop_until(now: int) -> None:
        while True:
            alive = [w for w in workers if w["gone"] is None]
            due = sorted((w for w in alive if w["free"] + timeout <= now), key=lambda w: w["free"])
            # How many were alive when the first of them fell due does not matter: nobody starts while one is idle.
            if not due or len(alive) <= floor:
                return
            due[0]["gone"] = due[0]["free"] + timeout

    for at, service in rows:
        stop_until(at)
        idle = [w for w in workers if w["gone"] is None and w["free"] <= at]
        if idle:
            max(idle, key=lambda w: w["free"])["free"] = at + service
        else:
            workers.append({"from": at, "free": at + extra + service, "gone": None})
        flags.append(not idle)
    end = max(at for at, _ in rows)
    stop_until(10**9)
    return flags, sum((w["gone"] if w["gone"] is not None else max(end, w["free"])) - w["from"] for w in workers)


@pytest.mark.skipif(not SPARSE.exists(), reason="the two-week trace is not on this machine")
def test_two_week_trace_as_simfaas_0_2_2_answers_it():
    rows = np.loadtxt(SPARSE, delimiter=",", skiprows=1)
    result = replay(rows[:, 0], rows[:, 1], Policy(idle_timeout_s=600, routing="newest-created"), cold_extra_ms=6000)
    assert (result.cold_hits, result.warm, result.rejections) == (712, 21_186, 0)
    # SimFaaS 0.2.2 run on the same trace with max_time at the last arrival: 0.7694135992850104 and 0.010680016786729954.
    assert result.mean_workers()["alive_mean"] == pytest.approx(0.7694135992850104, rel=1e-12)
    assert result.mean_workers()["running_mean"] == pytest.approx(0.010680016786729954, rel=1e-12)


@pytest.mark.skipif(not SPARSE.exists(), reason="the two-week trace is not on this machine")
def test_two_week_trace_newest_idle_first():
    rows = np.loadtxt(SPARSE, delimiter=",", skiprows=1)
    result = replay(rows[:, 0], rows[:, 1], Policy(idle_timeout_s=600), cold_extra_ms=6000)
    assert (result.cold_hits, result.warm) == (712, 21_186)
    assert result.mean_workers()["alive_mean"] == pytest.approx(0.76941, abs=2e-5)
    assert result.workers.alive_us.sum() / result.workers.busy_us.sum() == pytest.approx(72, abs=0.5)


@given(requests, st.integers(1, 30), st.integers(0, 3), st.integers(0, 9))
@settings(max_examples=300, deadline=None)
def test_stack_loop_equals_a_scan_over_all_workers(rows, timeout, floor, extra):
    result = replay(*columns(rows), Policy(idle_timeout_s=timeout / 1000, min_workers=floor), cold_extra_ms=extra)
    flags, alive_ms = scanned(rows, timeout=timeout, floor=floor, extra=extra)
    assert result.cold.tolist() == flags
    assert result.workers.alive_us.sum() == alive_ms * 1000
    assert result.workers.requests.sum() == len(rows)


@pytest.mark.parametrize("quick", [replay_stack, replay_provisioned])
@given(requests, st.one_of(st.none(), st.integers(1, 30)), st.integers(0, 3), st.integers(0, 9), st.integers(1, 4))
@settings(max_examples=300, deadline=None)
def test_general_loop_equals_the_quick_ones(quick, rows, timeout, floor, extra, provisioned):
    policy = Policy(
        idle_timeout_s=None if timeout is None else timeout / 1000,
        min_workers=floor,
        provisioned=provisioned if quick is replay_provisioned else 0,
    )
    assert quick.fits(policy)
    arrival, service = (np.array(c, dtype=np.int64) * 1000 for c in columns(rows))
    args = {"arrival": arrival, "service": service, "cold_extra": np.full(len(rows), extra * 1000), "start_us": 0}
    fast = quick.run(policy, **args, end_us=int(arrival[-1]))
    slow = replay_events.run(policy, **args, end_us=int(arrival[-1]), standard_load_us=0)
    for one, other in zip(fast[:-1], slow[:-1], strict=True):
        assert one.tolist() == other.tolist()
    pinned = [(lives.busy_us[lives.pinned].tolist(), lives.requests[lives.pinned].tolist()) for lives in (fast.workers, slow.workers)]
    assert pinned[0] == pinned[1]
    for name in ("started_us", "ended_us"):
        assert sorted(getattr(fast.workers, name)) == sorted(getattr(slow.workers, name))
    assert fast.workers.busy_us.sum() == slow.workers.busy_us.sum()


@given(requests, st.one_of(st.none(), st.integers(1, 30)), st.integers(0, 3), st.integers(0, 9))
@settings(max_examples=300, deadline=None)
def test_compiled_loop_equals_the_stack_loop(rows, timeout, floor, extra):
    pytest.importorskip("numba", reason="the compiled loop needs numba, an optional extra")
    policy = Policy(idle_timeout_s=None if timeout is None else timeout / 1000, min_workers=floor)
    arrival, service = (np.array(c, dtype=np.int64) * 1000 for c in columns(rows))
    extras = np.full(len(rows), extra * 1000)
    plain, compiled = (replay_us(arrival, service, policy, cold_extra_us=extras, compiled=how) for how in (False, True))
    assert plain.cold.tolist() == compiled.cold.tolist()
    assert plain.waited_us.tolist() == compiled.waited_us.tolist()
    assert lives_of(plain.workers) == lives_of(compiled.workers)


def test_compiled_loop_equals_the_stack_loop_where_its_arrays_must_grow():
    pytest.importorskip("numba", reason="the compiled loop needs numba, an optional extra")
    rng = np.random.default_rng(2)
    arrival = np.sort(rng.integers(0, 3_600_000_000, 40_000))
    service = rng.integers(1, 400_000_000, 40_000)
    args = {"cold_extra_us": np.full(40_000, 1_000_000)}
    for policy in (Policy(idle_timeout_s=0.05), Policy(idle_timeout_s=60, min_workers=5)):
        plain, compiled = (replay_us(arrival, service, policy, **args, compiled=how) for how in (False, True))
        assert plain.workers.peak > 2000
        assert plain.cold.tolist() == compiled.cold.tolist()
        assert lives_of(plain.workers) == lives_of(compiled.workers)


def lives_of(workers: Workers) -> list[tuple[int, ...]]:
    """All lives, in an order that does not depend on how simultaneous starts were numbered."""
    return sorted(zip(*(getattr(workers, f.name).tolist() for f in fields(workers)), strict=True))


def test_general_loop_gives_each_worker_the_same_life_as_the_stack_loop():
    rng = np.random.default_rng(7)
    arrival = np.sort(rng.choice(10**9, 3000, replace=False)).astype(np.int64)
    service = rng.integers(1, 5_000_000, 3000)
    extras = np.full(3000, 2_000_000)
    args = {"arrival": arrival, "service": service, "cold_extra": extras, "start_us": 0, "end_us": int(arrival[-1])}
    policy = Policy(idle_timeout_s=3, min_workers=2)
    fast = replay_stack.run(policy, **args).workers
    slow = replay_events.run(policy, **args, standard_load_us=0).workers.in_order()
    for name in ("started_us", "ready_us", "busy_until_us", "ended_us", "busy_us", "requests"):
        assert getattr(fast, name).tolist() == getattr(slow, name).tolist(), name


@given(
    requests,
    st.builds(
        Policy,
        idle_timeout_s=st.sampled_from([0.001, 0.005, 0.02, None]),
        max_workers=st.sampled_from([2, 3, None]),
        min_workers=st.sampled_from([0, 1, 2]),
        concurrency=st.sampled_from([1, 2, 5]),
        provisioned=st.sampled_from([0, 1]),
        routing=st.sampled_from(["newest-idle", "newest-created", "least-recently-used", "random"]),
        scaler=st.sampled_from([None, QueueDelay(seconds=0.004), RequestCount(per_worker=2)]),
        load_queueing=st.booleans(),
    ),
    st.integers(0, 9),
)
@settings(max_examples=400, deadline=None)
def test_every_policy_keeps_the_books(rows, policy, extra):
    result = replay(*columns(rows), policy, cold_extra_ms=extra)
    w = result.workers
    assert result.requests == len(rows) == result.cold_hits + result.warm + result.rejections
    assert w.requests.sum() == len(rows) - result.rejections
    assert result.waited_us.min() >= 0
    assert (w.busy_us >= 0).all() and (w.idle_us >= 0).all()
    assert (w.started_us <= w.ready_us).all() and (w.ready_us <= w.busy_until_us).all() and (w.busy_until_us <= w.ended_us).all()
    if policy.concurrency == 1:
        loads = (w.ready_us - w.started_us).sum()
        assert w.busy_us.sum() == result.service_us[~result.rejected].sum() + loads
    else:
        assert w.busy_us.sum() <= result.service_us.sum() + (w.ready_us - w.started_us).sum()
    if policy.max_workers is not None:
        assert w.peak <= policy.max_workers + policy.provisioned
    if not (policy.load_queueing or policy.scaler):
        # Above max_workers a request can only wait, perhaps for a worker that is still starting.
        assert not (result.trigger & ~result.cold).any()
        assert policy.max_workers is not None or (result.cold == result.trigger).all()
    means = result.mean_workers()
    assert means["alive_mean"] >= means["running_mean"] - 1e-9 >= -1e-9


def test_max_workers_queues_first_come_first_served():
    result = replay([0, 1, 6, 7], [10, 10, 10, 10], Policy(max_workers=1), cold_extra_ms=5)
    assert result.waited_us.tolist() == [5_000, 14_000, 19_000, 28_000]
    # The second came before the worker was ready; the others only found it busy.
    assert result.cold.tolist() == [True, True, False, False]
    assert result.waited_for_load.tolist() == [False, True, False, False]


def test_max_workers_rejects():
    result = replay([0, 1, 20], [10, 10, 10], Policy(max_workers=1, overflow="reject"), cold_extra_ms=5)
    assert result.rejected.tolist() == [False, True, False]
    assert result.as_json()["rejected"] == 1
    assert result.over_slo(slo_ms=1000) == pytest.approx(1 / 3)


def test_load_queueing_tells_the_trigger_from_those_who_waited_for_it():
    result = replay([0, 1, 2, 300], [10, 10, 10, 10], Policy(load_queueing=True), cold_extra_ms=100)
    assert result.trigger.tolist() == [True, False, False, False]
    assert result.waited_for_load.tolist() == [False, True, True, False]
    assert result.waited_us.tolist() == [100_000, 109_000, 118_000, 0]
    assert len(result.workers) == 1


def test_queue_delay_scaler_starts_a_second_worker_only_after_the_delay():
    # One worker is busy from 0 to 30 s; the second request waits 4 s before a worker is started for it, the third finds that one.
    result = replay([0, 5_000, 20_000], [29_000, 1_000, 1_000], Policy(scaler=QueueDelay(seconds=4)), cold_extra_ms=1_000)
    assert result.trigger.tolist() == [True, True, False]
    assert result.waited_us.tolist() == [1_000_000, 5_000_000, 0]


def test_request_count_scaler_starts_ceil_of_requests_over_k():
    result = replay([0, 0, 0, 0, 0], [50] * 5, Policy(scaler=RequestCount(per_worker=2)), cold_extra_ms=10)
    assert len(result.workers) == 3


def test_provisioned_workers_are_never_cold_and_spill_over():
    result = replay([0, 1, 2], [10, 10, 10], Policy(provisioned=2), cold_extra_ms=5)
    assert result.cold.tolist() == [False, False, True]
    assert result.workers.pinned.tolist() == [True, True, False]


def test_dedicated_instances_share_one_queue():
    policy = Policy(dedicated=2)
    result = replay([0, 1, 2, 3], [10, 10, 10, 10], policy, cold_extra_ms=5_000)
    assert result.waited_us.tolist() == [0, 0, 8_000, 8_000]
    assert result.cold_hits == 0
    assert result.workers.pinned.all()
    arrival = np.array([0, 1, 2, 3]) * 1000
    service = np.full(4, 10_000)
    general = replay_events.run(policy, arrival=arrival, service=service, cold_extra=service, start_us=0, end_us=3_000, standard_load_us=0)
    assert general.waited_us.tolist() == result.waited_us.tolist()
    assert general.workers.requests.sum() == 4


def test_shifts_keep_workers_warm_in_their_hours_only():
    hour = 3_600_000
    policy = Policy(idle_timeout_s=60, min_workers=(Shift(from_hour=8, to_hour=18, workers=1),))
    result = replay([7 * hour, 9 * hour, 17 * hour, 19 * hour], [1000] * 4, policy, cold_extra_ms=5_000)
    assert result.cold.tolist() == [True, False, False, True]
    kept = result.workers.alive_us.max() / 3.6e9
    assert kept == pytest.approx(10, abs=0.02)


def test_ping_outlived_by_the_timeout_keeps_warm_and_is_counted_apart():
    minute = 60_000
    arrivals, policy = [20 * minute, 41 * minute, 63 * minute], Policy(idle_timeout_s=600, ping_every_s=480)
    warm = replay(arrivals, [1000] * 3, policy, cold_extra_ms=5_000)
    assert (warm.requests, warm.cold_hits) == (3, 0)
    assert warm.as_json()["synthetic"] == {"requests": 7, "cold": 1}
    useless = replay(arrivals, [1000] * 3, Policy(idle_timeout_s=5, ping_every_s=480), cold_extra_ms=5_000)
    assert useless.cold_hits == 3


def test_random_routing_is_repeatable_by_its_seed():
    rng = np.random.default_rng(3)
    arrival, service = np.sort(rng.uniform(0, 1e6, 400)), rng.uniform(1, 20_000, 400)
    first, again = (replay(arrival, service, Policy(idle_timeout_s=20, routing="random", seed=5)) for _ in range(2))
    assert first.cold.tolist() == again.cold.tolist()


def test_one_worker_with_all_the_concurrency_starts_once_per_silence():
    result = replay([0, 1, 2, 500], [100, 100, 100, 1], Policy(idle_timeout_s=0.2, concurrency=1000))
    assert result.cold.tolist() == [True, False, False, True]


@pytest.mark.parametrize(
    ("arrival", "service", "says"),
    [
        ([], [], "no arrivals"),
        ([2, 1], [1, 1], "not sorted: entry 2"),
        ([1, 2], [1], "2 arrivals, but 1 service times"),
        ([1, 2], [1, -5], "service_ms is -5 at entry 2"),
        ([1, 2], [1, math.nan], "service_ms is missing or infinite at entry 2"),
        ([1, 1e300], [1, 1], "past any trial"),
        (["a"], [1], "not a number"),
    ],
)
def test_bad_arrivals_are_one_line(arrival, service, says):
    with pytest.raises(ConfigError) as raised:
        replay(arrival, service, Policy())
    assert says in str(raised.value)
    assert "\n" not in str(raised.value)
    assert raised.value.exit_code == 2


@pytest.mark.parametrize(
    "kwargs",
    [
        {"idle_timeout_s": None, "ping_every_s": 480.0},
        {"min_workers": 3, "max_workers": 2},
        {"max_workers": 0},
        {"overflow": "reject"},
        {"dedicated": 1, "min_workers": 1},
        {"dedicated": 1, "ping_every_s": 60.0},
        {"dedicated": 0},
        {"idle_timeout_s": -1.0},
        {"idle_timeout_s": math.nan},
        {"concurrency": 0},
        {"routing": "cleverest"},
        {"min_workers": -1},
    ],
)
def test_a_policy_that_contradicts_itself_is_one_line(kwargs):
    with pytest.raises(ConfigError, match="makes no sense") as raised:
        Policy(**kwargs)
    assert "\n" not in str(raised.value)


def test_flags_make_a_policy_or_one_line():
    policy = from_flags(idle_timeout_s=600, max_workers=3, reject=True)
    assert (policy.idle_timeout_s, policy.max_workers, policy.overflow, policy.routing) == (600, 3, "reject", "newest-created")
    assert from_flags(idle_timeout_s=None, dedicated=2).dedicated == 2
    assert from_flags(idle_timeout_s=5, queue_delay_s=4).scaler == QueueDelay(seconds=4)
    assert from_flags(idle_timeout_s=5, requests_per_worker=2).scaler == RequestCount(per_worker=2)
    with pytest.raises(ConfigError, match="--idle-timeout"):
        from_flags(idle_timeout_s=None)
    with pytest.raises(ConfigError, match="no idle time-out"):
        from_flags(idle_timeout_s=None, ping_every_s=480)
    assert from_flags(idle_timeout_s=5, load_queueing=True).load_queueing
    by_day = from_flags(idle_timeout_s=5, shifts=["8-18=2", "22-6=1"])
    assert [by_day.floor_at(hour * 3_600_000.0) for hour in (0, 6, 8, 17, 18, 23)] == [1, 0, 2, 2, 0, 1]
    for two in ({"queue_delay_s": 4, "requests_per_worker": 2}, {"queue_delay_s": 4, "load_queueing": True}):
        with pytest.raises(ConfigError, match="two scaling rules"):
            from_flags(idle_timeout_s=5, **two)
    with pytest.raises(ConfigError, match="one minimum of workers"):
        from_flags(idle_timeout_s=5, min_workers=1, shifts=["8-18=2"])
    for text in ("8-18", "8=2", "x-y=2", "8-18=1.5", "8-18=-1", "8-8=1", "8-nan=1", ""):
        with pytest.raises(ConfigError, match="shift"):
            from_flags(idle_timeout_s=5, shifts=[text])


def test_scaling_flags_replace_the_rule_a_trial_was_found_to_follow():
    assert changes(queue_delay_s=4) == {"load_queueing": False, "scaler": QueueDelay(seconds=4)}
    assert changes(load_queueing=False) == {"load_queueing": False, "scaler": None}
    assert changes(load_queueing=None, min_workers=2, routing=None) == {"min_workers": 2}


def test_a_worker_that_stops_before_the_first_arrival_has_stopped():
    """The horizon may begin before the first request: pings there start workers that end at negative times."""
    policy = Policy(idle_timeout_s=60.0, ping_every_s=120.0, concurrency=2)
    result = replay([0.0, 1000.0], [100.0, 100.0], policy, cold_extra_ms=1000.0, horizon_ms=(-3_600_000.0, 3_600_000.0))
    assert result.workers.alive_us.max() < 200e6
    assert result.mean_workers()["alive_mean"] < 1
