"""
Coverage-guided fuzzing of SageMaker's container lines and refused minutes; run by `make fuzz`, or alone:

    python -m fuzz.sagemaker -max_total_time=60 [corpus folder]

No input may raise anything; a whole line is one invocation, parts of one request one together; order and copies change nothing.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from collectors import sagemaker
from collectors.sagemaker.parse import Line, TurnedAway
from fuzz._running import fuzz, records_of, text_of
from trial.calendar import Calendar
from trial.config import KeepWarm, SagemakerEndpoint
from trial.records import Invocation, RawEvent

ENDPOINT = SagemakerEndpoint(
    platform="sagemaker",
    name="s",
    endpoint_name="e",
    region="eu-west-1",
    keep_warm=KeepWarm(payload="warm me"),
    fields={"gpu_ms": "t.gpu|s", "request_id": "id"},
)
CALENDAR = Calendar(start=date(2026, 11, 2), days=14, zone=ZoneInfo("Europe/London"))
T0 = datetime(2026, 11, 2, tzinfo=UTC)
STREAMS = ("AllTraffic/i-a", "AllTraffic/i-b/data-log", "Canary/i-a", "i-c", "turned-away")
TORCHSERVE = "2026-11-02T10:00:00,000 [INFO ] W-9000-m_1.0-stdout MODEL_METRICS - "
PIECES = (
    '{"fortnight":1,"request_id":"a%d","gpu_ms":%d,"handler_ms":9%d,"load_ms":7,"cold_start":true}',
    '{"fortnight":1,"request_id":"a%d","handler_ms":%d,"ts":"2026-11-02T0%d:00:00Z"}',
    '{"t":{"gpu":%d},"id":"a%d","x":%d}',
    TORCHSERVE + "HandlerTime.ms:%d.5|#ModelName:m,Level:Model|#hostname:h,requestID:a%d,timestamp:179361360%d",
    TORCHSERVE + "PredictionTime.Milliseconds:%d.5|#ModelName:m|#hostname:h,requestID:a%d,timestamp:179361360%d",
    "WorkerLifeCycle - result=[METRICS]HandlerTime.Milliseconds:%d|#ModelName:m|#requestID:a%d,timestamp:%d",
    "W-9000-m TS_METRICS - WorkerLoadTime.Milliseconds:6%d%d.0|#WorkerName:W-9000,Level:Host|#hostname:h,timestamp:179361360%d",
    "[INFO] [entry_service:Acme:%d] 127.0.0.1:5 (scheme=http,method=POST,path=/generate) (status=20%d,type=a) %d.973ms (trace=abc)",
    "warm me %d%d%d",
)


def one_input(data: bytes) -> None:
    """The first byte chooses: lines as they are, or built from the rest."""
    if not data:
        return
    events = _built(data[1:]) if data[0] % 2 else _as_they_are(data[1:])
    outcomes = [sagemaker.parse(event, ENDPOINT) for event in events]
    found = records_of(events, ENDPOINT, sagemaker, CALENDAR)
    assert records_of([*reversed(events), *events], ENDPOINT, sagemaker, CALENDAR) == found
    invocations = sum(isinstance(record, Invocation) for record in found)
    alone = sum(isinstance(o, Line) and (o.whole or not o.fields.get("request_id")) for o in outcomes)
    refused = {o.at: o.requests for o in outcomes if isinstance(o, TurnedAway)}
    parts = sum(isinstance(o, Line) for o in outcomes) - alone
    assert alone + sum(refused.values()) + (parts > 0) <= invocations <= alone + sum(refused.values()) + parts


def _as_they_are(data: bytes) -> list[RawEvent]:
    texts = text_of(data).split("\x1e")
    return [_event(n, T0 + timedelta(milliseconds=n), STREAMS[n % 4], text) for n, text in enumerate(texts)]


def _built(data: bytes) -> list[RawEvent]:
    """Five bytes an event: which, its numbers, its stream and how long after the one before, and where it is cut."""
    at, events = T0, []
    for number in range(0, min(len(data), 200) - 4, 5):
        which, first, second, place, cut = data[number : number + 5]
        at += timedelta(milliseconds=(0, 1, 900, 11_000, 60_000)[place // 5 % 5])
        stream = STREAMS[place % 5]
        if stream == "turned-away":
            minute = at.replace(second=0, microsecond=0)
            event_id = f"{minute:%Y-%m-%dT%H:%MZ}/{first:09d}"
            events.append(RawEvent(source="cloudwatch", stream=stream, event_id=event_id, at=minute, payload={"requests": first}))
            continue
        text = PIECES[which % len(PIECES)] % (first % 3, second % 10, first % 10)
        events.append(_event(number, at, stream, text[:cut] if cut < 128 else text))
    # One minute read twice while it grew: the largest count is the minute's.
    return sorted(events, key=lambda event: (event.at, event.stream, event.event_id))


def _event(number: int, at: datetime, stream: str, payload: str) -> RawEvent:
    return RawEvent(source="cloudwatch-logs", stream=stream, event_id=f"{number:056d}", at=at, payload=payload)


def seeds() -> list[bytes]:
    """A start for the corpus: every kind of line, whole and cut."""
    whole = "\x1e".join(piece % (1, 2, 3) for piece in PIECES).encode()
    return [b"\0" + whole, b"\1" + bytes(range(200)), b"\1" + bytes(b for n in range(40) for b in (n, n % 3, n, n, 200))]


if __name__ == "__main__":
    fuzz(one_input, seeds())
