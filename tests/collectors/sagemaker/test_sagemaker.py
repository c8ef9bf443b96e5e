from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import boto3
import pytest
from botocore.config import Config
from botocore.stub import Stubber
from hypothesis import given
from hypothesis import strategies as st
from moto import mock_aws

from collectors import sagemaker
from collectors.sagemaker.metrics import HOST, SERVICE
from collectors.sagemaker.usage import METRICS
from sandbox.clock import Clock
from sandbox.cloudwatch_metrics import CloudWatchMetrics, Metric
from sandbox.http_server import Request, Response, serve_http
from trial.calendar import Calendar, Window
from trial.config import SagemakerEndpoint
from trial.errors import Denied, NotFound, Unreachable
from trial.meter import Meter
from trial.records import Ignored, RawEvent, Rejected

CALENDAR = Calendar(start=date(2026, 11, 2), days=14, zone=ZoneInfo("UTC"))
DAY = datetime(2026, 11, 2, tzinfo=UTC)
WINDOW = Window(start=DAY, end=DAY + timedelta(days=1))
KEYS = {"region_name": "eu-west-1", "aws_access_key_id": "k", "aws_secret_access_key": "s"}
QUICK = Config(retries={"total_max_attempts": 1}, connect_timeout=2, read_timeout=5)


def endpoint(**keys: Any) -> SagemakerEndpoint:
    return SagemakerEndpoint(**{"name": "summ", "platform": "sagemaker", "endpoint_name": "summ-prod", "region": "eu-west-1", **keys})


@pytest.mark.samples("sagemaker")
def test_samples(sample, check_sample):
    check_sample(sample, collector=sagemaker, endpoint=SagemakerEndpoint(**sample.endpoint), calendar=CALENDAR)


def metric(name: str, *points: tuple[float, float], namespace: str = SERVICE, variant: str = "AllTraffic") -> Metric:
    """Points as (minutes after midnight, value)."""
    start = round(DAY.timestamp() * 1e6)
    dimensions = {"EndpointName": "summ-prod", "VariantName": variant}
    return Metric(namespace=namespace, name=name, dimensions=dimensions, points=[(start + round(m * 60e6), v) for m, v in points])


@pytest.fixture
def cloudwatch() -> Iterator[Callable[..., Any]]:
    """`cloudwatch(metrics)` -> a boto3 client of a server that has them; moto answers percentiles with a 500."""
    import contextlib

    import orjson

    with contextlib.ExitStack() as stack:

        def start(*metrics: Metric, refuse: tuple[int, str] | None = None) -> Any:
            service = CloudWatchMetrics(metrics, clock=Clock(DAY + timedelta(days=2)))

            def answer(request: Request) -> Response:
                given = orjson.loads(request.body)
                for name in ("StartTime", "EndTime"):
                    given[name] = datetime.fromtimestamp(given[name], UTC)
                if refuse is not None:
                    body = orjson.dumps({"__type": refuse[1], "message": "no"})
                    return Response(status=refuse[0], body=body, headers={"x-amzn-ErrorType": refuse[1]})
                result = service.get_metric_data(given)
                body = orjson.dumps(result, default=lambda at: at.timestamp(), option=orjson.OPT_PASSTHROUGH_DATETIME)
                return Response(body=body, headers={"Content-Type": "application/x-amz-json-1.0"})

            client = boto3.client("cloudwatch", endpoint_url=stack.enter_context(serve_http(answer)), config=QUICK, **KEYS)
            stack.callback(client.close)
            return client

        yield start


def usage(client: Any, window: Window = WINDOW, **keys: Any) -> tuple[list[Any], Meter]:
    meter = Meter()
    return list(sagemaker.fetch_usage(sagemaker.Clients(logs=None, metrics=client), endpoint(**keys), window, meter=meter)), meter


