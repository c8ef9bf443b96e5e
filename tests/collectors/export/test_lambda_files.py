from __future__ import annotations

import base64
import gzip
import json
from datetime import UTC, datetime, timedelta

import pytest

from trial.errors import Malformed, NotFound

DAY = datetime(2026, 11, 2, tzinfo=UTC)
STREAM = "2026/11/02/[$LATEST]00aa00aa00aa00aa00aa00aa00aa00aa"
COLD = "3c1a52f0-0000-4000-8000-000000000001"
WARM = "3c1a52f0-0000-4000-8000-000000000002"


def messages() -> list[tuple[float, str]]:
    """(seconds after 10:00, message) of one cold and one warm request, as CloudWatch holds them."""
    report = "REPORT RequestId: {}\tDuration: {} ms\tBilled Duration: {} ms\tMemory Size: 2048 MB\tMax Memory Used: 97 MB\t{}\n"
    line = json.dumps({"fortnight": 1, "request_id": COLD, "gpu_ms": 20.5, "gpu_ms_source": "cuda_event", "cold_start": True})
    return [
        (0.0, "INIT_START Runtime Version: python:3.12.v1\tRuntime Version ARN: arn:aws:lambda:eu-west-1::runtime:00aa\n"),
        (0.6, f"START RequestId: {COLD} Version: $LATEST\n"),
        (0.61, line + "\n"),
        (0.63, f"END RequestId: {COLD}\n"),
        (0.63, report.format(COLD, "30.31", 565, "Init Duration: 533.77 ms\t")),
        (9.0, f"START RequestId: {WARM} Version: $LATEST\n"),
        (9.02, f"END RequestId: {WARM}\n"),
        (9.02, report.format(WARM, "20.00", 20, "")),
    ]


def event(number: int, seconds: float, message: str) -> dict[str, object]:
    millis = round((DAY + timedelta(hours=10, seconds=seconds)).timestamp() * 1000)
    return {
        "logStreamName": STREAM,
        "timestamp": millis,
        "message": message,
        "ingestionTime": millis + 900,
        "eventId": f"{38219000000000000000000000000000000000000000000000000000 + number}",
    }


EVENTS = [event(n, *m) for n, m in enumerate(messages())]
EXPECTED = [(COLD, "cold", 20.5, 30.31, 565.0), (WARM, "warm", None, 20.0, 20.0)]


def seen(records):
    rows = [r for r in records if hasattr(r, "cold")]
    return [(r.request_id, r.cold, r.gpu_ms, r.handler_ms if r.handler_ms is not None else r.latency_ms, r.billed_ms) for r in rows]


def check(records):
    rows = [r for r in records if hasattr(r, "cold")]
    assert [(r.request_id, r.cold, r.gpu_ms, r.billed_ms) for r in rows] == [(i, c, g, b) for i, c, g, _, b in EXPECTED]
    assert {r.endpoint for r in rows} == {"old"}


def envelope(part: list[dict[str, object]]) -> dict[str, object]:
    log_events = [{"id": e["eventId"], "timestamp": e["timestamp"], "message": e["message"]} for e in part]
    return {"messageType": "DATA_MESSAGE", "logGroup": "/aws/lambda/f", "logStream": STREAM, "logEvents": log_events}


