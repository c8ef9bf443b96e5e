"""
Coverage-guided fuzzing of exported files of every format; run by `make fuzz`, or alone:

    python -m fuzz.export -max_total_time=60 [corpus folder]

A file gives events or Malformed, the same when it is packed; every event can be stored, ends in one place and is assembled
the same in any order and number.
"""

from __future__ import annotations

import base64
import contextlib
import gzip
import io
from datetime import UTC, date, datetime
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from collectors import export
from collectors.export.fetch import events_of
from collectors.files import Source
from fuzz._running import fuzz, records_of
from trial import schema
from trial.calendar import Calendar
from trial.config import ExportEndpoint, KeepWarm
from trial.errors import Malformed
from trial.records import Invocation, RawEvent

FORMATS = ("aws-lambda", "cloud-run", "runpod", "replicate", "invocations")
PLAIN = {f: ExportEndpoint(platform="export", name="e", format=f, path="x", keep_warm=KeepWarm(payload="warm me")) for f in FORMATS}  # type: ignore[arg-type]
MEMORY = "Memory Size: 128 MB\tMax Memory Used: 33 MB"
CALENDAR = Calendar(start=date(2026, 11, 2), days=14, zone=ZoneInfo("Europe/London"))
# A plain file's name, and one of an object that an export task wrote.
NAMES = ("a.log", "x/2026-11-02-[$LATEST]ab/000000")


def one_input(data: bytes) -> None:
    """The first byte chooses the format, the name, and whether the file lies there packed."""
    if not data:
        return
    endpoint, name = PLAIN[FORMATS[data[0] % 5]], NAMES[data[0] // 5 % 2]
    events = _events(data[1:], endpoint, name)
    # What is packed already would be unpacked twice.
    if data[0] >= 128 and data[1:3] != b"\x1f\x8b" and data[1:5] not in (b"\x28\xb5\x2f\xfd", b"PAR1"):
        assert _events(gzip.compress(data[1:], 1), endpoint, name) == events
    if not events:
        return
    found = records_of(events, endpoint, export, CALENDAR)
    once = {event.identity: event for event in events}
    assert records_of([*reversed(once.values()), *once.values()], endpoint, export, CALENDAR) == found
    schema.invocations_table([record for record in found if isinstance(record, Invocation)])
    for event in events:
        export.region_of(event, endpoint)


def _events(data: bytes, endpoint: ExportEndpoint, name: str) -> list[RawEvent] | None:
    def opened(*_: Any, **__: Any) -> io.BytesIO:
        return io.BytesIO(data)

    held = SimpleNamespace(open_input_stream=opened, open_input_file=opened)
    source = Source(name=name, modified_at=datetime(2026, 11, 2, tzinfo=UTC), filesystem=held, path=name, size=len(data))
    with contextlib.suppress(Malformed):
        return list(events_of(source, endpoint))
    return None


def seeds() -> list[bytes]:
    """A start for the corpus: a file of every shape there is a reader for."""
    message = f"REPORT RequestId: b70435cc-261c-4438-a1b6-0000000000a1\tDuration: 9 ms\tBilled Duration: 9 ms\t{MEMORY}"
    event = {
        "logStreamName": "2026/11/02/[1]a",
        "timestamp": 1793613600000,
        "message": message,
        "eventId": "1",
        "ingestionTime": 1793613600001,
    }
    at = "2026-11-02T10:00:00Z"
    envelope = {
        "messageType": "DATA_MESSAGE",
        "logGroup": "g",
        "logStream": "s",
        "logEvents": [{"id": "1", "timestamp": 1793613600000, "message": message}],
    }
    packed = base64.b64encode(gzip.compress(orjson.dumps(envelope), 9, mtime=0)).decode()
    request = {"status": 200, "latency": "1.5s", "requestMethod": "POST", "requestUrl": "https://h/a"}
    entry = {
        "logName": "projects/p/logs/run.googleapis.com%2Frequests",
        "timestamp": at,
        "httpRequest": request,
        "labels": {"instanceId": "i"},
    }
    prediction = {"id": "p", "created_at": at, "status": "succeeded", "metrics": {"predict_time": 1.5}, "model": "a/b"}
    own = {"request_id": "a", "started_at": at, "gpu_ms": 2.5, "gpu_ms_source": "cuda_event", "cold": "cold", "endpoint": "e"}
    parquet = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([own]), parquet)
    line = b'{"fortnight":1,"request_id":"job-a1","gpu_ms":2,"ts":"2026-11-02T10:00:00Z","model":"\\ud800"}'
    files: tuple[tuple[int, bytes], ...] = (
        (0, orjson.dumps({"events": [event, {**event, "eventId": "2", "message": "\\ud800 x"}], "searchedLogStreams": []})),
        (0, orjson.dumps([[{"field": "@message", "value": message}, {"field": "@timestamp", "value": "2026-11-02 10:00:00.000"}]])),
        (0, orjson.dumps(envelope)),
        (0, orjson.dumps({"records": [{"recordId": "1", "data": packed}]})),
        (0, packed.encode()),
        (0, f"{at} 2026/11/02/[1]a {message}\n2026/11/02/[1]a {at} x\n{at}\ny\r\n".encode()),
        (0, b'{"events":[{"message":"\\ud83d","timestamp":1793613600000}]}'),
        (5, f"2026-11-02T10:00:00.000Z {message}\n2026-11-02T10:00:00.000Z x\ny\n".encode()),
        (1, orjson.dumps([entry, {**entry, "logName": 3}])),
        (1, orjson.dumps(entry) + b"\n" + orjson.dumps({"entries": [entry]})),
        (2, line + b"\n2026-11-02T10:00:00Z INFO   | job-a1 | Started.\n"),
        (2, orjson.dumps([{"id": "job-a1", "status": "COMPLETED", "delayTime": 5, "executionTime": 9, "workerId": "w", "ts": at}])),
        (3, orjson.dumps({"next": None, "results": [prediction]})),
        (3, orjson.dumps(prediction)),
        (4, ",".join(own).encode() + b"\n" + ",".join(map(str, own.values())).encode() + b"\n"),
        (4, orjson.dumps([own])),
        (4, orjson.dumps({"invocations": [own]})),
        (4, parquet.getvalue()),
        (4, b'{"started_at":"2026-11-02T10:00:00Z","request_id":"\\ud800"}'),
    )
    # 130 more chooses the same, packed as well.
    return [bytes([choice + add]) + data for choice, data in files for add in (0, 130)]


if __name__ == "__main__":
    fuzz(one_input, seeds())
