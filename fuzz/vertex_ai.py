"""
Coverage-guided fuzzing of Vertex AI's container and access entries; run by `make fuzz`, or alone:

    python -m fuzz.vertex_ai -max_total_time=60 [corpus folder]

No input may raise anything; every handler line is one invocation; order and copies change nothing.
"""

from __future__ import annotations

from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

import orjson

from collectors import vertex_ai
from collectors.google_entry import to_event
from collectors.vertex_ai.facts import HandlerLine
from collectors.vertex_ai.parse import ACCESS, CONTAINER
from fuzz._running import fuzz, records_of, text_of
from trial.calendar import Calendar
from trial.config import KeepWarm, VertexEndpoint
from trial.records import Instance, Invocation, RawEvent

ENDPOINT = VertexEndpoint(
    platform="vertex-ai",
    name="v",
    project="p",
    region="r",
    endpoint_id="1",
    keep_warm=KeepWarm(payload="warm me"),
    fields={"gpu_ms": "t.gpu|s", "request_id": "id"},
)
CALENDAR = Calendar(start=date(2026, 11, 2), days=14, zone=ZoneInfo("Europe/London"))
LOGS = (CONTAINER, CONTAINER, CONTAINER, ACCESS, "other")
SAID: tuple[Any, ...] = (
    '{"fortnight":1,"request_id":"a","gpu_ms":1.5,"handler_ms":20,"load_ms":3,"cold_start":true}',
    '{"fortnight":1,"gpu_ms":',
    "2026-11-02T10:00:00,000 [INFO ] W-9000-m MODEL_METRICS - HandlerTime.ms:7.5|#ModelName:m|#hostname:h,requestID:a,timestamp:1793613600",
    {"fortnight": 1, "handler_ms": 9e9},
    {"message": {"fortnight": 1, "gpu_ms": 2}},
    {"t": {"gpu": 3}, "id": "b"},
    "warm me",
)


def one_input(data: bytes) -> None:
    """The first byte chooses: entries as JSON, one a line, or built from the rest."""
    if not data:
        return
    entries = _exported(data[1:]) if data[0] % 2 else _built(data[1:])
    events: list[RawEvent] = []
    for entry in entries:
        try:
            events.append(to_event(entry))
        except ValueError:  # an entry without name or time, which the API never sends
            continue
    once = {event.identity: event for event in reversed(events)}
    found = records_of(once.values(), ENDPOINT, vertex_ai, CALENDAR)
    assert records_of([*reversed(events), *once.values()], ENDPOINT, vertex_ai, CALENDAR) == found
    lines = sum(isinstance(vertex_ai.parse(event, ENDPOINT), HandlerLine) for event in once.values())
    assert sum(isinstance(record, Invocation) for record in found) == lines
    assert all(record.first_seen_at <= record.last_seen_at for record in found if isinstance(record, Instance))


def _exported(data: bytes) -> list[dict[str, Any]]:
    found = []
    for line in data.split(b"\n"):
        try:
            entry = orjson.loads(line)
        except orjson.JSONDecodeError:
            entry = {"textPayload": text_of(line)}
        entry = entry if isinstance(entry, dict) else {"jsonPayload": entry}
        found.append({"logName": f"projects/p/logs/{CONTAINER}", "timestamp": "2026-11-02T10:00:00Z", **entry})
    return found


def _built(data: bytes) -> list[dict[str, Any]]:
    """Five bytes an entry: which log, when, what it says and how, which replica, and where it is cut."""
    found = []
    for number in range(0, min(len(data), 200) - 4, 5):
        log, when, said, place, cut = data[number : number + 5]
        entry: dict[str, Any] = {
            "logName": f"projects/p/logs/{LOGS[log % 5].replace('/', '%2F')}",
            "insertId": str(number),
            "timestamp": f"2026-11-02T{when % 24:02d}:{when % 60:02d}:00.{place:03d}Z",
            "resource": {"type": "aiplatform.googleapis.com/Endpoint", "labels": {"endpoint_id": str(place % 8 // 7 + 1), "location": "r"}},
            "labels": {"replica_id": f"r{place % 3}"} if place % 3 else {},
        }
        printed = SAID[said % len(SAID)]
        if not isinstance(printed, str):
            entry["jsonPayload"] = printed
        else:
            printed = printed[:cut] if cut < 128 else printed
            entry.update({"jsonPayload": {"message": printed}} if said > 127 else {"textPayload": printed})
        found.append(entry)
    return found


def seeds() -> list[bytes]:
    """A start for the corpus: every kind of entry, whole and cut."""
    lines = [said.encode() if isinstance(said, str) else orjson.dumps({"jsonPayload": said}) for said in SAID]
    return [b"\0" + bytes(range(200)), b"\0" + bytes(b for n in range(40) for b in (n, n, n, n, 200)), b"\1" + b"\n".join(lines)]


if __name__ == "__main__":
    fuzz(one_input, seeds())
