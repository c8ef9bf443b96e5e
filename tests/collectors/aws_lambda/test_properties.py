"""What must hold for any input: no crash, every event in one place, order and duplicates without effect, no request lost."""

from __future__ import annotations

import random
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import astuple

from collectors import aws_lambda
from collectors.aws_lambda.facts import End, Failure, HandlerLine, Init, LogsDropped, Report, Start
from collectors.aws_lambda.quick import parse_batch
from collectors.lines import handler_fields, own_line
from trial import handler_line
from trial.calendar import Calendar
from trial.config import AwsLambdaEndpoint, KeepWarm
from trial.ledger import Tally
from trial.records import Ignored, Incomplete, Instance, Invocation, RawEvent, Rejected

CALENDAR = Calendar(start=date(2026, 11, 2), days=14, zone=ZoneInfo("Europe/London"))
ENDPOINT = AwsLambdaEndpoint(name="s", platform="aws-lambda", function="summariser", region="eu-west-1")
T0 = datetime(2026, 11, 2, 10, tzinfo=UTC)
FACTS = (Start, End, Report, HandlerLine, Init, Failure, LogsDropped)
STREAMS = ("2026/11/02/[1]aa", "2026/11/02/[1]bb")
IDS = ("b70435cc-261c-4438-a1b6-0000000000a1", "5b866fb1-7154-4af6-9078-0000000000b2")


def event(payload, number=0, at=T0, stream=STREAMS[0]):
    return RawEvent(source="cloudwatch-logs", stream=stream, event_id=f"{number:056d}", at=at, payload=payload)


def ordered(events):
    """As the flow does it: one per identity, by time, stream and id."""
    return sorted({e.identity: e for e in events}.values(), key=lambda e: (e.at, e.stream, e.event_id))


def facts_of(events):
    outcomes = [aws_lambda.parse(e, ENDPOINT) for e in ordered(events)]
    return [o for o in outcomes if not isinstance(o, Ignored | Rejected)]


def assembled(facts, endpoint=ENDPOINT):
    return list(aws_lambda.assemble(facts, endpoint, CALENDAR))


LINES = [
    "INIT_START Runtime Version: python:3.13.v71\tRuntime Version ARN: arn:aws:lambda:eu-west-1::runtime:1f2e\n",
    "INIT_REPORT Init Duration: 9999.75 ms\tPhase: init\tStatus: timeout\n",
    "RESTORE_REPORT Restore Duration: 789.50 ms\n",
    f"START RequestId: {IDS[0]} Version: $LATEST\n",
    f"END RequestId: {IDS[0]}\n",
    f"REPORT RequestId: {IDS[0]}\tDuration: 287.71 ms\tBilled Duration: 2391 ms\tMemory Size: 10240 MB\tMax Memory Used: 4211 MB\tInit Duration: 2103.18 ms\t\n",
    f"REPORT RequestId: {IDS[0]}\tDuration: 20000.00 ms\tBilled Duration: 20000 ms\tMemory Size: 128 MB\tMax Memory Used: 112 MB\tStatus: error\tError Type: Runtime.OutOfMemory\n",
    f"2026-11-02T10:00:03.004Z {IDS[0]} Task timed out after 3.00 seconds\n",
    f'{{"fortnight":1,"request_id":"{IDS[0]}","gpu_ms":231.5,"gpu_ms_source":"cuda_event","handler_ms":270.25,"cold_start":true}}',
    f'{{"time":"2026-11-02T10:00:00.187Z","type":"platform.report","record":{{"requestId":"{IDS[0]}","status":"success","metrics":{{"durationMs":11.5,"billedDurationMs":12,"memorySizeMB":128,"maxMemoryUsedMB":67,"initDurationMs":174.25}}}}}}',
    '{"time":"2026-11-02T10:00:00.000Z","type":"platform.initStart","record":{"initializationType":"on-demand","phase":"init"}}',
    '{"time":"2026-11-02T10:00:00.100Z","type":"platform.logsDropped","record":{"reason":"BufferFull","droppedRecords":1,"droppedBytes":1024}}',
]


@st.composite
def mutated(draw):
    text = draw(st.sampled_from(LINES))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(text)))
        text = draw(
            st.sampled_from(
                (
                    text[:at],
                    text[at:],
                    text[:at] + "\r\n" + text[at:],
                    text[:at] + "\x00\ufffd\ud7ff" + text[at:],
                    text[:at] + text[at + 1 :],
                    text.replace("\t", " "),
                    text.replace("\t", "\\t").replace("\n", "\\n"),
                    text.replace("1", "-"),
                    text + text,
                    text[:at] + draw(st.text(max_size=5)) + text[at:],
                )
            )
        )
    return text


@settings(max_examples=400)
@given(mutated() | st.text() | st.dictionaries(st.sampled_from(["type", "record", "message", "_aws"]), st.text() | st.none() | st.floats()))
def test_any_event_ends_in_exactly_one_place(payload):
    outcome = aws_lambda.parse(event(payload), ENDPOINT)
    assert isinstance(outcome, FACTS) != isinstance(outcome, Ignored | Rejected)
    if isinstance(outcome, FACTS):
        assert outcome.at == T0
        assert outcome.kind
        assembled([outcome])
    else:
        assert outcome.reason


