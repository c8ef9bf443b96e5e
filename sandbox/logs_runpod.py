"""What RunPod workers print: handler lines for the shipped files, and the SDK's own lines for the worker-log stream."""

from __future__ import annotations

import json
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sandbox.emitted import Event
from sandbox.foreign_lines import foreign_lines
from sandbox.happened import History, Served, Worker
from sandbox.instants import MINUTE, MS, SECOND, iso_ms, iso_s, to_datetime, to_us
from sandbox.lines import handler_object, text
from sandbox.plans import Plan
from trial.calendar import Calendar

_SDK_LINES = frozenset(("sdk-lines", "plain-sdk-lines", "failed-sdk-lines", "failed-plain-lines", "truncated-line"))
HARVEST_EVERY = 10 * MINUTE
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
        if "webhook-only" not in cases:
            events += _shipped(plan, request, printed, worker, calendar, rng)
        if {"job-objects", "webhook-only"} & cases:
            events += _job_objects(request, worker, calendar)
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


def _shipped(plan: Plan, request: Served, printed: str, worker: Worker, calendar: Calendar, rng: np.random.Generator) -> list[Event]:
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
    foreign = foreign_lines(plan, request, instance=worker.id)
    for printed_us, line in _sdk_lines(request, printed, worker) if _SDK_LINES & cases else [(at, printed)]:
        if line == printed and foreign:
            lines += [(at, f"{iso_ms(at)} {said}", False) for said in foreign]
        elif line == printed and "truncated-line" in cases:
            # It went through the SDK's logger, which keeps the two ends of what is too long.
            cut = f"{line[:120]}\n...TRUNCATED 1711 CHARACTERS...\n{line[-40:]}"
            lines.append((at, f"{iso_ms(at)} {_sdk(request.request_id, cut)}", True))
        elif line == printed:
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


def _job_objects(request: Served, worker: Worker, calendar: Calendar) -> Iterator[Event]:
    """What RunPod posts to the webhook, with the receiver's time; again where it was given no answer."""
    for number, after in enumerate((30 * MS, 10 * SECOND) if "webhook-again" in request.arrival.cases else (30 * MS,)):
        yield _job_object(request, worker, calendar, at=(request.ended_us + after) // MS * MS, order=request.number * 64 + 62 + number)


def _job_object(request: Served, worker: Worker, calendar: Calendar, *, at: int, order: int) -> Event:
    job = {
        "id": request.request_id,
        "status": "FAILED" if request.fate == "error" else "COMPLETED",
        "delayTime": (request.taken_us - request.arrival.at_us) // MS,
        "executionTime": request.handler_us // MS,
        "workerId": worker.id,
        "received_at": iso_ms(at),
    }
    stream = f"{calendar.day_of(to_datetime(at)).isoformat()}.jsonl"
    return Event(stream=stream, at_us=at, readable_us=at, order=order, payload=json.dumps(job), single=True)


def harvested(history: History, logs: RunpodLogs, *, calendar: Calendar) -> tuple[tuple[Event, ...], dict[int, str]]:
    """
    What a harvest every HARVEST_EVERY brings from the workers' own logs: a worker that ends takes with it what it printed since.

    Returns:
        the lines; and of each request that shows in them, whether "whole" or only "begun".
    """
    looks = range(to_us(calendar.window(calendar.start).start), to_us(calendar.window(calendar.all_days()[-1]).end) + 1, HARVEST_EVERY)
    last_look: dict[str, int] = {}
    for worker in history.workers:
        first = bisect_left(looks, worker.started_us)
        after = bisect_left(looks, worker.stopped_us)
        if first < after:
            last_look[worker.id] = max(looks[after - 1], last_look.get(worker.id, 0))
    lines: dict[tuple[str, int, str], Event] = {}
    for name, look in last_look.items():
        for order, (at, line) in enumerate(logs.console[name]):
            # A handler line has its own time, any other the console's whole seconds, in which two like lines are one line twice.
            at_us = at // MS * MS if line.startswith('{"fortnight"') else at // SECOND * SECOND
            if at <= look:
                before = lines.get((name, at_us, line))
                event = Event(stream=name, at_us=at_us, readable_us=look, order=order, payload=line)
                lines[name, at_us, line] = replace(before, copies=before.copies + 1) if before else event
    seen: dict[int, str] = {}
    names = {worker.number: worker.id for worker in history.workers}
    for request in history.requests:
        look = last_look.get(names[request.worker], 0) if request.worker is not None else 0
        if request.taken_us <= look:
            seen[request.number] = "whole" if request.ended_us <= look else "begun"
    return tuple(lines.values()), seen


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