def test_microseconds_become_milliseconds_and_hours_without_points_stay_away(cloudwatch):
    client = cloudwatch(
        metric("Invocations", *[(60 + m, 1.0) for m in range(10)]),
        metric("InvocationsPerInstance", *[(60 + m, 0.5) for m in range(10)]),
        metric("Invocation4XXErrors", (61, 1.0)),
        metric("Invocation5XXErrors", (61, 2.0)),
        metric("ModelLatency", *[(60 + m, 100_000.0 + 1000 * m) for m in range(10)]),
        metric("OverheadLatency", *[(60 + m, 2_000.0) for m in range(10)]),
        metric("GPUUtilization", (60, 100.0), (61, 50.0), (600, 0.0), namespace=HOST),
    )
    (first, second), meter = usage(client, resources={"gpus": 2})
    assert (first.start, first.end) == (DAY + timedelta(hours=1), DAY + timedelta(hours=2))
    assert (first.requests, first.errors, first.instances, first.starts) == (10, 3, 2.0, None)
    assert first.latency_ms_sum == pytest.approx(1045.0 + 20.0)
    assert first.latency_ms == {"p50": 105.0, "p95": 109.0, "p99": 109.0}
    assert first.gpu_utilisation == pytest.approx(0.375)
    # A host without a request: nobody said zero.
    assert (second.start.hour, second.requests, second.errors, second.gpu_utilisation) == (10, None, None, 0.0)
    assert (meter.calls, meter.metrics) == (1, len(METRICS)), "GetMetricData is charged by the metric asked for"
    assert first.source == "cloudwatch-metrics"


def test_only_this_variant_and_only_this_window(cloudwatch):
    client = cloudwatch(
        metric("Invocations", (-1, 7.0), (0, 1.0), (1439, 2.0), (1440, 7.0)), metric("Invocations", (5, 9.0), variant="Shadow")
    )
    buckets, _ = usage(client)
    assert [b.requests for b in buckets] == [1, 2]
    assert [b.requests for b in usage(client, variant="Shadow")[0]] == [9]


def test_a_day_that_begins_on_the_half_hour_comes_in_quarters(cloudwatch):
    half = timedelta(minutes=30)
    client = cloudwatch(metric("Invocations", (20, 1.0), (40, 2.0), (1460, 4.0), (1475, 8.0)))
    buckets, _ = usage(client, Window(start=WINDOW.start + half, end=WINDOW.end + half))
    assert [b.requests for b in buckets] == [2, 4]
    assert {b.end - b.start for b in buckets} == {timedelta(minutes=15)}


def test_cold_starts_of_serverless_and_of_multi_model_endpoints(cloudwatch):
    (serverless,), _ = usage(cloudwatch(metric("Invocations", (1, 10.0)), metric("ModelSetupTime", (1, 3e6), (2, 4e6))))
    assert serverless.starts == 2
    (multi,), _ = usage(cloudwatch(metric("Invocations", (1, 10.0)), metric("ModelCacheHit", (1, 1.0), (2, 0.5))))
    assert multi.starts == 2  # 10 requests, a quarter of them without their model: 2.5, rounded to even


@pytest.mark.parametrize(
    ("refuse", "error", "says"),
    [
        ((400, "AccessDeniedException"), Denied, "cloudwatch:GetMetricData"),
        ((503, "ServiceUnavailableException"), Unreachable, "summ-prod"),
    ],
)
def test_errors(cloudwatch, refuse, error, says):
    with pytest.raises(error) as caught:
        usage(cloudwatch(refuse=refuse))
    assert says in str(caught.value)


def test_without_metrics_there_is_no_usage():
    assert list(sagemaker.fetch_usage(sagemaker.Clients(logs=None), endpoint(), WINDOW, meter=Meter())) == []


def test_callers_turned_away_while_nothing_was_up_are_cold_requests(cloudwatch):
    client = cloudwatch(
        metric("Invocation5XXErrors", (600, 4.0), (601, 2.0), (700, 5.0)),
        metric("Invocation4XXErrors", (600, 1.0)),
        metric("NoCapacityInvocationFailures", (601, 3.0)),
        metric("CPUUtilization", (699, 20.0), (700, 20.0), namespace=HOST),
    )
    logs = boto3.client("logs", **KEYS)
    clients = sagemaker.Clients(logs=logs, metrics=client)
    with Stubber(logs) as stub:
        stub.add_response("filter_log_events", {"events": [], "nextToken": "more"})
        stub.add_response("filter_log_events", {"events": []})
        events = list(sagemaker.fetch(clients, endpoint(instances=0), WINDOW, meter=Meter()))
        stub.add_response("filter_log_events", {"events": []})
        assert list(sagemaker.fetch(clients, endpoint(instances=1), WINDOW, meter=Meter())) == []
        stub.assert_no_pending_responses()
    logs.close()
    # Minute 700 failed too, but an instance was up: those are errors of the model, not of scaling.
    assert [(e.at - DAY, e.payload["requests"]) for e in events] == [(timedelta(hours=10), 5), (timedelta(hours=10, minutes=1), 3)]
    rows = list(sagemaker.assemble([sagemaker.parse(e, endpoint()) for e in events], endpoint(), CALENDAR))
    assert len(rows) == 8 and {(r.cold, r.waited, r.cold_reason) for r in rows} == {("cold", True, "scaled_to_zero")}


