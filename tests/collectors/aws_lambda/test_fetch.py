from __future__ import annotations

import itertools
import math
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from botocore.stub import Stubber
from hypothesis import given
from hypothesis import strategies as st
from moto import mock_aws

from collectors.aws_lambda.fetch import Clients, _spans, fetch
from collectors.pace import Pace
from trial.calendar import Window
from trial.config import AwsLambdaEndpoint
from trial.errors import Denied, Malformed, NotFound, SourceError, Throttled, Unreachable
from trial.meter import Meter

ENDPOINT = AwsLambdaEndpoint(name="s", platform="aws-lambda", function="summariser", region="eu-west-1")
GROUP = "/aws/lambda/summariser"
# CloudWatch takes no events older than 14 days, so these live in an hour of yesterday.
START = (datetime.now(UTC) - timedelta(days=1)).replace(minute=0, second=0, microsecond=0)
WINDOW = Window(start=START, end=START + timedelta(hours=1))
MS = timedelta(milliseconds=1)


def client(service="logs", *, url=None, attempts=1, read_timeout=2):
    return boto3.client(
        service,
        region_name="eu-west-1",
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
        endpoint_url=url,
        config=Config(retries={"mode": "standard", "total_max_attempts": attempts}, connect_timeout=1, read_timeout=read_timeout),
    )


def clients(logs, **settings):
    return Clients(logs=logs, pace=Pace(per_second=math.inf), **settings)


def epoch_ms(at):
    return round(at.timestamp() * 1000)


def put(logs, stream, events):
    logs.create_log_stream(logGroupName=GROUP, logStreamName=stream)
    for some in itertools.batched(events, 5000) if hasattr(itertools, "batched") else [events]:
        logs.put_log_events(
            logGroupName=GROUP, logStreamName=stream, logEvents=[{"timestamp": epoch_ms(at), "message": text} for at, text in some]
        )


@pytest.fixture
def moto_logs():
    with mock_aws():
        logs = client()
        logs.create_log_group(logGroupName=GROUP)
        yield logs


@pytest.mark.parametrize("slices", [1, 3])
def test_every_event_of_the_half_open_window_over_many_pages(moto_logs, slices):
    inside = [START, *(START + i * timedelta(seconds=1) for i in range(1, 3000)), WINDOW.end - MS]
    put(moto_logs, "2026/11/02/[$LATEST]aa", [(at, f"line {i}\n") for i, at in enumerate(inside)])
    put(moto_logs, "2026/11/02/[$LATEST]bb", [(START - MS, "before"), (WINDOW.end, "after")])
    meter = Meter()
    # moto pages by 10,000 only: a page of 1,000 goes over the same tokens.
    moto_logs.meta.events.register("provide-client-params.cloudwatch-logs.FilterLogEvents", lambda params, **_: {**params, "limit": 1000})
    events = list(fetch(clients(moto_logs, slices=slices), ENDPOINT, WINDOW, meter=meter))
    assert sorted(event.at for event in events) == inside
    assert len({event.identity for event in events}) == len(inside)
    first = min(events, key=lambda event: event.at)
    assert (first.source, first.stream, first.payload) == ("cloudwatch-logs", "2026/11/02/[$LATEST]aa", "line 0\n")
    assert first.ingested_at is not None
    assert meter.events == len(inside)
    assert meter.calls >= max(4, slices)


def test_a_log_group_of_ones_own_is_read_instead(moto_logs):
    moto_logs.create_log_group(logGroupName="/acme/all")
    moto_logs.create_log_stream(logGroupName="/acme/all", logStreamName="2026/11/02/summariser[3]aa")
    moto_logs.put_log_events(
        logGroupName="/acme/all", logStreamName="2026/11/02/summariser[3]aa", logEvents=[{"timestamp": epoch_ms(START), "message": "x"}]
    )
    shared = ENDPOINT.model_copy(update={"log_group": "/acme/all"})
    assert [event.stream for event in fetch(clients(moto_logs), shared, WINDOW, meter=Meter())] == ["2026/11/02/summariser[3]aa"]


def test_a_group_that_does_not_exist_is_not_found(moto_logs):
    missing = ENDPOINT.model_copy(update={"function": "nobody"})
    with pytest.raises(NotFound, match="/aws/lambda/nobody in eu-west-1.*first request") as caught:
        list(fetch(clients(moto_logs), missing, WINDOW, meter=Meter()))
    assert caught.value.__cause__ is not None


def event(number, at=START):
    return {
        "logStreamName": "s",
        "timestamp": epoch_ms(at),
        "message": f"m{number}",
        "ingestionTime": epoch_ms(at) + 5,
        "eventId": f"{number:056d}",
    }


