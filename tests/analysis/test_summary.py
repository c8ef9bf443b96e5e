from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.summary import Summariser
from trial import schema
from trial.ledger import Ledger
from trial.records import Invocation
from trial.summary import DaySummary

DAY = date(2026, 11, 3)
NOON = datetime(2026, 11, 3, 12, tzinfo=UTC)
WARM = Invocation(
    platform="aws-lambda",
    endpoint="e",
    day=DAY,
    request_id="r",
    instance_id="i",
    started_at=NOON,
    cold="warm",
    waited=False,
    latency_ms=100.0,
    model="m",
)
COLD = replace(WARM, cold="cold", waited=True, cold_reason="init", init_ms=6000.0, latency_ms=6100.0)


def summarise(*batches):
    summariser = Summariser(endpoint="e", platform="aws-lambda", day=DAY, slo_ms=500)
    for rows in batches:
        summariser.add(schema.invocations_table(rows))
    return summariser.close(ledgers=())


def counts(summary):
    names = ("requests", "cold_hits", "cold_unwaited", "unknown", "noticed", "noticed_unknown", "synthetic", "aborted")
    return {n: getattr(summary, n) for n in names if getattr(summary, n)}


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (WARM, {"requests": 1}),
        (COLD, {"requests": 1, "cold_hits": 1, "noticed": 1}),
        (replace(COLD, waited=False), {"requests": 1, "cold_unwaited": 1}),
        (replace(COLD, waited=None), {"requests": 1, "unknown": 1, "noticed_unknown": 1}),
        (replace(WARM, cold="unknown", waited=None), {"requests": 1, "unknown": 1}),
        (replace(WARM, cold="unknown", waited=None, latency_ms=900.0), {"requests": 1, "unknown": 1, "noticed_unknown": 1}),
        (replace(COLD, synthetic=True), {"synthetic": 1}),
        (replace(WARM, cold="unknown", status="aborted"), {"aborted": 1}),
        (replace(COLD, latency_ms=450.0, init_ms=350.0), {"requests": 1, "cold_hits": 1}),
        # A request that is slow by itself misses the SLO warm too: the start did not push it over.
        (replace(COLD, latency_ms=6900.0, init_ms=6000.0), {"requests": 1, "cold_hits": 1}),
        (replace(COLD, latency_ms=6900.0, init_ms=6000.0, queue_ms=6500.0), {"requests": 1, "cold_hits": 1, "noticed": 1}),
        (
            replace(COLD, latency_ms=6500.0, init_ms=300.0, load_ms=6000.0, cold_reason="lazy_load"),
            {"requests": 1, "cold_hits": 1, "noticed": 1},
        ),
        (replace(COLD, latency_ms=None), {"requests": 1, "cold_hits": 1, "noticed_unknown": 1}),
        (replace(COLD, init_ms=None), {"requests": 1, "cold_hits": 1, "noticed": 1}),
    ],
)
def test_every_kind_of_request_is_counted_where_it_belongs(row, expected):
    assert counts(summarise([row])) == expected


rows = st.lists(
    st.builds(
        lambda kind, at, gpu, model: replace(
            kind,
            started_at=NOON + timedelta(milliseconds=at),
            gpu_ms=gpu,
            gpu_ms_source="none" if gpu is None else "cuda_event",
            model=model,
        ),
        st.sampled_from([WARM, COLD, replace(WARM, synthetic=True), replace(WARM, cold="unknown", waited=None)]),
        st.integers(0, 10**6),
        st.none() | st.floats(0, 1e5),
        st.sampled_from(["a", "b", None]),
    ),
    max_size=25,
)


@given(rows, rows)
def test_batching_does_not_show(a, b):
    assert summarise(a, b) == summarise(a + b) == summarise(b, a)


@given(rows)
def test_summaries_survive_json(data):
    summary = replace(summarise(data), ledgers=(Ledger(endpoint="e", day=DAY, source="logs", read=2, used={"start": 1}, duplicate=1),))
    assert DaySummary.from_json(summary.to_json()) == summary


def test_days_add_and_a_day_does_not_add_to_itself():
    one = summarise([COLD])
    next_day = replace(one, days=(DAY + timedelta(days=1),), first_cold=False)
    total = next_day + one
    assert (total.requests, total.days, total.first_cold) == (2, (DAY, DAY + timedelta(days=1)), True)
    with pytest.raises(ValueError, match="replaced, never added"):
        one + one


def test_peak_concurrency_counts_overlaps_only():
    at = [replace(WARM, started_at=NOON + timedelta(milliseconds=ms)) for ms in (0, 50, 99, 100, 300)]
    assert summarise(at).peak_concurrency == 3


def test_a_day_without_requests_is_zero_not_an_error():
    assert counts(summarise([])) == {}
    assert summarise().first_cold is None
