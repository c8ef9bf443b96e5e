"""
Coverage-guided fuzzing of RunPod's lines, of serving frameworks' lines and of exported files; run by `make fuzz`, or alone:

    python -m fuzz.runpod -max_total_time=60 [corpus folder]

No input may raise anything but trial.errors.Malformed (a whole file that is not what it says); every line must end in one
place; lines with their own time and request id give the same records in any order and number.
"""

from __future__ import annotations

import contextlib
import io
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import orjson

from collectors import runpod
from collectors.export.json_items import json_items
from collectors.files import Line, split_lines
from collectors.runpod.fetch import events_of
from collectors.serving_lines import read_serving_line
from fuzz._running import fuzz, records_of
from trial.calendar import Calendar, Window
from trial.config import KeepWarm, RunpodEndpoint
from trial.errors import Malformed
from trial.meter import Meter
from trial.records import Instance, RawEvent

ENDPOINT = RunpodEndpoint(
    platform="runpod", name="summ", endpoint_id="x", keep_warm=KeepWarm(payload="warm me"), fields={"gpu_ms": "t.gpu|s", "request_id": "id"}
)
CALENDAR = Calendar(start=date(2026, 11, 2), days=14, zone=ZoneInfo("Europe/London"))
EVER = Window(start=datetime(1, 1, 2, tzinfo=UTC), end=datetime(9999, 12, 30, tzinfo=UTC))
DAY = datetime(2026, 11, 2, tzinfo=UTC)
PIECES = (
    '{"fortnight":1,"request_id":"job-a%d","gpu_ms":%d,"cold_start":true,"process_start":"2026-11-02T10:00:00Z","ts":"2026-11-02T10:%02d:00Z"}',
    '{"fortnight":1,"request_id":"job-a%d","handler_ms":%d,"instance":"pod","process_start":"2026-11-02T09:59:00Z","ts":"2026-11-02T10:%02d:01Z"}',
    '{"id":"job-a%d","status":"COMPLETED","delayTime":%d00,"executionTime":90,"workerId":"pod","ts":"2026-11-02T10:%02d:02Z"}',
    '{"id":"job-a%d","status":"FAILED","delayTime":%d,"executionTime":%d}',
    '{"requestId": "job-a%d", "message": "Started.", "level": "INFO", "x": [%d, %d]}',
    '{"requestId": "job-a%d", "message": "Captured Handler Exception", "level": "ERROR", "x": [%d, %d]}',
    '{"requestId": "job-a%d", "message": "Finished.", "level": "INFO", "x": [%d, %d]}',
    "2026-11-02T10:00:0%dZ INFO   | job-a%d | Started.%d",
    "--- Starting Serverless Worker |  Version 1.%d.%d ---%d",
    "{'gpu_ms': %d, 'cold_start': True}%d%d",
    'data: {"ts":"2026-11-02T10:00:0%dZ","source":"container","line":"{\\"fortnight\\":1,\\"gpu_ms\\":%d}%d"}',
    "\n...TRUNCATED %d CHARACTERS...\n%d%d",
)


def one_input(data: bytes) -> None:
    """The first byte chooses: lines as they are, lines built from the rest, or a JSON file."""
    if not data:
        return
    if data[0] % 4 == 3:
        with contextlib.suppress(Malformed):
            for item in json_items(io.BytesIO(data[1:]), where="x"):
                orjson.dumps(item)
        return
    lines = list(split_lines(io.BytesIO(data[1:]))) if data[0] % 4 else _built(data[1:])
    for line in lines:
        with contextlib.suppress(ValueError):
            read_serving_line(line.decode("utf-8", errors="replace"))
    events = _events([b"2026-11-02T00:00:00Z boot", *lines])
    assert len(events) == len(lines) + 1
    records = _records(events)
    own = [event for event in events if event.stream == ENDPOINT.name]
    assert _records(own) == _records([*reversed(own), *own])
    assert sum(not isinstance(record, Instance) for record in records) <= len(events)


def _events(lines: list[bytes]) -> list[RawEvent]:
    numbered = (Line(file="a.log", number=n, data=d, modified_at=DAY) for n, d in enumerate(lines, start=1))
    return list(events_of(numbered, ENDPOINT, EVER, meter=Meter()))


def _records(events: list[RawEvent]) -> list[Any]:
    # Copies of one line under several places: which of them is kept must not hang on their order here.
    return records_of(sorted(events, key=lambda e: str(e.payload)), ENDPOINT, runpod, CALENDAR)


def _built(data: bytes) -> list[bytes]:
    """Five bytes a line: which, its numbers, and where it is cut."""
    lines = []
    for number in range(0, min(len(data), 250) - 4, 5):
        which, first, second, third, cut = data[number : number + 5]
        line = (PIECES[which % len(PIECES)] % (first % 10, second % 10, third % 10)).encode()
        lines.append((line[:cut] if cut < 128 else line).replace(b"\n", b" "))
    return lines


def seeds() -> list[bytes]:
    """A start for the corpus: every kind of line, whole and cut."""
    whole = b"\n".join((piece % (1, 2, 3)).encode() for piece in PIECES)
    return [b"\0" + bytes(range(250)), b"\1" + whole, b"\1" + whole[: len(whole) // 2], b"\3" + b'{"events":[{"a":1}],"x":2}[1,"\\ud83d"]']


if __name__ == "__main__":
    fuzz(one_input, seeds())