def test_container_lines_come_through_cloudwatch_logs():
    now = datetime.now(UTC).replace(microsecond=0)  # moto refuses lines older than 14 days
    window = Window(start=now - timedelta(hours=2), end=now)
    with mock_aws():
        logs = boto3.client("logs", **KEYS)
        group, stream = "/aws/sagemaker/Endpoints/summ-prod", "AllTraffic/i-0abc"
        logs.create_log_group(logGroupName=group)
        logs.create_log_stream(logGroupName=group, logStreamName=stream)
        stamp = lambda at: round(at.timestamp() * 1000)  # noqa: E731
        line = '{"fortnight":1,"request_id":"a1","handler_ms":250.0,"gpu_ms":200.0,"cold_start":false}'
        moments = [window.start - timedelta(milliseconds=1), window.start, window.end - timedelta(milliseconds=1), window.end]
        logs.put_log_events(
            logGroupName=group, logStreamName=stream, logEvents=[{"timestamp": stamp(at), "message": line} for at in moments]
        )
        meter = Meter()
        events = list(sagemaker.fetch(sagemaker.Clients(logs=logs), endpoint(), window, meter=meter))
        with pytest.raises(NotFound, match="first prints"):
            list(sagemaker.fetch(sagemaker.Clients(logs=logs), endpoint(endpoint_name="other"), window, meter=meter))
        logs.close()
    assert [e.at for e in events] == [window.start, window.end - timedelta(milliseconds=1)]
    assert {e.stream for e in events} == {stream} and all(e.ingested_at for e in events) and meter.events == 2
    facts = [sagemaker.parse(e, endpoint()) for e in events]
    rows = [r for r in sagemaker.assemble(facts, endpoint(), CALENDAR) if hasattr(r, "cold")]
    assert [(r.gpu_ms, r.instance_id, r.cold) for r in rows] == [(200.0, "i-0abc", "warm")] * 2


PIECES = st.sampled_from(
    [
        '{"fortnight":1,"request_id":"a1","handler_ms":5,"ts":"2026-11-02T10:00:00Z"}',
        '{"fortnight":1,"gpu_ms":5,"ts":"0001-01-01T00:00:00+10:00"}',
        "x MODEL_METRICS - HandlerTime.ms:12.5|#ModelName:s|#hostname:h,requestID:4b-1,timestamp:1793613600",
        "x MODEL_METRICS - PredictionTime.ms:13|#ModelName:s|#hostname:h,requestID:4b-1,timestamp:1793613600",
        "2026-11-02T10:00:01Z [INFO] [service:S:1] (scheme=http,path=/g) (status=200) 1.5ms (trace=ab)",
    ]
)


@given(st.lists(st.tuples(PIECES | st.text(max_size=30), st.integers(0, 200), st.integers(0, 60), st.booleans()), max_size=12))
def test_any_lines_in_any_state_have_one_outcome(lines):
    facts = []
    for number, (text, cut, second, whole) in enumerate(lines):
        event = RawEvent(
            source="cloudwatch-logs",
            stream="AllTraffic/i-1",
            event_id=f"{number:03d}",
            at=DAY + timedelta(seconds=second),
            payload=text if whole else text[:cut],
        )
        outcome = sagemaker.parse(event, endpoint())
        if not isinstance(outcome, (Ignored, Rejected)):
            facts.append(outcome)
    facts.sort(key=lambda f: f.at)
    records = list(sagemaker.assemble(facts, endpoint(), CALENDAR))
    requests = [r for r in records if hasattr(r, "cold")]
    assert len(requests) <= len(facts) and (not facts or len(requests) >= 1)
