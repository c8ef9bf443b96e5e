"""Cloud Monitoring read through the real client: counts by the hour, and what is not said stays unsaid."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import grpc
import pytest

from collectors import cloud_run
from trial.calendar import Window
from trial.errors import Denied, Unreachable

DAY = datetime(2026, 11, 2, tzinfo=UTC)


def stamp(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


def series(metric: str, points: list[tuple[datetime, datetime, dict]], *, kind: str = "DELTA", **labels: str) -> dict:
    return {
        "metric": {"type": f"run.googleapis.com/{metric}", "labels": labels},
        "metricKind": kind,
        "points": [{"interval": {"startTime": stamp(a), "endTime": stamp(b)}, "value": v} for a, b, v in points],
    }


def hour(number: int, value: dict) -> tuple[datetime, datetime, dict]:
    return DAY + timedelta(hours=number), DAY + timedelta(hours=number + 1), value


def distribution(counts: list[int], mean: float, **options) -> dict:
    options = options or {"explicitBuckets": {"bounds": [0, 100, 200, 400]}}
    return {
        "distributionValue": {"count": str(sum(counts)), "mean": mean, "bucketOptions": options, "bucketCounts": [str(c) for c in counts]}
    }


def usage(world, window: Window | None = None) -> list:
    return list(cloud_run.fetch_usage(world.clients, world.endpoint, window or world.window, meter=world.meter))


def test_counts_by_the_hour_and_by_code(world):
    world.google.page_size = 1  # one series per page
    world.google.series = [
        series("request_count", [hour(0, {"int64Value": "10"}), hour(2, {"int64Value": "4"})], response_code_class="2xx"),
        series("request_count", [hour(0, {"int64Value": "3"})], response_code_class="5xx"),
        series("request_count", [hour(0, {"int64Value": "2"})], response_code_class="4xx"),
        series("container/billable_instance_time", [hour(0, {"doubleValue": 1800.5})]),
        series("container/instance_count", [hour(0, {"doubleValue": 0.5})], kind="GAUGE"),
        series("container/startup_latencies", [hour(0, distribution([0, 1, 2], 150.0))]),
    ]
    buckets = usage(world)
    assert len(buckets) == 24
    assert [(b.start, b.end) for b in buckets] == [hour(n, {})[:2] for n in range(24)]
    first, second, third = buckets[:3]
    assert (first.requests, first.errors, first.billed_ms, first.instances, first.starts) == (15, 5, 1_800_500.0, 0.5, 3)
    assert (second.requests, second.errors, second.billed_ms, second.instances, second.starts) == (0, 0, 0.0, None, 0)
    assert (third.requests, third.errors) == (4, 0)
    assert {b.source for b in buckets} == {"cloud-monitoring"} and all(b.final and not b.billed_usd for b in buckets)


def test_points_finer_than_asked_add_up_and_levels_are_averaged(world):
    minutes = [(DAY + timedelta(minutes=n), DAY + timedelta(minutes=n + 1)) for n in range(90)]
    world.google.series = [
        series("request_count", [(a, b, {"int64Value": "1"}) for a, b in minutes], response_code_class="2xx", revision="one"),
        series("request_count", [(a, b, {"int64Value": "1"}) for a, b in minutes], response_code_class="2xx", revision="two"),
        series("container/instance_count", [(b, b, {"int64Value": "2"}) for _, b in minutes], kind="GAUGE", state="active"),
        series("container/instance_count", [(b, b, {"int64Value": "1"}) for _, b in minutes], kind="GAUGE", state="idle"),
    ]
    first, second = usage(world)[:2]
    assert (first.requests, second.requests) == (120, 60)
    assert (first.instances, second.instances) == (3.0, 3.0)


def test_the_day_holds_the_points_that_end_in_it(world):
    edges = [DAY, DAY + timedelta(seconds=1), DAY + timedelta(days=1), DAY + timedelta(days=1, seconds=1)]
    world.google.series = [
        series("request_count", [(at - timedelta(minutes=1), at, {"int64Value": "1"}) for at in edges], response_code_class="2xx")
    ]
    buckets = usage(world)
    assert sum(b.requests for b in buckets) == 2
    assert (buckets[0].requests, buckets[-1].requests) == (1, 1)


def test_latencies_are_summed_and_their_percentiles_interpolated(world):
    world.google.series = [
        series("request_latencies", [hour(0, distribution([0, 50, 30, 20], 140.0))], revision="one"),
        series("request_latencies", [hour(0, distribution([0, 0, 100], 150.0))], revision="two"),
        series("container/gpu/utilizations", [hour(0, distribution([0, 4], 0.25))]),
    ]
    first = usage(world)[0]
    assert first.latency_ms_sum == pytest.approx(100 * 140 + 100 * 150)
    assert first.latency_ms["p50"] == pytest.approx(100 + 100 * 50 / 130)
    assert first.latency_ms["p95"] == pytest.approx(200 + 200 * 10 / 20)
    assert first.gpu_utilisation == pytest.approx(0.25)
    assert first.requests is None and first.billed_ms is None and first.starts is None


def test_distributions_with_other_buckets_keep_their_sum_and_lose_percentiles(world):
    world.google.series = [
        series("request_latencies", [hour(0, distribution([0, 50], 50.0))], revision="one"),
        series(
            "request_latencies",
            [hour(0, distribution([0, 10], 1.5, exponentialBuckets={"numFiniteBuckets": 4, "growthFactor": 2, "scale": 1}))],
            revision="two",
        ),
    ]
    first = usage(world)[0]
    assert first.latency_ms_sum == pytest.approx(50 * 50 + 10 * 1.5)
    assert first.latency_ms == {}


@pytest.mark.parametrize(
    ("options", "p50"),
    [
        ({"exponentialBuckets": {"numFiniteBuckets": 4, "growthFactor": 2, "scale": 10}}, 30.0),
        ({"linearBuckets": {"numFiniteBuckets": 4, "width": 20, "offset": 10}}, 40.0),
    ],
)
def test_every_kind_of_buckets(world, options, p50):
    world.google.series = [series("request_latencies", [hour(0, distribution([0, 0, 10], 25.0, **options))])]
    assert usage(world)[0].latency_ms["p50"] == pytest.approx(p50)


def test_nothing_measured_is_nothing_said(world):
    assert usage(world) == []


def test_a_window_of_no_whole_hours_is_one_bucket(world):
    world.google.series = [series("request_count", [(DAY, DAY + timedelta(minutes=1), {"int64Value": "3"})], response_code_class="2xx")]
    window = Window(start=DAY, end=DAY + timedelta(minutes=90))
    (bucket,) = usage(world, window)
    assert (bucket.start, bucket.end, bucket.requests) == (window.start, window.end, 3)


def test_a_day_of_25_hours_has_25_buckets(world):
    world.google.series = [series("request_count", [hour(24, {"int64Value": "3"})], response_code_class="2xx")]
    buckets = usage(world, Window(start=DAY, end=DAY + timedelta(hours=25)))
    assert [b.requests for b in buckets] == [0] * 24 + [3]


def test_the_question_names_service_region_and_period(world):
    usage(world)
    asked = {r.filter.partition('"')[2].partition('"')[0]: r for r in world.google.asked}
    count = asked["run.googleapis.com/request_count"]
    assert 'resource.labels.service_name="summariser"' in count.filter and 'resource.labels.location="us-central1"' in count.filter
    assert count.aggregation.alignment_period == timedelta(hours=1)
    assert list(count.aggregation.group_by_fields) == ["metric.labels.response_code_class"]


def test_a_metric_the_project_never_had_is_not_an_error(world):
    world.google.failures.extend([grpc.StatusCode.NOT_FOUND] * 5 + [None])
    world.google.series = [series("container/gpu/utilizations", [hour(0, distribution([0, 4], 0.5))])]
    buckets = usage(world)
    assert buckets[0].gpu_utilisation == pytest.approx(0.5) and buckets[0].requests is None


def test_throttles_pass_and_denials_do_not(world):
    world.google.failures.extend([grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNAVAILABLE])
    world.google.series = [series("request_count", [hour(0, {"int64Value": "10"})], response_code_class="2xx")]
    assert usage(world)[0].requests == 10
    assert world.meter.throttles == 1
    world.google.failures.append(grpc.StatusCode.PERMISSION_DENIED)
    with pytest.raises(Denied, match="roles/monitoring.viewer on project acme"):
        usage(world)
    world.google.failures.extend([grpc.StatusCode.UNAVAILABLE] * 9)
    with pytest.raises(Unreachable):
        usage(world)
