"""Vertex AI's logs and metrics through the real clients from a real gRPC server."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import grpc
import pytest

from collectors import vertex_ai
from trial.errors import Denied, Throttled

DAY = datetime(2026, 11, 2, tzinfo=UTC)
ONLINE = "aiplatform.googleapis.com/prediction/online"


def stamp(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


def series(metric: str, values: dict[int, dict], *, kind: str = "DELTA", **labels: str) -> dict:
    points = [
        {"interval": {"startTime": stamp(DAY + timedelta(hours=n)), "endTime": stamp(DAY + timedelta(hours=n + 1))}, "value": v}
        for n, v in values.items()
    ]
    if kind == "GAUGE":
        for point in points:
            point["interval"]["startTime"] = point["interval"]["endTime"]
    return {"metric": {"type": f"{ONLINE}/{metric}", "labels": labels}, "metricKind": kind, "points": points}


def usage(world) -> list:
    return list(vertex_ai.fetch_usage(world.clients, world.endpoint, world.window, meter=world.meter))


def test_metrics_become_hourly_buckets(world):
    latencies = {
        "count": "4",
        "mean": 250.0,
        "bucketOptions": {"explicitBuckets": {"bounds": [0, 200, 400]}},
        "bucketCounts": ["0", "2", "2"],
    }
    world.google.page_size = 1
    world.google.series = [
        series("response_count", {0: {"int64Value": "100"}, 5: {"int64Value": "8"}}, response_code="2xx"),
        series("response_count", {0: {"int64Value": "7"}}, response_code="5xx"),
        series("response_count", {0: {"int64Value": "2"}}, response_code="429"),
        series("prediction_count", {0: {"int64Value": "400"}}),
        series("prediction_latencies", {0: {"distributionValue": latencies}}, latency_type="total"),
        series("accelerator/duty_cycle", {0: {"doubleValue": 0.30}}, kind="GAUGE", replica_id="a"),
        series("accelerator/duty_cycle", {0: {"doubleValue": 0.50}}, kind="GAUGE", replica_id="b"),
        series("replicas", {0: {"int64Value": "2"}, 1: {"int64Value": "0"}}, kind="GAUGE"),
    ]
    buckets = usage(world)
    assert len(buckets) == 24 and {b.source for b in buckets} == {"cloud-monitoring"}
    assert world.meter.metrics == len(world.google.series) + 1, "charged by time series returned; a query without any counts as one"
    first, second, sixth = buckets[0], buckets[1], buckets[5]
    assert (first.requests, first.errors, first.instances) == (109, 9, 2.0)
    assert first.gpu_utilisation == pytest.approx(0.40)
    assert first.latency_ms_sum == pytest.approx(1000.0)
    assert first.latency_ms == {"p50": pytest.approx(200.0), "p95": pytest.approx(380.0), "p99": pytest.approx(396.0)}
    assert (second.requests, second.errors, second.instances, second.gpu_utilisation) == (0, 0, 0.0, None)
    assert (sixth.requests, sixth.instances) == (8, None)
    assert all(b.billed_ms is None and not b.billed_usd for b in buckets)


def test_error_counter_and_prediction_counter_where_that_is_all_there_is(world):
    world.google.series = [series("prediction_count", {0: {"int64Value": "40"}}), series("error_count", {3: {"int64Value": "5"}})]
    buckets = usage(world)
    assert (buckets[0].requests, buckets[0].errors) == (40, 0)
    assert (buckets[3].requests, buckets[3].errors) == (0, 5)


def test_only_replicas_say_nothing_about_requests(world):
    world.google.series = [series("replicas", {0: {"int64Value": "1"}}, kind="GAUGE")]
    assert (usage(world)[0].requests, usage(world)[0].errors, usage(world)[0].instances) == (None, None, 1.0)


def test_no_series_no_buckets(world):
    assert usage(world) == []


def test_the_question_names_the_endpoint_and_the_whole_latency(world):
    usage(world)
    filters = [r.filter for r in world.google.asked]
    assert all('resource.labels.endpoint_id="77" AND resource.labels.location="us-east1"' in f for f in filters)
    assert sum('metric.labels.latency_type="total"' in f for f in filters) == 1


def test_container_and_access_log_are_read(world):
    def entry(number: int, log: str, **more) -> dict:
        return {
            "logName": f"projects/acme/logs/aiplatform.googleapis.com%2F{log}",
            "insertId": f"i{number}",
            "timestamp": stamp(DAY + timedelta(hours=1, seconds=number)),
            "resource": {"type": "aiplatform.googleapis.com/Endpoint", "labels": {"endpoint_id": "77", "location": "us-east1"}},
            **more,
        }

    line = '{"fortnight":1,"request_id":"r1","gpu_ms":5.5}'
    world.google.entries = [
        entry(1, "prediction_container", jsonPayload={"message": line}, labels={"replica_id": "a"}),
        entry(2, "prediction_access", jsonPayload={"deployedModelId": "1"}),
        entry(3, "another", jsonPayload={"message": line}),
    ]
    events = list(vertex_ai.fetch(world.clients, world.endpoint, world.window, meter=world.meter))
    outcomes = [vertex_ai.parse(e, world.endpoint) for e in events]
    assert [getattr(o, "kind", None) or o.reason for o in outcomes] == ["handler_line", "access_entry"]
    assert outcomes[0].fields["gpu_ms"] == 5.5


def test_errors_are_our_own(world):
    world.google.failures.append(grpc.StatusCode.PERMISSION_DENIED)
    with pytest.raises(Denied, match="roles/monitoring.viewer"):
        usage(world)
    world.google.failures.append(grpc.StatusCode.PERMISSION_DENIED)
    with pytest.raises(Denied, match="roles/logging.viewer"):
        list(vertex_ai.fetch(world.clients, world.endpoint, world.window, meter=world.meter))
    world.google.failures.extend([grpc.StatusCode.RESOURCE_EXHAUSTED] * 9)
    with pytest.raises(Throttled):
        usage(world)
