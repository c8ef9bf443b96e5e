from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta

import pytest

from collectors.runpod import Clients, parse
from collectors.runpod.harvest import harvest, harvest_start
from trial.config import RunpodEndpoint
from trial.errors import Denied, Malformed, Unreachable
from trial.meter import Meter

ENDPOINT = RunpodEndpoint(name="summ", platform="runpod", endpoint_id="4m7x2k9q")
SINCE = datetime(2026, 11, 2, 12, tzinfo=UTC)
LINE = '{"fortnight":1,"request_id":"a1","handler_ms":10.0,"cold_start":false,"ts":"2026-11-02T12:05:04.250Z","instance":"w1"}'


def event(second: int, line: str, *, source: str = "container", number: int = 0) -> bytes:
    ts = f"2026-11-02T12:05:{second:02d}Z"
    return f"id: {ts}/{number:012d}\ndata: {json.dumps({'ts': ts, 'source': source, 'line': line})}\n\n".encode()


def workers(*ids: str):
    body = {"endpointVersion": 4, "summary": {"total": len(ids)}, "workers": [{"id": i, "status": "RUNNING"} for i in ids]}
    return 200, {}, json.dumps(body).encode()


def run(client, **settings):
    meter = Meter()
    events = list(harvest(Clients(http=client), ENDPOINT, since=SINCE, meter=meter, **{"silence_s": 0.3, **settings}))
    return events, meter


def test_lines_of_all_live_workers(serve):
    def answers(path, query, headers):
        if path.endswith("/workers"):
            return workers("w1", "w2")
        worker = path.split("/")[-2]
        return 200, {"Content-Type": "text/event-stream"}, iter([event(3, f"hello from {worker}"), event(4, LINE), b": ping\n\n"])

    api, client = serve(answers)
    events, meter = run(client)
    assert [(e.stream, e.at.second) for e in events] == [("worker/w1", 3), ("summ", 4), ("worker/w2", 3), ("summ", 4)]
    assert events[1].identity == events[3].identity and events[1].at.microsecond == 250_000
    assert parse(events[1], ENDPOINT).fields["request_id"] == "a1"
    assert {c[0] for c in api.calls} == {f"/v2/serverless/4m7x2k9q/workers{p}" for p in ("", "/w1/logs", "/w2/logs")}
    assert api.calls[1][1] == {"since": "2026-11-02T12:00:00Z"}
    assert meter.calls == 3 and meter.events == 4


def test_a_second_harvest_gives_the_same_identities(serve):
    numbers = iter(range(10))

    def answers(path, query, headers):
        return workers("w1") if path.endswith("/workers") else (200, {}, iter([event(3, "hello", number=next(numbers)), event(4, LINE)]))

    _, client = serve(answers)
    assert [e.identity for e in run(client)[0]] == [e.identity for e in run(client)[0]]


def test_a_live_stream_ends_when_it_is_silent(serve):
    def answers(path, query, headers):
        def endless():
            yield event(3, "hello")
            time.sleep(3)

        return workers("w1") if path.endswith("/workers") else (200, {}, endless())

    _, client = serve(answers)
    began = time.monotonic()
    events, _ = run(client)
    assert len(events) == 1 and time.monotonic() - began < 2.5


def test_a_chatty_stream_ends_at_its_bound(serve):
    def answers(path, query, headers):
        def chatty():
            for second in range(60):
                yield event(second, "busy")
                time.sleep(0.05)

        return workers("w1") if path.endswith("/workers") else (200, {}, chatty())

    _, client = serve(answers)
    events, _ = run(client, longest_s=0.4)
    assert 0 < len(events) < 40


def test_a_cut_stream_resumes_after_its_last_event(serve):
    def answers(path, query, headers):
        if path.endswith("/workers"):
            return workers("w1")
        if "last-event-id" not in headers:
            return 200, {}, iter([event(3, "one", number=41), event(4, "two", number=42)[:20], None])
        return 200, {}, iter([event(4, "two", number=42)])

    api, client = serve(answers)
    events, _ = run(client)
    assert [e.payload["line"] for e in events] == ["one", "two"]
    assert api.calls[-1][2]["last-event-id"] == "2026-11-02T12:05:03Z/000000000041"


def test_a_worker_gone_between_list_and_log_is_passed_over(serve):
    def answers(path, query, headers):
        if path.endswith("/workers"):
            return workers("gone", "w2")
        return (404, {}, b'{"title":"Not Found"}') if "gone" in path else (200, {}, iter([event(3, "hello")]))

    _, client = serve(answers)
    assert [e.stream for e in run(client)[0]] == ["worker/w2"]


@pytest.mark.parametrize(
    ("reply", "error"),
    [((401, {}, b"{}"), Denied), ((503, {}, b""), Unreachable), ((200, {}, b'{"workers":null}'), Malformed)],
)
def test_errors_of_the_list(serve, reply, error):
    _, client = serve(lambda *_: reply)
    with pytest.raises(error, match="summ"):
        run(client)


def test_a_throttled_log_is_read_after_the_pause_it_asks_for(serve):
    replies = [(429, {"Retry-After": "7"}, b"{}"), (200, {}, iter([event(3, "hello")]))]
    _, client = serve(lambda path, *_: workers("w1") if path.endswith("/workers") else replies.pop(0))
    slept: list[float] = []
    events, _ = run(client, sleep=slept.append)
    assert len(events) == 1 and slept == [7.0]


def test_a_refused_log_is_an_error(serve):
    _, client = serve(lambda path, *_: workers("w1") if path.endswith("/workers") else (403, {}, b'{"detail":"scope"}'))
    with pytest.raises(Denied, match="scope"):
        run(client)


def test_data_that_is_no_json_is_kept_as_text(serve):
    _, client = serve(lambda path, *_: workers("w1") if path.endswith("/workers") else (200, {}, iter([b"data: {half\n\n", event(3, "x")])))
    events, _ = run(client)
    assert events[0].payload == "{half" and events[0].at == SINCE and parse(events[0], ENDPOINT).reason == "broken_json"


def test_without_a_key_the_variable_is_named():
    with pytest.raises(Denied, match="RUNPOD_API_KEY"):
        run(None)


def test_the_next_harvest_begins_before_the_last_line():
    now = SINCE + timedelta(hours=1)
    assert harvest_start(SINCE, now) == SINCE - timedelta(minutes=5)
    assert harvest_start(None, now) == now - timedelta(days=1, minutes=5)
