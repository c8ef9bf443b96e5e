from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.triton import triton_buckets

DAY = datetime(2026, 11, 2, tzinfo=UTC)


def stats(success: int, fail: int = 0, *, ns: int = 0, busy_ns: int = 0, name: str = "summ") -> dict[str, object]:
    pair = {"count": success, "ns": ns}
    return {
        "name": name,
        "version": "1",
        "inference_count": success,
        "inference_stats": {"success": pair, "fail": {"count": fail, "ns": 0}, "compute_infer": {"count": success, "ns": 2 * busy_ns}},
        "batch_stats": [{"batch_size": 2, "compute_infer": {"count": success // 2, "ns": busy_ns}}],
    }


def buckets(*models: list[dict[str, object]], every_s: int = 60, model: str | None = None):
    readings = [(DAY + timedelta(seconds=every_s * i), {"model_stats": m}) for i, m in enumerate(models)]
    return list(triton_buckets(readings, endpoint="summ", model=model))


def test_growth_between_readings_in_ms_and_share_of_the_clock():
    first, second = buckets(
        [stats(10, 1, ns=10**9, busy_ns=6 * 10**9)],
        [stats(16, 3, ns=4 * 10**9, busy_ns=21 * 10**9)],
        [stats(16, 3, ns=4 * 10**9, busy_ns=21 * 10**9)],
    )
    assert (first.requests, first.errors, first.latency_ms_sum, first.gpu_utilisation) == (8, 2, 3000.0, 0.25)
    assert (second.requests, second.errors, second.gpu_utilisation) == (0, 0, 0.0)
    assert (first.start, first.end, first.source) == (DAY, DAY + timedelta(minutes=1), "triton-statistics")


def test_a_restart_counts_from_zero():
    (bucket,) = buckets([stats(100, ns=9 * 10**9, busy_ns=9)], [stats(3, ns=10**6)])
    assert (bucket.requests, bucket.latency_ms_sum) == (3, 1.0)


def test_of_several_models_the_named_ones_requests_count_and_the_time_of_all():
    """A model that was not there before counts from its load."""
    readings = [[stats(5, busy_ns=10**6)], [stats(6, busy_ns=3 * 10**6), stats(4, name="tokens", busy_ns=10**6)]]
    with pytest.raises(ValueError, match="summ, tokens: name the one"):
        buckets(*readings)
    (asked,), (other,) = buckets(*readings, model="summ"), buckets(*readings, model="tokens")
    assert (asked.requests, other.requests) == (1, 4)
    assert asked.gpu_ms == other.gpu_ms == 3.0


def test_one_reading_says_nothing_yet():
    assert buckets([stats(5)]) == []


@pytest.mark.parametrize(
    "answer",
    [{}, {"model_stats": [{}]}, {"model_stats": [7]}, {"model_stats": [{"name": "a", "inference_stats": {"success": {"count": "3"}}}]}],
)
def test_an_answer_that_is_no_statistics(answer):
    with pytest.raises(ValueError, match="Triton"):
        list(triton_buckets([(DAY, answer)], endpoint="summ"))


def test_readings_out_of_order():
    with pytest.raises(ValueError, match="out of order"):
        list(triton_buckets([(DAY, {"model_stats": []}), (DAY, {"model_stats": []})], endpoint="summ"))


@given(st.lists(st.tuples(st.integers(0, 50), st.booleans()), min_size=1, max_size=20))
def test_with_restarts_nothing_is_counted_twice(steps):
    """A server that serves `n` between readings and may restart right after one: every request counted exactly once."""
    total, models, served = 0, [[stats(0)]], 0
    for n, restarted in steps:
        total = n if restarted else total + n
        served += n
        models.append([stats(total, ns=total)])
    counted = sum(b.requests for b in buckets(*models))
    # A restart after which more was served than before it looks like growth: then, and only then, less is counted.
    assert counted <= served
    if not any(restarted for _, restarted in steps):
        assert counted == served
