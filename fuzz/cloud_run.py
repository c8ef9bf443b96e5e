"""
Coverage-guided fuzzing of the Cloud Run parser and assembler; run by `make fuzz`, or alone:

    python -m fuzz.cloud_run -max_total_time=60 [corpus folder]

No input may raise anything but to_event's ValueError; every event must end in one place; every request must become one
invocation; and neither the order of arrival nor duplicates may change what is assembled.
"""

from __future__ import annotations

from collections import Counter
from datetime import date, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import orjson

from collectors import cloud_run
from collectors.google_entry import to_event
from fuzz._running import fuzz, records_of
from trial.calendar import Calendar
from trial.config import CloudRunEndpoint, KeepWarm
from trial.records import Ignored, Invocation, RawEvent, Rejected

ENDPOINT = CloudRunEndpoint(
    platform="cloud-run",
    name="run",
    project="p",
    service="s",
    region="r",
    keep_warm=KeepWarm(path="^/ping", payload="warm me"),
    fields={"gpu_ms": "t.gpu|s", "request_id": "id"},
)
CALENDAR = Calendar(start=date(2026, 11, 2), days=14, zone=ZoneInfo("Europe/London"))
BASE = "2026-11-02T10:00:00"
LOGS = ("requests", "varlog%2Fsystem", "stdout", "stderr", "other")
SAID = (
    "Starting new instance. Reason: AUTOSCALING",
    "Starting new instance. Reason: DEPLOYMENT_ROLLOUT - why",
    "Starting new instance. Reason: ",
    'Default STARTUP TCP probe succeeded after 1 attempt for container "a" on port 8080.',
    "Container called exit(3).",
    '{"fortnight":1,"request_id":"00000000000000000000000000000001","gpu_ms":1.5,"handler_ms":20,"load_ms":3}',
    '{"fortnight":1,"gpu_ms":',
)


def one_input(data: bytes) -> None:
    """The first byte chooses: text as an export holds it, or entries built from the rest."""
    if not data:
        return
    events = _exported(data[1:]) if data[0] % 2 else _built(data[1:])
    outcomes = [cloud_run.parse(event, ENDPOINT) for event in events]
    kinds = Counter(type(outcome).__name__ if isinstance(outcome, (Ignored, Rejected)) else outcome.kind for outcome in outcomes)
    assert sum(kinds.values()) == len(events)
    once = {event.identity: event for event in events}
    records = records_of(events, ENDPOINT, cloud_run, CALENDAR)
    assert records == records_of([*reversed(events), *events], ENDPOINT, cloud_run, CALENDAR)
    requests = sum(cloud_run.parse(event, ENDPOINT).__class__.__name__ == "Request" for event in once.values())
    assert sum(isinstance(record, Invocation) for record in records) == requests


def _exported(data: bytes) -> list[RawEvent]:
    """One JSON entry per line, each perhaps broken."""
    events: dict[tuple[str, str], RawEvent] = {}
    for line in data.split(b"\n"):
        try:
            entry = orjson.loads(line)
            event = to_event(entry if isinstance(entry, dict) else {"logName": "x", "timestamp": f"{BASE}Z", "textPayload": entry})
        except ValueError:  # orjson's error is one too
            continue
        events.setdefault(event.identity, event)
    return list(events.values())


def _built(data: bytes) -> list[RawEvent]:
    """Ten bytes an entry: which log, when, which instance and trace, how long, what status, what it says."""
    events: list[RawEvent] = []
    for number in range(0, min(len(data), 400) - 9, 10):
        log, second, milli, instance, trace, latency, status, said, method, path = data[number : number + 10]
        at = f"{BASE[:-5]}{second % 60:02d}:{milli % 60:02d}.{milli * 3:03d}Z"
        entry: dict[str, Any] = {
            "logName": f"projects/p/logs/run.googleapis.com%2F{LOGS[log % 5]}",
            "insertId": str(number),
            "timestamp": at,
            "resource": {"type": "cloud_run_revision", "labels": {"service_name": "s", "location": "r", "revision_name": f"r{log % 2}"}},
        }
        if instance % 4:
            entry["labels"] = {"instanceId": f"i{instance % 4}"}
        if trace % 5:
            entry["trace"] = f"projects/p/traces/{trace % 5:032x}"
        if log % 5 == 0:
            entry["httpRequest"] = {
                "status": (200, 200.0, "503", 429, 403, 500, 0, 499)[status % 8],
                "latency": f"{latency / (4 if status > 127 else 0.1)}s" if latency else None,
                "requestMethod": ("POST", "GET", "HEAD")[method % 3],
                "requestUrl": ("https://h/a", "/ping", "/healthz", "", "//")[path % 5],
            }
        elif said > 200:
            entry["jsonPayload"] = {"t": {"gpu": latency}, "id": f"{trace % 5:032x}", "fortnight": 1 if said > 240 else said}
        else:
            entry["textPayload"] = SAID[said % len(SAID)] + ("" if path % 3 else data.decode("latin-1"))
        events.append(to_event(entry))
    return events


def seeds() -> list[bytes]:
    """A start for the corpus: every kind of built entry, and exported text of each log."""
    text = b"\n".join(
        orjson.dumps({"logName": f"projects/p/logs/run.googleapis.com%2F{log}", "timestamp": f"{BASE}.1Z", "textPayload": said})
        for log in LOGS
        for said in SAID
    )
    request = {"status": 200, "latency": f"{timedelta(hours=1).total_seconds()}s", "requestMethod": "POST"}
    entry = {"logName": "projects/p/logs/run.googleapis.com%2Frequests", "timestamp": f"{BASE}Z", "httpRequest": request}
    return [b"\0" + bytes(range(250)), b"\0" + bytes(range(0, 250, 7)) * 10, b"\1" + text, b"\1" + orjson.dumps(entry)]


if __name__ == "__main__":
    fuzz(one_input, seeds())
