"""CloudWatch Logs events of a Lambda function: which are written, in which order, around what happened."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from sandbox import lambda_json, lambda_text
from sandbox.emitted import Event
from sandbox.foreign_lines import foreign_lines
from sandbox.happened import History, Served, Worker
from sandbox.instants import MS, SECOND, to_datetime
from sandbox.lambda_report import Report, report_of
from sandbox.lines import handler_object, has_line, text
from sandbox.plans import Plan

_STYLES = {"text": lambda_text, "snapstart": lambda_text, "json": lambda_json, "managed": lambda_json, "warn": lambda_json}


@dataclass(frozen=True, slots=True, kw_only=True)
class LambdaLogs:
    """The events, and the report of each attempt by its number."""

    events: tuple[Event, ...]
    reports: dict[int, Report]


def write(
    plan: Plan, history: History, *, versions: Sequence[tuple[int, str]], cases: frozenset[str], memory_mb: int, rng: np.random.Generator
) -> LambdaLogs:
    """
    Args:
        versions: (from microseconds, format) of the function's versions, ascending; the first is version 12.
    """
    served: dict[int, list[Served]] = defaultdict(list)
    for request in history.requests:
        if request.worker is not None:
            served[request.worker].append(request)
    events: list[Event] = []
    reports: dict[int, Report] = {}
    for worker in history.workers:
        number = max(i for i, (begin, _) in enumerate(versions) if begin <= worker.started_us or i == 0)
        old = worker.reason == "mid_stream"
        stream = _Stream(plan, worker, version="11" if old else str(12 + number), style=versions[number][1], cases=cases, rng=rng)
        stream.start_up()
        for request in served[worker.number]:
            reports[request.number] = report_of(request, worker, memory_mb=memory_mb, rng=rng, snapstart=stream.style == "snapstart")
            stream.attempt(request, reports[request.number])
        events.extend(stream.events)
        if "shared-group" in cases and worker.number % 10 == 0:
            events.extend(_of_a_neighbour(stream.events))
    return LambdaLogs(events=tuple(events), reports=reports)


def _of_a_neighbour(events: list[Event]) -> Iterator[Event]:
    """The same again, of the function summariser-api, whose name begins with ours."""
    for event in events:
        yield replace(event, stream=event.stream.replace("/summariser[", "/summariser-api["), broken=False, neighbour=True)


class _Stream:
    """One environment's log stream while it is written."""

    def __init__(self, plan: Plan, worker: Worker, *, version: str, style: str, cases: frozenset[str], rng: np.random.Generator) -> None:
        self.plan, self.worker, self.version, self.style, self.cases, self.rng = plan, worker, version, style, cases, rng
        shared = "summariser" if "shared-group" in cases else ""
        self.name = f"{to_datetime(worker.started_us):%Y/%m/%d}/{shared}[{version}]{worker.id}"
        self.say = lambda_json if style == "snapstart" and "json-snapstart" in cases else _STYLES[style]
        self.events: list[Event] = []
        self._last_us = 0

    def _put(self, at_us: int, message: str, *, broken: bool = False) -> None:
        # One stream's clock never runs backwards, and CloudWatch keeps milliseconds.
        at_us //= MS
        at_us *= MS
        if self.style != "managed":
            at_us = self._last_us = max(at_us, self._last_us)
        if self.style == "warn" and '"type":"platform.' in message:
            return
        self.events.append(Event(stream=self.name, at_us=at_us, readable_us=at_us, order=len(self.events), payload=message, broken=broken))

    def start_up(self) -> None:
        worker, say = self.worker, self.say
        if worker.reason == "mid_stream":
            return
        kind = {"provisioned": "provisioned-concurrency", "managed": "lambda-managed-instances"}.get(worker.reason, "on-demand")
        if self.style == "snapstart":
            self._put(worker.started_us, say.restore_start(worker.started_us))
            self._put(worker.ready_us - 5 * MS, say.restore_report(worker.ready_us - 5 * MS, worker.start_up_us - 8 * MS))
            return
        self._put(worker.started_us, say.init_start(worker.started_us, kind, self.version))
        if "extension-line" in self.cases and worker.number % 4 == 0:
            self._put(worker.started_us + 120 * MS, say.extension_line(worker.started_us + 120 * MS))
        for at_us, duration_us, phase, status in _init_reports(worker, provisioned=kind != "on-demand", always=say is lambda_json):
            self._put(at_us, say.init_report(at_us, duration_us, kind, phase, status))

    def attempt(self, request: Served, report: Report) -> None:
        say, cases, at = self.say, request.arrival.cases, request.taken_us
        self._put(at, say.start(at, request.request_id, self.version))
        for message in self._own_lines(request):
            self._put(at + request.handler_us // 3, message, broken=message.startswith('{"fortnight"'))
        end = request.ended_us
        if request.fate == "killed":
            return
        if has_line(request, self.worker):
            self._handler_line(request, end)
        if request.fate in ("crash", "out-of-memory"):
            self._put(end, say.runtime_exited(end, request.request_id))
        if self.style == "managed":
            self._put(end + MS, lambda_json.managed_report(end + MS, request, report))
            return
        if "logs-dropped" in cases:
            self._put(end + MS, lambda_json.logs_dropped(end + MS))
            return
        if "init-timeout-twice" in self.worker.cases and request.first_of_process and not request.reinit_us:
            self._put(end, say.init_report(end, request.handler_us, "on-demand", "invoke", "timeout"))
        self._put(end + MS, say.end(end + MS, request))
        message = say.report(end + MS, request, report, xray="xray" in cases, rng=self.rng)
        if "spaced-report" in cases and say is lambda_text:
            message = message.replace("\t", "    ")
        if "pretty-json" in cases:
            self._put(end + MS, lambda_json.pretty(message))
        elif "cut-report" in cases:
            cut = message.lower().index("billed") + 9
            self._put(end + MS, message[:cut], broken=True)
        else:
            self._put(end + MS, message)
        if request.fate == "timeout" and say is lambda_text:
            self._put(end + MS, lambda_text.timed_out(end, request.request_id, self.plan.timeout_s))

    def _handler_line(self, request: Served, end: int) -> None:
        foreign = foreign_lines(self.plan, request, instance=self.name)
        silent = "silent-pings" in self.cases
        own = text(handler_object(self.plan, request, self.worker, instance=self.name, silent_pings=silent))
        *before, printed = foreign or [own]
        for line in before:
            self._put(end, line + "\n")
        if "cut-line" in request.arrival.cases:
            middle = len(printed) // 2
            self._put(end, printed[:middle], broken=True)
            # The second half is a text like any other: nothing in it says what it once belonged to.
            self._put(end, printed[middle:] + "\n")
        elif "wrapped-line" in request.arrival.cases and self.say is lambda_json:
            self._put(end, lambda_json.application(end, request.request_id, printed))
        else:
            self._put(end, printed + "\n")

    def _own_lines(self, request: Served) -> Iterator[str]:
        cases, at = request.arrival.cases, request.taken_us
        if self.rng.random() < 0.12:
            yield self.say.application(at, request.request_id, f"prompt of {request.input_tokens} tokens")
        if "user-report-line" in cases:
            yield "REPORT on ticket 4411: Duration: 3 days, Billed Duration: none so far\n"
            yield f"customer asked: what does REPORT RequestId: {request.request_id[:8]} mean?\n"
        if "extension-report" in cases:
            tag = "[telemetry] " if request.number % 2 else ""
            yield (
                f"{tag}REPORT RequestId: {request.request_id}\tRuntime Duration: {request.handler_us / MS:.2f} ms"
                "\tPost Runtime Duration: 1.31 ms\n"
            )
        if "traceback" in cases:
            yield self.say.traceback(at, request.request_id)
        if "half-json" in cases:
            yield '{"fortnight":1,"request_id":"' + request.request_id + '","gpu_ms":2'
        if "garbage" in cases:
            yield "\x00\x07" + "".join(chr(int(c)) for c in self.rng.integers(0x80, 0x2FF, 24)) + "\ufffd\n"


def _init_reports(worker: Worker, *, provisioned: bool, always: bool) -> Iterator[tuple[int, int, str, str]]:
    """(at, duration, phase, status) of the INIT reports: text has them on failures and provisioned concurrency only."""
    if {"init-timeout", "init-timeout-twice"} & worker.cases:
        yield worker.started_us + 10 * SECOND, 10 * SECOND - 210, "init", "timeout"
    elif "init-error" in worker.cases:
        first = worker.start_up_us * 48 // 100
        yield worker.started_us + first, first, "init", "error"
        yield worker.ready_us, worker.start_up_us - first, "invoke", "error"
    elif provisioned or always:
        yield worker.ready_us, worker.start_up_us, "init", "success"