def test_empty_pages_with_a_token_go_on_until_there_is_no_token():
    logs = client()
    asked = {"logGroupName": GROUP, "startTime": epoch_ms(START), "endTime": epoch_ms(WINDOW.end) - 1}
    with Stubber(logs) as stub:
        stub.add_response("filter_log_events", {"events": [], "nextToken": "a"}, asked)
        stub.add_response("filter_log_events", {"events": [event(1)], "nextToken": "b"}, {**asked, "nextToken": "a"})
        stub.add_response("filter_log_events", {"events": [], "nextToken": "c"}, {**asked, "nextToken": "b"})
        stub.add_response("filter_log_events", {"nextToken": "d"}, {**asked, "nextToken": "c"})
        stub.add_response("filter_log_events", {"events": [event(2), event(2)]}, {**asked, "nextToken": "d"})
        meter = Meter()
        events = list(fetch(clients(logs), ENDPOINT, WINDOW, meter=meter))
        stub.assert_no_pending_responses()
    assert [e.event_id for e in events] == [f"{n:056d}" for n in (1, 2, 2)]
    assert events[0].ingested_at - events[0].at == 5 * MS
    assert (meter.calls, meter.events) == (5, 3)


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("ResourceNotFoundException", 400, NotFound),
        ("AccessDeniedException", 400, Denied),
        ("ExpiredTokenException", 400, Denied),
        ("UnrecognizedClientException", 400, Denied),
        ("SomethingOfAProxy", 403, Denied),
        ("ThrottlingException", 400, Throttled),
        ("LimitExceededException", 400, Throttled),
        ("ServiceUnavailableException", 500, Unreachable),
        ("", 502, Unreachable),
        ("InvalidParameterException", 400, SourceError),
    ],
)
def test_answers_are_mapped_with_place_and_way_out(code, status, kind):
    logs = client()
    with Stubber(logs) as stub:
        stub.add_client_error("filter_log_events", code, "said the service", http_status_code=status)
        with pytest.raises(kind, match="/aws/lambda/summariser") as caught:
            list(fetch(clients(logs), ENDPOINT, WINDOW, meter=Meter()))
    assert type(caught.value) is kind
    assert "said the service" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_failing_slice_ends_the_whole_read(moto_logs):
    def answer(request, **_):
        if str(epoch_ms(START + timedelta(minutes=30))) in request.body.decode():
            return AWSResponse(request.url, 400, {}, _Raw(b'{"__type":"AccessDeniedException","message":"no"}'))
        return None

    moto_logs.meta.events.register_first("before-send.cloudwatch-logs.FilterLogEvents", answer)
    with pytest.raises(Denied):
        list(fetch(clients(moto_logs, slices=4), ENDPOINT, WINDOW, meter=Meter()))


def test_a_reader_that_stops_early_leaves_no_threads(moto_logs):
    put(moto_logs, "s", [(START + i * timedelta(seconds=1), "x") for i in range(3000)])
    moto_logs.meta.events.register("provide-client-params.cloudwatch-logs.FilterLogEvents", lambda params, **_: {**params, "limit": 50})
    reading = fetch(clients(moto_logs, slices=3), ENDPOINT, WINDOW, meter=Meter())
    next(reading)
    reading.close()
    assert not [t for t in threading.enumerate() if t.name.startswith("filter-log-events")]


def test_throttles_are_retried_by_the_client_and_counted():
    logs, answers = client(attempts=3), iter([b'{"__type":"ThrottlingException","message":"slow"}', b'{"events":[]}'])

    def answer(request, **_):
        body = next(answers)
        return AWSResponse(request.url, 400 if b"Throttling" in body else 200, {}, _Raw(body))

    logs.meta.events.register("before-send.cloudwatch-logs.FilterLogEvents", answer)
    meter = Meter()
    assert list(fetch(clients(logs), ENDPOINT, WINDOW, meter=meter)) == []
    assert (meter.calls, meter.throttles) == (2, 1)


def test_an_address_where_nobody_listens_is_unreachable():
    with pytest.raises(Unreachable, match="network"):
        list(fetch(clients(client(url="http://127.0.0.1:9")), ENDPOINT, WINDOW, meter=Meter()))


@pytest.fixture
def web_server():
    class Page(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<html>welcome</html>")

        def log_message(self, *args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_an_address_that_is_another_service_is_malformed(web_server):
    with pytest.raises(Malformed, match="api_endpoint"):
        list(fetch(clients(client(url=web_server)), ENDPOINT, WINDOW, meter=Meter()))


def test_no_credentials_are_denied(monkeypatch, tmp_path):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    logs = boto3.Session(region_name="eu-west-1").client("logs")
    with pytest.raises(Denied, match="aws sso login"):
        list(fetch(clients(logs), ENDPOINT, WINDOW, meter=Meter()))


instants = st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1)).map(lambda at: at.replace(tzinfo=UTC))


@given(start=instants, length_us=st.integers(1, 10**11), slices=st.integers(1, 9), offset_us=st.integers(-2000, 2000), end=st.booleans())
def test_inclusive_spans_cover_the_half_open_window_once(start, length_us, slices, offset_us, end):
    window = Window(start=start, end=start + timedelta(microseconds=length_us))
    at = (window.end if end else window.start) + timedelta(microseconds=offset_us)
    at = at.replace(microsecond=at.microsecond // 1000 * 1000)
    hits = sum(first <= epoch_ms(at) <= last for first, last in _spans(window, slices))
    assert hits == (at in window)


def test_the_pace_spaces_calls_by_the_quota():
    now, slept = [0.0], []

    def sleep(seconds):
        slept.append(seconds)
        now[0] += seconds

    pace = Pace(per_second=5, clock=lambda: now[0], sleep=sleep)
    for _ in range(4):
        pace.wait()
    assert slept == pytest.approx([0.2, 0.2, 0.2])
    now[0] += 10
    pace.wait()
    assert len(slept) == 3


class _Raw:
    """The raw part of an AWSResponse that botocore reads its content from."""

    def __init__(self, body):
        self.body = body

    def stream(self, **_):
        yield self.body
