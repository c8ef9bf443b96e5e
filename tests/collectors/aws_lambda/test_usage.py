from __future__ import annotations

from datetime import UTC, datetime, timedelta

import boto3
import pytest
from botocore.stub import ANY, Stubber
from moto import mock_aws

from collectors.aws_lambda.fetch import Clients, fetch_usage
from trial.calendar import Window
from trial.config import AwsLambdaEndpoint
from trial.errors import Denied, Unreachable
from trial.meter import Meter
from trial.records import UsageBucket

ENDPOINT = AwsLambdaEndpoint(name="s", platform="aws-lambda", function="summariser:live", region="eu-west-1")
DAY = Window(start=datetime(2026, 11, 2, tzinfo=UTC), end=datetime(2026, 11, 3, tzinfo=UTC))
FIVE = timedelta(seconds=300)


def client():
    return boto3.client(
        "cloudwatch",
        region_name="eu-west-1",
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
    )


def result(name, points, status="Complete"):
    return {"Id": name, "Label": name, "StatusCode": status, "Timestamps": [at for at, _ in points], "Values": [v for _, v in points]}


def test_sums_by_five_minutes_of_what_the_service_counted():
    with mock_aws():
        metrics = client()
        points = [(DAY.start, 3.0, 0.0), (DAY.start + FIVE + timedelta(minutes=1), 2.0, 1.0), (DAY.end, 9.0, 9.0)]
        for at, invocations, errors in points:
            dimensions = [{"Name": "FunctionName", "Value": "summariser"}]
            metrics.put_metric_data(
                Namespace="AWS/Lambda",
                MetricData=[
                    {"MetricName": "Invocations", "Dimensions": dimensions, "Timestamp": at, "Value": invocations},
                    {"MetricName": "Errors", "Dimensions": dimensions, "Timestamp": at, "Value": errors},
                ],
            )
        meter = Meter()
        buckets = list(fetch_usage(Clients(logs=None, metrics=metrics), ENDPOINT, DAY, meter=meter))
    assert [(b.start, b.end, b.requests, b.errors, b.throttled) for b in buckets] == [
        (DAY.start, DAY.start + FIVE, 3, 0, None),
        (DAY.start + FIVE, DAY.start + 2 * FIVE, 2, 1, None),
    ]
    assert buckets[0].source == "cloudwatch-metrics"
    assert (meter.calls, meter.metrics) == (1, 4)


def test_pages_go_on_and_absent_points_are_not_zeros():
    metrics = client()
    with Stubber(metrics) as stub:
        stub.add_response(
            "get_metric_data",
            {"MetricDataResults": [result("invocations", [(DAY.start, 4.0)], "PartialData")], "NextToken": "a"},
            {"StartTime": DAY.start, "EndTime": DAY.end, "ScanBy": "TimestampAscending", "MetricDataQueries": ANY},
        )
        stub.add_response(
            "get_metric_data",
            {
                "MetricDataResults": [
                    result("invocations", [(DAY.start + 3 * FIVE, 1.0)]),
                    result("throttles", [(DAY.start, 2.0)]),
                    result("duration", [(DAY.start, 812.5)]),
                ]
            },
        )
        found = list(fetch_usage(Clients(logs=None, metrics=metrics), ENDPOINT, DAY, meter=Meter()))
    assert found == [
        UsageBucket(
            endpoint="s",
            source="cloudwatch-metrics",
            start=DAY.start,
            end=DAY.start + FIVE,
            requests=4,
            throttled=2,
            latency_ms_sum=812.5,
        ),
        UsageBucket(endpoint="s", source="cloudwatch-metrics", start=DAY.start + 3 * FIVE, end=DAY.start + 4 * FIVE, requests=1),
    ]


def test_hours_are_asked_for_where_five_minutes_are_gone():
    metrics = client()
    with Stubber(metrics) as stub:
        stub.add_response("get_metric_data", {"MetricDataResults": [result("invocations", [])]})
        stub.add_response("get_metric_data", {"MetricDataResults": [result("invocations", [(DAY.start, 40.0)])]})
        (bucket,) = fetch_usage(Clients(logs=None, metrics=metrics), ENDPOINT, DAY, meter=Meter())
    assert (bucket.requests, bucket.end - bucket.start) == (40, timedelta(hours=1))


def test_buckets_lie_inside_a_window_that_is_not_aligned():
    metrics = client()
    window = Window(start=DAY.start + timedelta(minutes=1), end=DAY.start + timedelta(minutes=14))
    asked = {"StartTime": DAY.start + FIVE, "EndTime": DAY.start + 2 * FIVE, "ScanBy": ANY, "MetricDataQueries": ANY}
    with Stubber(metrics) as stub:
        stub.add_response("get_metric_data", {"MetricDataResults": [result("invocations", [(DAY.start + FIVE, 1.0)])]}, asked)
        (bucket,) = fetch_usage(Clients(logs=None, metrics=metrics), ENDPOINT, window, meter=Meter())
    assert (bucket.start, bucket.end) == (DAY.start + FIVE, DAY.start + 2 * FIVE)


def test_what_cannot_be_read_is_said_with_the_permission_to_grant():
    metrics = client()
    with Stubber(metrics) as stub:
        stub.add_client_error("get_metric_data", "AccessDenied", "not authorized", http_status_code=403)
        with pytest.raises(Denied, match="cloudwatch:GetMetricData"):
            list(fetch_usage(Clients(logs=None, metrics=metrics), ENDPOINT, DAY, meter=Meter()))
        stub.add_response("get_metric_data", {"MetricDataResults": [result("invocations", [], "InternalError")]})
        with pytest.raises(Unreachable):
            list(fetch_usage(Clients(logs=None, metrics=metrics), ENDPOINT, DAY, meter=Meter()))


def test_without_a_metrics_client_there_are_no_buckets():
    assert list(fetch_usage(Clients(logs=None), ENDPOINT, DAY, meter=Meter())) == []
