"""What RunPod workers print: handler lines for the shipped files, and the SDK's own lines for the worker-log stream."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np

from sandbox.emitted import Event
from sandbox.happened import History, Served, Worker
from sandbox.instants import MS, SECOND, iso_ms, iso_s, to_datetime
from sandbox.lines import handler_object, text
from sandbox.plans import Plan
from trial.calendar import Calendar

_SDK_LINES = frozenset(("sdk-lines", "plain-sdk-lines", "failed-sdk-lines", "failed-plain-lines"))
ENDPOINT_ID = "4m7x2k9q"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One job as /status shows it while it is kept."""

    id: str
    worker_id: str
    arrived_us: int
    taken_us: int
    ended_us: int
    failed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RunpodLogs:
    """
    Args:
        events: shipped lines; stream is the file's name, one per local day.
        console: worker id -> (at, line) of its container log, with the SDK's lines.
    """

    events: tuple[Event, ...]
    console: dict[str, tuple[tuple[int, str], ...]]
    jobs: dict[str, Job]


def write(plan: Plan, history: History, *, calendar: Calendar, cases: frozenset[str], rng: np.random.Generator) -> RunpodLogs:
    workers = {w.number: w for w in history.workers}
    events: list[Event] = []
    console: dict[str, list[tuple[int, str]]] = defaultdict(list)
    jobs: dict[str, Job] = {}
    for worker in history.workers:
        if worker.reason != "resumed":
            console[worker.id] += _start_up(worker)
    for request in history.requests:
        if request.worker is None:
            continue
        worker = workers[request.worker]
        printed = text(handler_object(plan, request, worker, instance=worker.id, silent_pings="silent-pings" in cases))
        events += _shipped(request, printed, worker, calendar, rng)
        if "job-objects" in cases:
            events.append(_job_object(request, worker, calendar))
        console[worker.id] += _sdk_lines(request, printed, worker)
        jobs[request.request_id] = Job(
            id=request.request_id,
            worker_id=worker.id,
            arrived_us=request.arrival.at_us,
            taken_us=request.taken_us,
            ended_us=request.ended_us,
            failed=request.fate == "error",
        )
    ordered = {name: tuple(sorted(lines, key=lambda line: line[0])) for name, lines in console.items()}
    return RunpodLogs(events=tuple(events), console=ordered, jobs=jobs)


def _shipped(request: Served, printed: str, worker: Worker, calendar: Calendar, rng: np.random.Generator) -> list[Event]:
    """
    The handler line, and what else the shipper sends with it.

    The SDK's lines carry no time; a shipper puts one before them, in the console's whole seconds.
    """
    at = request.ended_us // MS * MS
    stream = f"{calendar.day_of(to_datetime(at)).isoformat()}.jsonl"
    cases = request.arrival.cases
    lines: list[tuple[int, str, bool]] = []
    if "half-json" in cases:
        lines.append((at, printed[: len(printed) // 2], True))
    for printed_us, line in _sdk_lines(request, printed, worker) if _SDK_LINES & cases else [(at, printed)]:
        if line == printed:
            lines.append((at, line, False))
        else:
            second = printed_us // SECOND * SECOND
            said = _plain(line) if {"plain-sdk-lines", "failed-plain-lines"} & cases else line
            # One time in front, however many lines the message has.
            lines += [(second, part, False) for part in f"{iso_s(second)} {said}".split("\n")]
    if "truncated" in cases:
        said = f"Handler output: {'x' * 40}\n...TRUNCATED 6120 CHARACTERS...\n{'x' * 40}"
        lines.append((at, _sdk(request.request_id, said, "DEBUG"), False))
    if "garbage" in cases:
        lines.append((at, "".join(chr(int(c)) for c in rng.integers(0xA1, 0x2FF, 30)), False))
    return [
        Event(
            stream=stream,
            at_us=at_us,
            readable_us=at_us,
            order=request.number * 64 + i,
            payload=line,
            broken=broken,
            single=line != printed,
        )
        for i, (at_us, line, broken) in enumerate(lines)
    ]


def _job_object(request: Served, worker: Worker, calendar: Calendar) -> Event:
    """What RunPod posts to the webhook, with the receiver's time."""
    at = (request.ended_us + 30 * MS) // MS * MS
    job = {
        "id": request.request_id,
        "status": "FAILED" if request.fate == "error" else "COMPLETED",
        "delayTime": (request.taken_us - request.arrival.at_us) // MS,
        "executionTime": request.handler_us // MS,
        "workerId": worker.id,
        "received_at": iso_ms(at),
    }
    stream = f"{calendar.day_of(to_datetime(at)).isoformat()}.jsonl"
    return Event(stream=stream, at_us=at, readable_us=at, order=request.number * 64 + 63, payload=json.dumps(job), single=True)


def _start_up(worker: Worker) -> list[tuple[int, str]]:
    return [
        (worker.process_us, "--- Starting Serverless Worker |  Version 1.12.0 ---"),
        (worker.ready_us - 20 * MS, _sdk(None, "Running 3 fitness check(s)...")),
        (worker.ready_us - 8 * MS, _sdk(None, "All fitness checks passed. (8.66ms)")),
    ]


def _sdk_lines(request: Served, printed: str, worker: Worker) -> list[tuple[int, str]]:
    at, end, name = request.taken_us, request.ended_us, request.request_id
    lines = [
        (at, _sdk(name, "Job Queued", "DEBUG")),
        (at, _sdk(None, "Jobs in queue: 1")),
        (at, _sdk(None, "Jobs in progress: 1")),
        (at, _sdk(name, "Started.")),
        (end, printed),
    ]
    if request.fate == "error":
        detail = {
            "error_type": "<class 'ValueError'>",
            "error_message": "prompt too long",
            "error_traceback": 'Traceback (most recent call last):\n  File "handler.py", line 12\nValueError: prompt too long\n',
            "hostname": f"{worker.id}-64410f3a",
            "worker_id": worker.id,
            "runpod_version": "1.12.0",
        }
        lines += [(end, _sdk(name, "Captured Handler Exception", "ERROR")), (end, _sdk(None, json.dumps(detail, indent=4), "ERROR"))]
    return [*lines, (end + MS, _sdk(name, "Finished."))]


def _plain(line: str) -> str:
    """The SDK outside RunPod: level, id where there is one, text."""
    record = json.loads(line)
    named = f"{record['requestId']} | " if record["requestId"] else ""
    return f"{record['level']:<7}| {named}{record['message']}"


def _sdk(request_id: str | None, message: str, level: str = "INFO") -> str:
    record: dict[str, Any] = {"requestId": request_id, "message": message, "level": level}
    return json.dumps(record)
