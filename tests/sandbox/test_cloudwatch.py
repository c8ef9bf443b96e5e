"""Our CloudWatch through boto3, held to botocore's shapes; and moto through the same questions, where moto is right."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.validate import ParamValidator

from sandbox.clock import Clock
from sandbox.cloudwatch import CloudWatch, serve_cloudwatch
from sandbox.cloudwatch_logs import CloudWatchLogs, LogGroup
from sandbox.cloudwatch_metrics import CloudWatchMetrics, Metric
from sandbox.emitted import Event
from sandbox.faults import Dice, Faults
from sandbox.instants import HOUR, MINUTE, MS, SECOND, to_us

GROUP = "/aws/lambda/summariser"
START = datetime(2026, 11, 2, tzinfo=UTC)
T0 = to_us(START)


def event(at_us, *, text="hello\n", stream="2026/11/02/[1]abc", order=0, readable_us=None, copies=1):
    return Event(stream=stream, at_us=at_us, readable_us=readable_us or at_us + 400 * MS, order=order, payload=text, copies=copies)


@pytest.fixture
def cloudwatch():
    """cloudwatch(events, metrics=..., faults=..., now=...) -> context manager of (url, clock, service)."""
    import contextlib

    @contextlib.contextmanager
    def make(events=(), *, metrics=(), faults=None, now=START + timedelta(days=2), retention=None):
        clock, dice = Clock(now), Dice(faults or Faults(), "test")
        groups = [LogGroup(name=GROUP, events=events, created_us=T0 - HOUR, retention_days=retention)]
        logs = CloudWatchLogs(groups, clock=clock, dice=dice)
        service = CloudWatch(logs=logs, metrics=CloudWatchMetrics(metrics, clock=clock), dice=dice)
        with serve_cloudwatch(service) as url:
            yield url, clock, service

    return make


def read_all(client, **given):
    """Every event, the way a careful client pages; also the number of pages and of empty ones."""
    found, pages, empty, token = [], 0, 0, {}
    while True:
        answer = client.filter_log_events(logGroupName=GROUP, **given, **token)
        pages += 1
        empty += not answer["events"]
        found += answer["events"]
        if "nextToken" not in answer:
            return found, pages, empty
        token = {"nextToken": answer["nextToken"]}


def ms(us):
    return us // MS


def test_pages_hold_every_event_once_in_order(cloudwatch, aws):
    events = [event(T0 + i * SECOND, text=f"line {i}\n", order=i) for i in range(2500)]
    with cloudwatch(events, faults=Faults(empty_page=0.3)) as (url, _, _):
        found, pages, empty = read_all(aws("logs", url), startTime=ms(T0), endTime=ms(T0 + 24 * HOUR), limit=300)
    assert [e["message"] for e in found] == [f"line {i}\n" for i in range(2500)]
    assert len({e["eventId"] for e in found}) == 2500
    assert pages > 9 and empty > 0


def test_both_ends_are_inclusive_and_nothing_lies_beyond(cloudwatch, aws):
    events = [event(T0 + i * MS, order=i) for i in range(10)]
    with cloudwatch(events) as (url, _, _):
        found, _, _ = read_all(aws("logs", url), startTime=ms(T0) + 3, endTime=ms(T0) + 6)
    assert [e["timestamp"] - ms(T0) for e in found] == [3, 4, 5, 6]


def test_late_events_are_hidden_until_they_are_ingested(cloudwatch, aws):
    events = [event(T0), event(T0 + SECOND, readable_us=T0 + 30 * HOUR)]
    with cloudwatch(events, now=START + timedelta(hours=2)) as (url, clock, _):
        client = aws("logs", url)
        assert len(read_all(client, startTime=ms(T0))[0]) == 1
        clock.set(START + timedelta(hours=31))
        later, _, _ = read_all(client, startTime=ms(T0))
    assert len(later) == 2 and later[1]["ingestionTime"] - later[1]["timestamp"] > 29 * 3600 * 1000


def test_a_duplicate_comes_back_with_its_own_id(cloudwatch, aws):
    with cloudwatch([event(T0, copies=2)]) as (url, _, _):
        found, _, _ = read_all(aws("logs", url), startTime=ms(T0))
    assert len(found) == 2 and found[0] == found[1]


def test_ids_sort_like_the_events_of_one_instant(cloudwatch, aws):
    events = [event(T0, order=i, text=str(i)) for i in range(12)]
    with cloudwatch(events) as (url, _, _):
        found, _, _ = read_all(aws("logs", url), startTime=ms(T0))
    ids = [e["eventId"] for e in found]
    assert all(len(i) == 56 and i.isdigit() for i in ids)
    assert sorted(ids) == ids and [e["message"] for e in found] == [str(i) for i in range(12)]


def test_throttles_are_retried_by_botocore(cloudwatch, aws):
    events = [event(T0 + i * SECOND, order=i) for i in range(30)]
    with cloudwatch(events, faults=Faults(throttle=0.4)) as (url, _, service):
        found, pages, _ = read_all(aws("logs", url), startTime=ms(T0), limit=3)
        assert len(found) == 30
        assert service.calls["FilterLogEvents"] > pages


@pytest.mark.parametrize(
    ("faults", "code"),
    [
        (Faults(throttle=1.0, in_a_row=99), "ThrottlingException"),
        (Faults(expired=True), "ExpiredTokenException"),
        (Faults(denied=True), "AccessDeniedException"),
        (Faults(error=1.0, in_a_row=99), "ServiceUnavailableException"),
    ],
)
def test_what_cannot_be_retried_away_reaches_the_caller(cloudwatch, aws, faults, code):
    with cloudwatch([event(T0)], faults=faults) as (url, _, _), pytest.raises(ClientError) as caught:
        aws("logs", url, attempts=2).filter_log_events(logGroupName=GROUP)
    assert caught.value.response["Error"]["Code"] == code


def test_a_dropped_connection_is_retried(cloudwatch, aws):
    with cloudwatch([event(T0)], faults=Faults(drop=0.5, in_a_row=1)) as (url, _, service):
        client = aws("logs", url)
        for _ in range(6):
            assert len(read_all(client, startTime=ms(T0))[0]) == 1
        assert service.calls["FilterLogEvents"] > 6


def test_botocore_takes_an_answer_cut_in_the_middle_for_an_empty_one(cloudwatch, aws):
    """No error, no events, no token: a reader that does not ask for the `events` member would call it the end."""
    with cloudwatch([event(T0)], faults=Faults(cut=1.0, in_a_row=99)) as (url, _, _):
        answer = aws("logs", url, attempts=2).filter_log_events(logGroupName=GROUP)
    assert set(answer) == {"ResponseMetadata"}


@pytest.mark.parametrize(
    "given",
    [
        {"limit": 10, "nextToken": "bm9wZQ=="},
        {"logStreamNames": ["a"], "logStreamNamePrefix": "b"},
        {"startTime": 2000, "endTime": 1000},
        {"filterPattern": "{ $.status = 1 }"},
    ],
)
def test_what_the_api_refuses(cloudwatch, aws, given):
    with cloudwatch([event(T0)]) as (url, _, _), pytest.raises(ClientError) as caught:
        aws("logs", url).filter_log_events(logGroupName=GROUP, **given)
    assert caught.value.response["Error"]["Code"] == "InvalidParameterException"


def test_tokens_belong_to_their_request_and_expire(cloudwatch, aws):
    events = [event(T0 + i * SECOND, order=i) for i in range(9)]
    with cloudwatch(events) as (url, clock, _):
        client = aws("logs", url)
        token = client.filter_log_events(logGroupName=GROUP, limit=2, startTime=ms(T0))["nextToken"]
        with pytest.raises(ClientError, match="does not belong"):
            client.filter_log_events(logGroupName=GROUP, limit=2, startTime=ms(T0) + 1, nextToken=token)
        clock.set(START + timedelta(days=4))
        with pytest.raises(ClientError, match="expired"):
            client.filter_log_events(logGroupName=GROUP, limit=2, startTime=ms(T0), nextToken=token)


def test_streams_terms_retention_and_missing_groups(cloudwatch, aws):
    events = [event(T0, text="INIT_START x\n", stream="a/1"), event(T0 + HOUR, text='REPORT "y"\n', stream="a/2", order=1)]
    with cloudwatch(events, retention=1, now=START + timedelta(hours=24, minutes=30)) as (url, _, _):
        client = aws("logs", url)
        assert [e["logStreamName"] for e in read_all(client)[0]] == ["a/2"]  # the other is older than a day
        assert read_all(client, logStreamNamePrefix="a/1")[0] == []
        assert len(read_all(client, filterPattern='?INIT_START ?"REPORT"')[0]) == 1
        assert read_all(client, filterPattern="REPORT -y")[0] == []
        (group,) = client.describe_log_groups(logGroupNamePrefix="/aws")["logGroups"]
        assert group["retentionInDays"] == 1 and group["logGroupClass"] == "STANDARD"
        with pytest.raises(client.exceptions.ResourceNotFoundException):
            client.filter_log_events(logGroupName="/aws/lambda/never-ran")


def test_metrics_in_minutes_and_hours(cloudwatch, aws):
    points = [(T0 + i * 10 * SECOND, 1.0) for i in range(720)]
    metrics = [Metric(namespace="AWS/Lambda", name="Invocations", dimensions={"FunctionName": "summariser"}, points=points)]
    with cloudwatch(metrics=metrics) as (url, clock, service):
        client = aws("cloudwatch", url)

        def ask(period, **more):
            stat = {
                "Metric": {
                    "Namespace": "AWS/Lambda",
                    "MetricName": "Invocations",
                    "Dimensions": [{"Name": "FunctionName", "Value": "summariser"}],
                },
                "Period": period,
                "Stat": "Sum",
            }
            return client.get_metric_data(
                MetricDataQueries=[{"Id": "m", "MetricStat": stat}], StartTime=START, EndTime=START + timedelta(hours=3), **more
            )

        hours = ask(3600, ScanBy="TimestampAscending")["MetricDataResults"][0]
        assert hours["Values"] == [360.0, 360.0] and hours["Timestamps"][0] == START and hours["StatusCode"] == "Complete"
        assert ask(60)["MetricDataResults"][0]["Values"] == [6.0] * 120
        pages, token = [], {}
        while True:
            page = ask(60, MaxDatapoints=50, ScanBy="TimestampAscending", **token)
            pages += page["MetricDataResults"][0]["Values"]
            if "NextToken" not in page:
                break
            token = {"NextToken": page["NextToken"]}
        assert sum(pages) == 720 and len(pages) == 120
        # One-minute points are kept for 15 days; after that they are only there in fives.
        clock.set(START + timedelta(days=20))
        assert ask(60)["MetricDataResults"][0]["Values"] == [] and sum(ask(300)["MetricDataResults"][0]["Values"]) == 720
        assert service.calls["GetMetricData"] > 5


def test_metrics_errors_keep_their_code(cloudwatch, aws):
    with cloudwatch() as (url, _, _), pytest.raises(ClientError) as caught:
        aws("cloudwatch", url).get_metric_data(
            MetricDataQueries=[{"Id": "m", "Expression": "SUM(METRICS())"}], StartTime=START, EndTime=START + timedelta(hours=1)
        )
    assert caught.value.response["Error"]["Code"] == "ValidationError"


@pytest.mark.parametrize(
    ("service", "operation"),
    [("logs", "FilterLogEvents"), ("logs", "DescribeLogGroups"), ("logs", "DescribeLogStreams"), ("cloudwatch", "GetMetricData")],
)
def test_answers_fit_botocores_shapes(small_world, service, operation):
    """Every member of an answer is one the service model has, of its type."""
    from sandbox.metrics import lambda_metrics

    lambda_endpoint = small_world.endpoints["summariser-lambda"]
    logs = CloudWatchLogs(
        [LogGroup(name=GROUP, events=lambda_endpoint.events, created_us=0, retention_days=30)], clock=small_world.clock, dice=Dice(Faults())
    )
    metrics = CloudWatchMetrics(lambda_metrics(lambda_endpoint, function="summariser"), clock=small_world.clock)
    stat = {
        "Metric": {"Namespace": "AWS/Lambda", "MetricName": "Invocations", "Dimensions": [{"Name": "FunctionName", "Value": "summariser"}]}
    }
    window = small_world.calendar.window(small_world.calendar.start)
    answer = {
        "FilterLogEvents": lambda: logs.filter_log_events({"logGroupName": GROUP, "limit": 50}),
        "DescribeLogGroups": lambda: logs.describe_log_groups({}),
        "DescribeLogStreams": lambda: logs.describe_log_streams({"logGroupName": GROUP, "limit": 3}),
        "GetMetricData": lambda: metrics.get_metric_data(
            {
                "MetricDataQueries": [{"Id": "m", "MetricStat": {**stat, "Period": 3600, "Stat": "Sum"}}],
                "StartTime": window.start,
                "EndTime": window.end,
            }
        ),
    }[operation]()
    shape = ServiceModel(Loader().load_service_model(service, "service-2"), service).operation_model(operation).output_shape
    report = ParamValidator().validate(answer, shape)
    assert not report.has_errors(), report.generate_report()
    assert any(answer.values())


@pytest.mark.parametrize("server", ["ours", "moto"])
def test_both_servers_agree_where_both_are_right(cloudwatch, aws, server):
    """Inclusive ends, order, paging, terms, streams, limits and a missing group, through the one client."""
    base = int(time.time() * 1000) - 3_600_000
    lines = [(base + i * 1000, f"{'REPORT' if i % 2 else 'START'} number {i}") for i in range(25)]

    def questions(client):
        found = [
            read_all(client, startTime=base + 5000, endTime=base + 9000)[0],
            read_all(client, limit=10)[0],
            read_all(client, filterPattern="REPORT")[0],
            read_all(client, logStreamNamePrefix="one")[0],
            read_all(client, logStreamNames=["two"])[0],
        ]
        answers = [[(e["timestamp"] - base, e["message"], e["logStreamName"]) for e in events] for events in found]
        with pytest.raises(client.exceptions.ResourceNotFoundException):
            client.filter_log_events(logGroupName="nowhere")
        with pytest.raises((ClientError, client.exceptions.InvalidParameterException)):
            client.filter_log_events(logGroupName=GROUP, limit=20_000)
        groups = client.describe_log_groups(logGroupNamePrefix="/aws")["logGroups"]
        return answers, [g["logGroupName"] for g in groups]

    expected_first = [(i * 1000, lines[i][1], "one") for i in range(5, 10)]
    if server == "ours":
        events = [event(at * MS, text=text, stream="one", order=i) for i, (at, text) in enumerate(lines)]
        with cloudwatch(events, now=datetime.now(UTC)) as (url, _, _):
            answers, groups = questions(aws("logs", url))
    else:
        moto = pytest.importorskip("moto.server", reason="the sandbox extra is not installed")
        threaded = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        threaded.start()
        try:
            host, port = threaded.get_host_and_port()
            client = aws("logs", f"http://{host}:{port}")
            client.create_log_group(logGroupName=GROUP)
            client.create_log_stream(logGroupName=GROUP, logStreamName="one")
            client.put_log_events(
                logGroupName=GROUP, logStreamName="one", logEvents=[{"timestamp": at, "message": text} for at, text in lines]
            )
            answers, groups = questions(client)
        finally:
            threaded.stop()
    assert answers[0] == expected_first
    assert [len(a) for a in answers] == [5, 25, 12, 25, 0]
    assert groups == [GROUP]


def test_the_demo_logs_through_the_wire(small_world, aws, tmp_path, quiet):
    day = small_world.calendar.all_days()[1]
    window, truth = small_world.calendar.window(day), small_world.truth["summariser-lambda"][day]
    small_world.set_now(window.end + timedelta(days=3))
    with small_world.serve(tmp_path, faults=quiet) as addresses:
        client = aws("logs", addresses.cloudwatch)
        found, _, _ = read_all(client, startTime=ms(to_us(window.start)), endTime=ms(to_us(window.end)) - 1)
        assert len(found) == truth.lines + truth.duplicates
        assert len({(e["logStreamName"], e["eventId"]) for e in found}) == truth.lines
        stat = {
            "Metric": {
                "Namespace": "AWS/Lambda",
                "MetricName": "Invocations",
                "Dimensions": [{"Name": "FunctionName", "Value": "summariser"}],
            }
        }
        answer = aws("cloudwatch", addresses.cloudwatch).get_metric_data(
            MetricDataQueries=[{"Id": "m", "MetricStat": {**stat, "Period": 3600, "Stat": "Sum"}}],
            StartTime=window.start,
            EndTime=window.end,
        )
        assert sum(answer["MetricDataResults"][0]["Values"]) == truth.provider_requests


def test_botocore_speaks_what_the_server_speaks():
    """If a new botocore prefers another protocol, this says so before a demo fails."""
    session = boto3.session.Session(region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b")
    protocols = {}
    for name in ("logs", "cloudwatch"):
        client = session.client(name)
        protocols[name] = client.meta.service_model.resolved_protocol
        client.close()
    assert protocols == {"logs": "json", "cloudwatch": "json"}


def test_a_minute_is_visible_only_after_it_ended(cloudwatch, aws):
    metrics = [Metric(namespace="N", name="M", dimensions={}, points=[(T0, 1.0)])]
    with cloudwatch(metrics=metrics, now=START + timedelta(minutes=2)) as (url, clock, _):
        client = aws("cloudwatch", url)

        def values():
            stat = {"Metric": {"Namespace": "N", "MetricName": "M"}, "Period": 60, "Stat": "SampleCount"}
            answer = client.get_metric_data(
                MetricDataQueries=[{"Id": "m", "MetricStat": stat}], StartTime=START, EndTime=START + timedelta(minutes=5)
            )
            return answer["MetricDataResults"][0]["Values"]

        assert values() == []
        clock.set(START + timedelta(microseconds=3 * MINUTE))
        assert values() == [1.0]
