"""
Coverage-guided fuzzing of Lambda's lines; run by `make fuzz`, or alone:

    python -m fuzz.aws_lambda -max_total_time=60 [corpus folder]

No input may raise anything; every event ends in one place, the same in a batch as alone; every REPORT is an invocation; and
order and copies of what was read change nothing.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from collectors import aws_lambda
from collectors.aws_lambda.facts import Report
from collectors.aws_lambda.quick import parse_batch
from fuzz._running import fuzz, records_of, text_of
from trial.calendar import Calendar
from trial.config import AwsLambdaEndpoint, KeepWarm
from trial.ledger import Tally
from trial.records import Invocation, RawEvent

PLAIN = AwsLambdaEndpoint(platform="aws-lambda", name="s", function="summariser", region="eu-west-1")
MAPPED = PLAIN.model_copy(
    update={
        "keep_warm": KeepWarm(payload="warm me"),
        "fields": {"gpu_ms": "t.gpu|s", "request_id": "id", "cold_start": "c.0"},
        "provisioned_concurrency": 1,
    }
)
CALENDAR = Calendar(start=date(2026, 11, 2), days=14, zone=ZoneInfo("Europe/London"))
T0 = datetime(2026, 11, 2, tzinfo=UTC)
STREAMS = ("2026/11/02/[1]aa", "2026/11/02/[$LATEST]bb", "2026/11/02/summariser[1]cc", "2026/11/02/summariser-api[1]dd")
ID = "b70435cc-261c-4438-a1b6-0000000000a%d"
MEMORY = "Memory Size: 128 MB\tMax Memory Used: 33 MB"
EMF = '{"_aws":{"CloudWatchMetrics":[{"Metrics":[{"Name":"GpuMs","Unit":"Seconds"}]}]},"GpuMs":[%d]}'
METRICS = '{"durationMs":%d.5,"billedDurationMs":1%d,"memorySizeMB":128,"maxMemoryUsedMB":67}'
PIECES = (
    f"START RequestId: {ID} Version: $LATEST\n",
    f"END RequestId: {ID}\n",
    f"REPORT RequestId: {ID}\tDuration: %d.50 ms\tBilled Duration: 1%d ms\t{MEMORY}\t\n",
    f"REPORT RequestId: {ID}\tDuration: %d.50 ms\tBilled Duration: 9%d ms\t{MEMORY}\tInit Duration: 91.25 ms\t\n",
    f"REPORT RequestId: {ID} Duration: %d ms Billed Duration: 1%d ms {MEMORY} Status: error Error Type: Runtime.X".replace("\t", " "),
    f"REPORT RequestId: {ID}\tDuration: 9 ms\tBilled Duration: 17%d ms\t{MEMORY}\tRestore Duration: 8%d ms\tBilled Restore Duration: 16 ms",
    "INIT_START Runtime Version: python:3.1%d.v71",
    "INIT_REPORT Init Duration: %d99.75 ms\tPhase: init\tStatus: timeout\n",
    "INIT_REPORT Init Duration: %d9.75 ms\tPhase: invoke\tStatus: error\tError Type: Runtime.Unknown\n",
    "RESTORE_START Runtime Version: java:21.v%d",
    "RESTORE_REPORT Restore Duration: %d.50 ms\n",
    f"2026-11-02T10:00:03.004Z {ID} Task timed out after %d.00 seconds\n",
    f"RequestId: {ID} Error: Runtime exited with error: signal: killed\n",
    f'{{"fortnight":1,"request_id":"{ID}","gpu_ms":%d,"load_ms":%d,"gpu_ms_source":"cuda_event","cold_start":true}}',
    f'{{"timestamp":"x","level":"INFO","requestId":"{ID}","message":"{{\\"fortnight\\":1,\\"cold_start\\":false,\\"handler_ms\\":%d}}"}}',
    '{"time":"x","type":"platform.initStart","record":{"initializationType":"provisioned-concurrency","phase":"init","x":%d}}',
    '{"time":"x","type":"platform.initReport","record":{"phase":"init","status":"success","metrics":{"durationMs":%d.5}}}',
    f'{{"time":"x","type":"platform.start","record":{{"requestId":"{ID}","version":"3"}}}}',
    f'{{"time":"x","type":"platform.report","record":{{"requestId":"{ID}","status":"success","metrics":{METRICS}}}}}',
    f'{{"time":"x","type":"platform.report","record":{{"requestId":"{ID}","metrics":{{"durationMs":%d.5}}}}}}',
    '{"time":"x","type":"platform.logsDropped","record":{"reason":"BufferFull","droppedRecords":%d}}',
    EMF,
    f'{{"cold_start":true,"function_name":"f","function_request_id":"{ID}","message":{{"gpu_ms":%d}}}}',
    f'{{"id":"{ID}","t":{{"gpu":%d}},"c":[true]}}',
    "warm me %d",
    "EXTENSION\tName: agent\tState: Ready%d",
)


def one_input(data: bytes) -> None:
    """The first byte chooses: lines as they are, or built from the rest."""
    if not data:
        return
    endpoint = MAPPED if data[0] & 2 else PLAIN
    events = _built(data[1:]) if data[0] & 1 else _as_they_are(data[1:])
    outcomes = parse_batch(events, endpoint)
    assert outcomes == [aws_lambda.parse(event, endpoint) for event in events]
    tally = Tally(endpoint="s", day=T0.date(), source="x")
    tally.add(events, outcomes)
    tally.close()
    found = records_of(events, endpoint, aws_lambda, CALENDAR)
    assert repr(records_of([*reversed(events), *events], endpoint, aws_lambda, CALENDAR)) == repr(found)
    reports = [o for o in outcomes if isinstance(o, Report)]
    assert len(set(reports)) <= sum(isinstance(record, Invocation) for record in found) <= len(reports)


def _event(number: int, at: datetime, stream: str, payload: str) -> RawEvent:
    return RawEvent(source="x", stream=stream, event_id=f"{number:056d}", at=at, payload=payload)


def _as_they_are(data: bytes) -> list[RawEvent]:
    texts = text_of(data).split("\x1e")
    return [_event(n, T0 + timedelta(milliseconds=n), STREAMS[n % 2], text) for n, text in enumerate(texts)]


def _built(data: bytes) -> list[RawEvent]:
    """Five bytes an event: which, its numbers, its stream and how long after the one before, and where it is cut."""
    at, events = T0, []
    for number in range(0, min(len(data), 250) - 4, 5):
        which, first, second, place, cut = data[number : number + 5]
        piece = PIECES[which % len(PIECES)]
        text = piece % tuple((first % 3, second % 10, first % 10)[: piece.count("%d")])
        at += timedelta(milliseconds=(0, 1, 40, 900, 11_000, 3_600_000)[place // 4 % 6])
        events.append(_event(number, at, STREAMS[place % 4], text[:cut] if cut < 128 else text))
    return events


def seeds() -> list[bytes]:
    """A start for the corpus: every kind of line, whole and cut."""
    texts = [piece % tuple((1, 2, 3)[: piece.count("%d")]) for piece in PIECES]
    whole = "\x1e".join(texts).encode()
    every = bytes(b for n in range(50) for b in (n, n % 3, n, 5, 200))
    return [b"\0" + whole, b"\2" + whole, b"\0" + whole.replace(b"\t", b" "), b"\1" + every, b"\3" + every]


if __name__ == "__main__":
    fuzz(one_input, seeds())
