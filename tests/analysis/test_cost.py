"""A measured endpoint's cost, day by day and phase by phase, against bills planted in the same data."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis import prices
from analysis.billing.rounding import cents
from analysis.cost import endpoint_cost
from trial.calendar import Calendar
from trial.config import (
    AwsLambdaEndpoint,
    CloudRunEndpoint,
    PricesSection,
    ReplicateEndpoint,
    RunpodEndpoint,
    SagemakerEndpoint,
    VertexEndpoint,
)
from trial.errors import ConfigError
from trial.records import Estimate, Instance, Invocation, UsageBucket
from trial.schema import invocations_table
from trial.summary import DaySummary

BOOK = prices.load("standard")
DAY = date(2026, 11, 2)
CALENDAR = Calendar(start=DAY, days=3, zone=ZoneInfo("Europe/London"))
NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)
MIDNIGHT = datetime(2026, 11, 3, tzinfo=UTC)
SETTINGS = PricesSection()

LAMBDA = AwsLambdaEndpoint(name="e", platform="aws-lambda", function="f", region="us-east-1", resources={"memory_mb": 1024})
RUN = CloudRunEndpoint(name="e", platform="cloud-run", project="p", service="s", region="us-central1")
RUNPOD = RunpodEndpoint(name="e", platform="runpod", endpoint_id="x")


def summary(offset: int = 0, **kwargs) -> DaySummary:
    return DaySummary(endpoint="e", platform="x", days=(DAY + timedelta(days=offset),), **kwargs)


def invocation(at: datetime, **kwargs) -> Invocation:
    values = {"instance_id": "a", "handler_ms": 1000.0, **kwargs}
    return Invocation(platform="x", endpoint="e", day=CALENDAR.day_of(at), request_id=None, started_at=at, **values)


def instance(start: datetime, end: datetime, **kwargs) -> Instance:
    values = {"id": "a", "started_at": start, **kwargs}
    return Instance(endpoint="e", first_seen_at=start, last_seen_at=end, **values)


def cost(endpoint, row, *, days=(0,), rows=(), settings=SETTINGS, **kwargs):
    summaries = kwargs.pop("summaries", None) or [summary(d) for d in days]
    row = BOOK.rows[row] if isinstance(row, str) else row
    return endpoint_cost(endpoint, row, days=summaries, invocations=invocations_table(rows), calendar=CALENDAR, prices=settings, **kwargs)


def seconds(n: float) -> timedelta:
    return timedelta(seconds=n)


def test_lambda_is_billed_what_its_lines_say_to_the_last_digit():
    rows = [
        invocation(NOON, billed_ms=937.0, init_ms=850.88, handler_ms=85.8, cold="cold"),
        invocation(NOON + seconds(9), billed_ms=100.0, handler_ms=99.2),
        invocation(NOON + seconds(10), billed_ms=1.0, handler_ms=0.9, synthetic=True),
        invocation(NOON + seconds(11), status="throttled"),
    ]
    found = cost(LAMBDA, "aws-lambda-x86", rows=rows, summaries=[summary(requests=2)])
    (day,) = found.days
    rate = Decimal("0.0000166667")
    assert day.usd["requests"] == 3 * Decimal("0.0000002")
    assert day.usd["start"] + day.usd["run"] == Decimal("1.038") * rate
    assert day.usd["start"] == pytest.approx(Decimal("0.851") * rate)
    assert (day.low, day.high) == (day.total_usd, day.total_usd)
    assert day.billed_seconds == Decimal("1.038")
    assert found.usd_per_1k == day.total_usd * 500


def test_requests_without_a_bill_widen_the_upper_bound_alone():
    rows = [invocation(NOON, billed_ms=200.0), invocation(NOON, billed_ms=None)]
    (day,) = cost(LAMBDA, "aws-lambda-x86", rows=rows, summaries=[summary(requests=2, incomplete=1, provider_requests=5)]).days
    one = Decimal("0.2") * Decimal("0.0000166667") + Decimal("0.0000002")
    assert day.low == day.total_usd
    assert day.high == day.total_usd + 4 * one  # one without its figure, one incomplete, two unseen


def test_billed_time_without_init_is_all_run():
    rows = [invocation(NOON, billed_ms=3094.0, init_ms=384.96, handler_ms=3093.08)]
    (day,) = cost(LAMBDA, "aws-lambda-x86", rows=rows).days
    assert day.usd["start"] == 0


def test_tiers_and_free_tier_run_through_the_month():
    rows = [invocation(NOON + timedelta(days=d), billed_ms=300_000_000.0) for d in (0, 1)]
    found = cost(LAMBDA, "aws-lambda-x86", days=(0, 1), rows=rows, settings=PricesSection(free_tier=True))
    assert [d.total_usd for d in found.days] == [0, Decimal(200_000) * Decimal("0.0000166667")]


def test_provisioned_concurrency_is_billed_all_day_and_its_requests_at_the_lower_rate():
    endpoint = LAMBDA.model_copy(update={"provisioned_concurrency": 2})
    kept = instance(NOON, NOON, id="kept", start_reason="provisioned-concurrency")
    rows = [invocation(NOON, billed_ms=1000.0, instance_id="kept"), invocation(NOON, billed_ms=500.0, instance_id="b")]
    (day,) = cost(endpoint, "aws-lambda-x86", rows=rows, instances=[kept]).days
    assert day.usd["provisioned"] == 2 * 86_400 * Decimal("0.0000041667")
    assert day.usd["run"] == Decimal("0.0000097222") + Decimal("0.5") * Decimal("0.0000166667")
    assert day.high == day.total_usd
    (guess,) = cost(endpoint, "aws-lambda-x86", rows=rows).days
    assert guess.usd["run"] == Decimal("1.5") * Decimal("0.0000097222")
    assert guess.high - guess.total_usd == Decimal("1.5") * (Decimal("0.0000166667") - Decimal("0.0000097222"))


def runpod_trace(seed: int) -> tuple[list[Invocation], list[Instance], Decimal]:
    """Two days of one worker at a time, with what RunPod would bill: whole seconds per life."""
    rng, now, rows, lives, billed = np.random.default_rng(seed), datetime(2026, 11, 2, 0, 1, tzinfo=UTC), [], [], 0
    number = 0
    while now < datetime(2026, 11, 3, 23, 50, tzinfo=UTC):
        start, number = now, number + 1
        now += timedelta(microseconds=int(rng.uniform(2e6, 9e6)))
        ready = now
        for _ in range(int(rng.integers(1, 5))):
            length = timedelta(microseconds=int(rng.uniform(2e5, 4e6)))
            rows.append(invocation(now, instance_id=f"w{number}", handler_ms=length / timedelta(milliseconds=1)))
            now += length
            last = now
            now += timedelta(microseconds=int(rng.uniform(1e5, 4.5e6)))
        stop = last + seconds(5)
        lives.append(instance(start, last, id=f"w{number}", ready_at=ready))
        billed += -(-((stop - start) // timedelta(microseconds=1)) // 1_000_000)
        now = stop + timedelta(microseconds=int(rng.uniform(1e6, 3e9)))
    return rows, lives, billed * Decimal("0.00031")


@pytest.mark.parametrize("seed", range(5))
def test_runpod_model_equals_the_planted_bill_to_the_cent(seed):
    rows, lives, planted = runpod_trace(seed)
    found = cost(RUNPOD, "runpod-flex-4090", days=(0, 1), rows=rows, instances=lives)
    assert found.total_usd == planted
    assert cents(found.total_usd) == cents(planted)
    configured = cost(RUNPOD.model_copy(update={"idle_timeout_s": 5.0}), "runpod-flex-4090", days=(0, 1), rows=rows, instances=lives)
    assert [(d.low, d.high) for d in configured.days] == [(d.total_usd, d.total_usd) for d in found.days]
    assert set(found.by_phase()) == {"start", "run", "idle", "rounding"}


def test_a_life_over_midnight_is_cut_and_its_rounding_falls_on_its_last_day():
    start, last = MIDNIGHT - seconds(10), MIDNIGHT + seconds(5.5)
    rows = [invocation(MIDNIGHT - seconds(2), handler_ms=7500.0)]
    found = cost(RUNPOD, "runpod-flex-4090", days=(0, 1), rows=rows, instances=[instance(start, last, ready_at=MIDNIGHT - seconds(2))])
    rate, (before, after) = Decimal("0.00031"), found.days
    assert before.usd == {"start": 8 * rate, "run": 2 * rate, "idle": 0}
    assert after.usd == {"start": 0, "run": Decimal("5.5") * rate, "idle": 5 * rate, "rounding": Decimal("0.5") * rate}
    assert found.total_usd == 21 * rate


def test_minimum_workers_are_billed_around_the_clock():
    endpoint = RUNPOD.model_copy(update={"min_workers": 1})
    rows = [invocation(NOON)]
    (day,) = cost(endpoint, "runpod-flex-4090", rows=rows, instances=[instance(NOON, NOON + seconds(1))]).days
    assert sum(day.usd.values()) == 86_400 * Decimal("0.00031")
    assert day.usd["min_instances"] == 86_394 * Decimal("0.00031")


def test_cloud_run_idle_time_is_a_range_that_holds_the_truth():
    rows = [invocation(NOON + seconds(10), latency_ms=1000.0)]
    (day,) = cost(RUN, "cloud-run-l4-no-zonal", rows=rows, instances=[instance(NOON, NOON + seconds(11))]).days
    rate = Decimal("0.0002907")
    assert day.total_usd == 911 * rate
    assert (day.low, day.high) == (11 * rate, 911 * rate)
    configured = RUN.model_copy(update={"idle_timeout_s": 600.0})
    (day,) = cost(configured, "cloud-run-l4-no-zonal", rows=rows, instances=[instance(NOON, NOON + seconds(11))]).days
    assert day.total_usd == 611 * rate
    assert day.low <= 400 * rate <= day.high
    estimate = Estimate(low=590, best=600, high=640, n=30, method="change point")
    (day,) = cost(RUN, "cloud-run-l4-no-zonal", rows=rows, instances=[instance(NOON, NOON + seconds(11))], idle_timeout_s=estimate).days
    # Cloud Run promises no time-out: the log tells the usual one, and the range stays around it.
    assert (day.low, day.total_usd, day.high) == (11 * rate, 611 * rate, 911 * rate)


def test_an_idle_timeout_read_off_the_log_carries_its_uncertainty_into_the_cost():
    rows, lives = [invocation(NOON + seconds(10))], [instance(NOON, NOON + seconds(11))]
    rate = Decimal("0.00031")
    estimate = Estimate(low=55, best=60, high=70, n=30, method="change point")
    found = cost(RUNPOD, "runpod-flex-4090", rows=rows, instances=lives, idle_timeout_s=estimate)
    (day,) = found.days
    assert (day.low, day.total_usd, day.high) == (66 * rate, 71 * rate, 81 * rate)
    assert found.idle_timeout_s is estimate
    configured = cost(
        RUNPOD.model_copy(update={"idle_timeout_s": 5.0}), "runpod-flex-4090", rows=rows, instances=lives, idle_timeout_s=estimate
    )
    assert (configured.total_usd, configured.idle_timeout_s) == (16 * rate, None)
    one_sided = Estimate(low=55, best=None, high=float("inf"), n=30, method="change point")
    assert cost(RUNPOD, "runpod-flex-4090", rows=rows, instances=lives, idle_timeout_s=one_sided).total_usd == 16 * rate


def test_metered_instance_time_replaces_what_was_inferred():
    rows = [invocation(NOON + seconds(10), latency_ms=1000.0)]
    hours = [datetime(2026, 11, 2, h, tzinfo=UTC) for h in range(24)]
    usage = [
        UsageBucket(endpoint="e", source="m", start=h, end=h + timedelta(hours=1), billed_ms=123_400.0 if h.hour == 12 else 0.0)
        for h in hours
    ]
    (day,) = cost(RUN, "cloud-run-l4-no-zonal", rows=rows, instances=[instance(NOON, NOON + seconds(11))], usage=usage).days
    rate = Decimal("0.0002907")
    assert (day.low, day.total_usd) == (Decimal("123.4") * rate, Decimal("123.4") * rate)
    assert day.high == Decimal("123.6") * rate  # the meter may or may not count the round-up of each life
    assert day.usd["idle"] == Decimal("112.4") * rate
    (day,) = cost(RUN, "cloud-run-l4-no-zonal", rows=rows, instances=[instance(NOON, NOON + seconds(11))], usage=usage[:23]).days
    assert day.total_usd == 911 * Decimal("0.0002907")


def test_a_start_up_reported_apart_is_not_counted_into_the_request():
    """RunPod's lines stamp a cold request where its handler began, and give the caller's whole wait as latency."""
    start = NOON - seconds(9)
    rows = [invocation(NOON, init_ms=9000.0, latency_ms=10_000.0, cold="cold", waited=True)]
    lives = [instance(start, NOON + seconds(1), init_ms=9000.0)]
    (day,) = cost(RUNPOD.model_copy(update={"idle_timeout_s": 5.0}), "runpod-flex-4090", rows=rows, instances=lives).days
    assert day.usd == {phase: n * Decimal("0.00031") for phase, n in (("start", 9), ("run", 1), ("idle", 5), ("rounding", 0))}
    assert day.high - day.total_usd == 9 * Decimal("0.00031")  # the container start before the process is not seen


def test_nodes_are_billed_by_the_days_length():
    endpoint = SagemakerEndpoint(name="e", platform="sagemaker", endpoint_name="x", region="us-east-1", instances=2)
    calendar = Calendar(start=date(2026, 10, 24), days=3, zone=ZoneInfo("Europe/London"))
    days = [DaySummary(endpoint="e", platform="sagemaker", days=(d,)) for d in calendar]
    row = BOOK.rows["sagemaker-ml.g4dn.xlarge"]
    found = endpoint_cost(endpoint, row, days=days, invocations=[], calendar=calendar, prices=SETTINGS)
    assert [d.total_usd for d in found.days] == [2 * h * Decimal("0.7364") for h in (24, 25, 24)]


def test_measured_replicas_count_where_the_provider_tells_them():
    endpoint = VertexEndpoint(name="e", platform="vertex-ai", project="p", region="r", endpoint_id="1")
    usage = [UsageBucket(endpoint="e", source="m", start=NOON, end=NOON + timedelta(hours=2), instances=3.0)]
    (day,) = cost(endpoint, "vertex-g2-standard-4", usage=usage).days
    assert day.usd == {"node_hours": (22 + 6) * Decimal("0.813")}


def test_managed_instances_bill_requests_and_three_environments():
    (day,) = cost(LAMBDA, "aws-lambda-managed-g4dn.xlarge", summaries=[summary(requests=500_000)]).days
    assert cents(day.total_usd) == Decimal("43.65")


def test_public_replicate_models_pay_for_active_time_alone():
    endpoint = ReplicateEndpoint(name="e", platform="replicate")
    rows = [invocation(NOON, handler_ms=2500.0, latency_ms=60_000.0), invocation(NOON, handler_ms=500.0)]
    (day,) = cost(endpoint, "replicate-t4-public", rows=rows).days
    assert day.usd["run"] == 3 * Decimal("0.000225")


def test_request_based_cloud_run_pays_for_overlapping_requests_once():
    rows = [
        invocation(NOON, latency_ms=2000.0),
        invocation(NOON + seconds(1), latency_ms=2020.0),
        invocation(NOON, latency_ms=1000.0, instance_id="b"),
    ]
    endpoint = RUN.model_copy(update={"resources": RUN.resources.model_copy(update={"vcpu": 1.0, "memory_gib": 0.5})})
    (day,) = cost(endpoint, "cloud-run-cpu", rows=rows).days
    assert day.billed_seconds == Decimal("4.1")
    assert day.usd["run"] == Decimal("4.1") * (Decimal("0.000024") + Decimal("0.5") * Decimal("0.0000025"))


def test_idle_time_nobody_states_is_an_error_with_a_way_out():
    endpoint = ReplicateEndpoint(name="e", platform="replicate", deployment="o/d")
    with pytest.raises(ConfigError, match="Set idle_timeout_s"):
        cost(endpoint, "replicate-t4", rows=[invocation(NOON)])
    (day,) = cost(endpoint.model_copy(update={"idle_timeout_s": 60.0}), "replicate-t4", rows=[invocation(NOON)]).days
    assert day.total_usd == 61 * Decimal("0.000225")


def test_bill_tokens_and_month_stand_beside_the_model():
    usage = [UsageBucket(endpoint="e", source="b", start=NOON, end=NOON + seconds(3600), billed_usd={"gpu": Decimal(1)})]
    days = [summary(requests=10, by_model={"m": {"requests": 10, "input_tokens": 900, "output_tokens": 100}})]
    found = cost(RUNPOD, "runpod-flex-4090", rows=[invocation(NOON, handler_ms=5000.0)], summaries=days, usage=usage)
    assert found.days[0].billed_usd == {"gpu": Decimal(1)}
    assert found.tokens == 1000
    assert found.usd_per_million_tokens == 10 * Decimal("0.00031") * 1000
    assert found.usd_per_month == found.total_usd * 730 / 24


def test_days_without_anything_cost_nothing_and_others_are_left_out():
    rows = [invocation(NOON), invocation(NOON + timedelta(days=2))]
    found = cost(RUNPOD, "runpod-flex-4090", days=(0, 1), rows=rows)
    assert [d.total_usd for d in found.days] == [6 * Decimal("0.00031"), 0]


def test_tables_may_come_one_day_at_a_time():
    rows, lives, planted = runpod_trace(9)
    tables = (invocations_table([r for r in rows if r.day == DAY + timedelta(days=d)]) for d in (0, 1))
    found = endpoint_cost(
        RUNPOD,
        BOOK.rows["runpod-flex-4090"],
        days=[summary(1), summary(0)],
        invocations=tables,
        instances=lives,
        calendar=CALENDAR,
        prices=SETTINGS,
    )
    assert found.total_usd == planted
    assert [d.day for d in found.days] == [DAY, DAY + timedelta(days=1)]


def test_a_default_time_out_is_a_range_and_a_configured_one_is_not():
    rows = [invocation(NOON)]
    (day,) = cost(RUNPOD, "runpod-flex-4090", rows=rows, instances=[instance(NOON, NOON + seconds(1))]).days
    assert (day.low, day.total_usd, day.high) == tuple(n * Decimal("0.00031") for n in (6, 6, 11))
    configured = RUNPOD.model_copy(update={"idle_timeout_s": 7.0})
    (day,) = cost(configured, "runpod-flex-4090", rows=rows, instances=[instance(NOON, NOON + seconds(1))]).days
    assert (day.low, day.total_usd, day.high) == tuple(n * Decimal("0.00031") for n in (8, 8, 8))


@given(
    lives=st.lists(st.tuples(st.integers(0, 10**11), st.integers(0, 10**8), st.integers(1, 10**8)), min_size=1, max_size=12),
    zone=st.sampled_from(["America/New_York", "Asia/Kolkata", "Pacific/Auckland"]),
)
def test_where_midnight_falls_changes_no_total(lives, zone):
    start = datetime(2026, 11, 3, tzinfo=UTC)
    rows, instances = [], []
    for number, (begin, start_up, busy) in enumerate(lives):
        began = start + timedelta(microseconds=begin)
        ready = began + timedelta(microseconds=start_up)
        rows.append(invocation(ready, instance_id=str(number), handler_ms=busy / 1000))
        instances.append(instance(began, ready + timedelta(microseconds=busy), id=str(number), ready_at=ready))
    totals = []
    for name in ("UTC", zone):
        calendar = Calendar(start=DAY, days=4, zone=ZoneInfo(name))
        days = [DaySummary(endpoint="e", platform="x", days=(d,)) for d in calendar]
        found = endpoint_cost(
            RUNPOD,
            BOOK.rows["runpod-flex-4090"],
            days=days,
            invocations=invocations_table(rows),
            instances=instances,
            calendar=calendar,
            prices=SETTINGS,
        )
        totals.append(found.total_usd)
        assert all(d.low <= d.total_usd <= d.high for d in found.days)
    planted = sum(-(-(start_up + busy + 5_000_000) // 1_000_000) for _, start_up, busy in lives) * Decimal("0.00031")
    assert totals == [planted, planted]