CONTROL = {
    "messageType": "CONTROL_MESSAGE",
    "logGroup": "",
    "logStream": "",
    "logEvents": [{"id": "", "timestamp": 1, "message": "CWL CONTROL"}],
}
LAYOUTS = {
    "one_document": json.dumps({"events": EVENTS, "searchedLogStreams": []}, indent=4),
    "two_documents": json.dumps({"events": EVENTS[:3], "nextToken": "t"}) + "\n" + json.dumps({"events": EVENTS[3:]}),
    "array": json.dumps(EVENTS),
    "json_lines": "\n".join(json.dumps(e) for e in EVENTS),
    "events_not_first": json.dumps({"searchedLogStreams": [], "events": EVENTS}),
    "firehose": gzip.compress("".join(json.dumps(d) for d in (CONTROL, envelope(EVENTS[:2]), envelope(EVENTS[2:]))).encode()),
    "firehose_packed_twice": gzip.compress(b"".join(gzip.compress(json.dumps(envelope(p)).encode()) for p in (EVENTS[:2], EVENTS[2:]))),
    "subscription_record": json.dumps(
        {"awslogs": {"data": base64.b64encode(gzip.compress(json.dumps(envelope(EVENTS)).encode())).decode()}}
    ),
    "insights": json.dumps(
        {
            "results": [
                [
                    {"field": "@timestamp", "value": f"{DAY + timedelta(hours=10, seconds=s):%Y-%m-%d %H:%M:%S.%f}"[:-3]},
                    {"field": "@message", "value": m},
                    {"field": "@logStream", "value": STREAM},
                    {"field": "@ptr", "value": f"p{n:03d}"},
                ]
                for n, (s, m) in enumerate(messages())
            ],
            "status": "Complete",
        }
    ),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_json_layout_gives_the_same_requests(read, layout):
    events, _, records = read("aws-lambda", {"a.json": LAYOUTS[layout]})
    check(records)
    assert len(events) == len(EVENTS) and {e.stream for e in events} == {STREAM} and {e.source for e in events} == {"export"}
    assert events[0].at == DAY + timedelta(hours=10)


def test_the_same_export_twice_is_one(read):
    events, outcomes, records = read("aws-lambda", {"a.json": LAYOUTS["one_document"], "b.json": LAYOUTS["firehose"]})
    assert len(events) == 2 * len(EVENTS) and len(outcomes) == len(EVENTS)
    check(records)


def text(shape: str) -> str:
    out = []
    for seconds, message in messages():
        at = DAY + timedelta(hours=10, seconds=seconds)
        plain = message.rstrip("\n")
        out.append(
            {
                "aws_logs_tail": f"{at.isoformat()} {STREAM} {plain}",
                "sam_logs": f"{STREAM} {at:%Y-%m-%dT%H:%M:%S.%f} {plain}",
                "console": f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z\t{plain}",
                "console_with_spaces": f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z  " + plain.replace("\t", "    "),
                "time_above": f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z\n{plain}",
            }[shape]
        )
    return "\n".join(out)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("shape", ["aws_logs_tail", "sam_logs", "console", "console_with_spaces", "time_above"])
def test_text_as_copied_or_tailed(read, shape, end):
    events, _, records = read("aws-lambda", {"a.txt": "\ufeff" + text(shape).replace("\n", end)})
    check(records)
    assert {e.stream for e in events} == {STREAM if shape in ("aws_logs_tail", "sam_logs") else "exports/a.txt"}


def test_lines_that_are_json_themselves_are_lines(read):
    lines = "\n".join(
        [
            json.dumps({"time": "2026-11-02T10:00:00.000Z", "type": "platform.start", "record": {"requestId": WARM, "version": "$LATEST"}}),
            "not json at all",
        ]
    )
    events, _, _ = read("aws-lambda", {"a.log": "2026-11-02T10:00:00Z boot\n" + lines})
    assert len(events) == 3


def test_a_timeout_line_keeps_its_own_time(read):
    line = f"2026-11-02T10:00:03.005Z {WARM} Task timed out after 3.00 seconds"
    events, _, _ = read("aws-lambda", {"a.log": line})
    assert [e.payload for e in events] == [line] and events[0].at == DAY + timedelta(hours=10, seconds=3, milliseconds=5)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (json.dumps({"events": EVENTS})[:-40], "half-written"),
        ('[{"logName": "projects/p/logs/x", "timestamp": "2026-11-02T10:00:00Z"}]', 'set format = "cloud-run"'),
        ('[{"hello": 1}]', "item 1 is no event of CloudWatch Logs (it holds: hello)"),
        ("[7]", "it holds: int"),
        ('[{"message": "x", "timestamp": -5}]', "item 1"),
        (b"PAR1xxxx", 'Set format = "invocations"'),
        (b"\x7fELF\x00\x00\x01", "neither text nor JSON"),
        ("START RequestId: x Version: $LATEST\nEND RequestId: x", "no line carries a time"),
        ('{"awslogs": {"data": "AAAA"}}', "subscription record"),
        (gzip.compress(b"x" * 10_000, mtime=0)[:40], "compressed data"),
    ],
)
def test_a_file_that_is_not_what_its_format_says(read, content, says):
    with pytest.raises(Malformed) as caught:
        read("aws-lambda", {"a.json": content})
    assert says in str(caught.value) and "exports/a.json" in str(caught.value) and "\n" not in str(caught.value)


def test_nothing_matches(read):
    with pytest.raises(NotFound, match=r"exports/\*\.json"):
        read("aws-lambda", {"a.txt": "x"}, path="*.json")


def test_an_empty_file_has_no_events(read):
    assert read("aws-lambda", {"a.json": "", "b.json": '{"events": []}', "c.txt": "\n\n"})[0] == []