@given(st.sampled_from([LINES[5], LINES[6]]), st.data())
def test_a_cut_report_is_never_half_understood(line, data):
    """A cut between two fields cannot be seen in the text; then what is left is whole, and the bill still shows the Init."""
    whole = aws_lambda.parse(event(line), ENDPOINT)
    cut = line[: data.draw(st.integers(len("REPORT RequestId:"), len(line) - 1))]
    outcome = aws_lambda.parse(event(cut), ENDPOINT)
    if isinstance(outcome, Report):
        assert astuple(outcome)[:7] == astuple(whole)[:7]
        assert cut.endswith(("MB", "MB\t", "ms", "ms\t", "error", "error\t")) or "Error Type: " in cut
    else:
        assert isinstance(outcome, Rejected | Ignored)


def test_huge_and_binary_lines_are_passed_over_quickly():
    began = datetime.now(UTC)
    noise = random.Random(7).randbytes(1 << 20).decode("latin-1")
    for payload in (
        noise,
        "{" * (1 << 20),
        '{"a":' * 20_000 + "1" + "}" * 20_000,
        '{"fortnight":1,"x":"' + "y" * (1 << 20),
        "REPORT RequestId: " + "Duration: 1 ms " * 60_000,
        "REPORT RequestId: x\t" + "A" * (1 << 20),
        "REPORT RequestId: x\t" + "Aa " * 300_000,
        "REPORT RequestId: x" + "\t" * (1 << 20) + "y",
        "REPORT RequestId: x" + " " * (1 << 20) + "y",
        "START RequestId: " + " " * (1 << 20),
        "2026-11-02 " + " " * (1 << 20),
        "INIT_REPORT " + "Phase: init " * 60_000,
        ("x" * 50 + " ") * 20_000 + " Task timed out after 3.00 seconds",
    ):
        outcome = aws_lambda.parse(event(payload), ENDPOINT)
        assert isinstance(outcome, Ignored | Rejected)
        if isinstance(outcome, Rejected):
            assert len(outcome.detail) <= 400
    assert datetime.now(UTC) - began < timedelta(seconds=20)


steps = st.tuples(
    st.integers(0, 3000),
    st.sampled_from(STREAMS),
    st.sampled_from(IDS),
    st.sampled_from(
        ["init", "init_report", "start", "start", "end", "report", "report", "error", "oom", "line", "emf", "timeout", "dropped", "managed"]
    ),
)


def script(moves):
    at, events = T0, []
    for number, (wait_ms, stream, rid, what) in enumerate(moves):
        at += timedelta(milliseconds=wait_ms)
        figures = "\tDuration: 100.00 ms\tBilled Duration: 100 ms\tMemory Size: 128 MB\tMax Memory Used: 40 MB"
        payload = {
            "init": "INIT_START Runtime Version: python:3.13.v71",
            "init_report": "INIT_REPORT Init Duration: 400.00 ms\tPhase: invoke\tStatus: error",
            "start": f"START RequestId: {rid} Version: 1",
            "end": f"END RequestId: {rid}",
            "report": f"REPORT RequestId: {rid}{figures}",
            "error": f"REPORT RequestId: {rid}{figures}\tStatus: error",
            "oom": f"REPORT RequestId: {rid}{figures}\tInit Duration: 5.00 ms\tStatus: error\tError Type: Runtime.OutOfMemory",
            "line": f'{{"fortnight":1,"request_id":"{rid}","gpu_ms":{number},"cold_start":{str(number % 2 == 0).lower()}}}',
            "emf": '{"_aws":{"CloudWatchMetrics":[{"Metrics":[{"Name":"GpuMs","Unit":"Milliseconds"}]}]},"GpuMs":[3]}',
            "timeout": f"x {rid} Task timed out after 3.00 seconds",
            "dropped": '{"type":"platform.logsDropped","record":{"droppedRecords":1}}',
            "managed": f'{{"type":"platform.report","record":{{"requestId":"{rid}","metrics":{{"durationMs":100}}}}}}',
        }[what]
        events.append(event(payload, number, at, stream))
    return events


@settings(max_examples=200)
@given(st.lists(steps, max_size=40), st.randoms(use_true_random=False))
def test_order_and_duplicates_of_what_was_read_change_nothing(moves, rng):
    events = script(moves)
    again = events + [e for e in events if rng.random() < 0.3]
    rng.shuffle(again)
    assert assembled(facts_of(again)) == assembled(facts_of(events))


@settings(max_examples=200)
@given(st.lists(steps, max_size=40))
def test_each_stream_is_judged_as_if_it_were_alone(moves):
    facts = facts_of(script(moves))

    def key(record):
        return repr(record)

    together = sorted(assembled(facts), key=key)
    alone = sorted((r for s in STREAMS for r in assembled([f for f in facts if f.stream == s])), key=key)
    assert together == alone


@settings(max_examples=200)
@given(st.lists(steps, max_size=40))
def test_every_report_is_an_invocation_and_every_start_without_one_is_named(moves):
    facts = facts_of(script(moves))
    found = assembled(facts)
    reports = Counter((f.stream, f.request_id) for f in facts if isinstance(f, Report))
    starts = Counter((f.stream, f.request_id) for f in facts if isinstance(f, Start))
    invocations = Counter((r.instance_id, r.request_id) for r in found if isinstance(r, Invocation))
    incomplete = Counter((r.instance_id, r.request_id) for r in found if isinstance(r, Incomplete))
    for key in reports | starts:
        # The same REPORT at the same instant is one attempt, read twice.
        same = sum(n - 1 for f, n in Counter(f for f in facts if isinstance(f, Report) and (f.stream, f.request_id) == key).items())
        assert reports[key] - same <= invocations[key] <= reports[key]
        assert incomplete[key] <= starts[key] <= incomplete[key] + invocations[key]
    assert sorted(r.id for r in found if isinstance(r, Instance)) == sorted({f.stream for f in facts})


def test_state_is_bounded_by_environments_and_not_by_requests():
    """Invocations come while facts are read, long before the last."""

    def facts():
        for number in range(20_000):
            at = T0 + timedelta(seconds=number)
            yield Start(at, STREAMS[0], f"r{number}")
            yield Report(at + timedelta(milliseconds=500), STREAMS[0], f"r{number}", 500.0, 500.0, 128.0, 64.0)
            read.append(number)

    read: list[int] = []
    lag = 0
    count = 0
    for record in aws_lambda.assemble(facts(), ENDPOINT, CALENDAR):
        if isinstance(record, Invocation):
            count += 1
            lag = max(lag, len(read) - count)
    assert count == 20_000
    assert lag < 10


@settings(max_examples=150)
@given(st.lists(mutated() | st.sampled_from(LINES) | st.text(max_size=30), max_size=30), st.booleans(), st.booleans())
def test_a_batch_is_read_as_its_events_are(payloads, shared, keep_warm):
    streams = ("2026/11/02/summariser[1]aa", "2026/11/02/other[1]aa") if shared else STREAMS
    endpoint = ENDPOINT.model_copy(update={"keep_warm": KeepWarm(payload="fortnight")}) if keep_warm else ENDPOINT
    events = [event(payload, number, stream=streams[number % 2]) for number, payload in enumerate(payloads)]
    outcomes = parse_batch(events, endpoint)
    assert outcomes == [aws_lambda.parse(e, endpoint) for e in events]
    assert [type(o) for o in outcomes] == [type(aws_lambda.parse(e, endpoint)) for e in events]
    tally = Tally(endpoint="s", day=date(2026, 11, 2), source="cloudwatch-logs")
    tally.add(events, outcomes)
    ledger = tally.close()
    assert ledger.used == dict(sorted(Counter(o.kind for o in outcomes if isinstance(o, FACTS)).items()))


def test_a_batch_reads_every_sample_as_its_event_is(sample_rows):
    for sample in sample_rows("aws-lambda"):
        endpoint = AwsLambdaEndpoint(**sample.endpoint)
        assert parse_batch(sample.events, endpoint) == [aws_lambda.parse(e, endpoint) for e in sample.events], sample.name


TIMES = (
    "T10:00:00Z",
    " 10:00:00.123Z",
    "T10:00:00.123+00:00",
    "t10:00:00.5z",
    "T10:00:00.123456Z",
    "T10:00:00.1234567Z",
    "T10:00:00.999999999Z",
    "T10:00:00.123+02:00",
    "T10:00:00.123",
    "T24:00:00Z",
)
own_values = (
    st.none()
    | st.booleans()
    | st.integers(-2, 2**60)
    | st.floats(allow_nan=False)
    | st.sampled_from(["cuda_event", "x"])
    | st.sampled_from([f"2026-11-02{t}" for t in TIMES])
)
own_lines = st.dictionaries(st.sampled_from([*handler_line.FIELDS, "other", "type"]), own_values, max_size=5).map(
    lambda d: {"fortnight": 1, **d}
)


@settings(max_examples=300)
@given(own_lines)
def test_our_own_lines_are_read_at_once_as_they_are_read_field_by_field(line):
    text = orjson.dumps(line).decode()
    at_once = own_line(text)
    if at_once is not None:
        assert at_once.fields == handler_fields(text, ENDPOINT)


def test_lines_that_say_the_same_are_equal_whichever_way_they_were_read():
    line = '{"fortnight":1,"request_id":"a","gpu_ms":3.5,"gpu_ms_source":"handler_wall","cold_start":true}'
    at_once, behind_a_prefix = (aws_lambda.parse(event(text), ENDPOINT) for text in (line, f"INFO {line}"))
    assert type(at_once.line) is not type(behind_a_prefix.line)
    assert at_once == behind_a_prefix
    assert at_once != aws_lambda.parse(event(line.replace("3.5", "3.6")), ENDPOINT)
