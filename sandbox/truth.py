"""The planted truth: what a reader of the logs must find, per endpoint and local day."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from datetime import date, datetime
from decimal import Decimal

from sandbox.emitted import Event
from sandbox.foreign_lines import WITHOUT_GPU_MS
from sandbox.happened import History, Served, Worker
from sandbox.instants import MS, SECOND, to_datetime
from sandbox.lines import has_line
from sandbox.logs_replicate import ODD_US
from sandbox.plans import Plan
from trial.calendar import Calendar


@dataclass(frozen=True, slots=True, kw_only=True)
class DayTruth:
    """
    One endpoint's local day.

    Args:
        requests: the rate's denominator: attempts that are neither synthetic, aborted nor incomplete.
        cold_hits: of these, cold and waited for, where a source of the platform shows it.
        cold_hidden: of these, cold and waited for, and no line says so (a resumed worker).
        cold_unwaited: of these, on an instance started ahead (Lambda).
        unknown: of these, where no reader can tell.
        synthetic, aborted, incomplete: counted apart.
        health, forbidden: requests that are no inference at all.
        provider_requests: what the provider's own counter says; None where it has none.
        billed_ms: what the reports of `requests` say was billed (Lambda).
        gpu_us: GPU time the handler lines report, over `requests`; synthetic_gpu_us over pings.
        lines: events whose own time is on this day, each once; duplicates: further copies the source returns.
        rejected: lines among them that claim to be something and cannot be read.
        neighbours: lines among them that are another function's or deployment's.
        cold_reasons: of `requests`, why each that is no warm one is none, in the words of the cold_reason column.
        triton: begin of an hour -> (requests, microseconds of GPU time) that the readings of Triton's statistics tell of.
        billed_usd: the day's bill.
    """

    requests: int = 0
    cold_hits: int = 0
    cold_hidden: int = 0
    cold_unwaited: int = 0
    unknown: int = 0
    synthetic: int = 0
    aborted: int = 0
    incomplete: int = 0
    health: int = 0
    forbidden: int = 0
    provider_requests: int | None = None
    billed_ms: int = 0
    gpu_us: int = 0
    synthetic_gpu_us: int = 0
    lines: int = 0
    duplicates: int = 0
    rejected: int = 0
    neighbours: int = 0
    cold_reasons: Mapping[str, int] = field(default_factory=dict)
    triton: Mapping[datetime, tuple[int, int]] = field(default_factory=dict)
    billed_usd: Decimal = Decimal(0)


_NO_GPU_MS = WITHOUT_GPU_MS | {"cut-line", "truncated-line", "negative-time"}
_NO_FLAG = frozenset(("truncated-line", "torchserve-line", "bentoml-line"))
_UNKNOWN = frozenset(("mid_stream", "queue_or_start"))
_COUNTS = tuple(f.name for f in fields(DayTruth) if f.type == "int")


_CUT_SHORT = frozenset(("cut-report", "logs-dropped"))


def day_of_request(plan: Plan, request: Served, calendar: Calendar, worker: Worker | None) -> date:
    """
    By docs/metrics.md, the day on which the platform took it: Cloud Run and Replicate show when it came, RunPod when a worker
    took it, and Lambda where the initialisation begins that its caller waits for, which nothing tells of a request without REPORT.
    """
    at = request.taken_us
    if plan.platform in ("cloud-run", "replicate"):
        at = request.arrival.at_us
    elif plan.platform == "aws-lambda" and worker is not None and not _is_incomplete(request):
        at -= request.reinit_us
        if request.cold and request.waited and worker.ready_us > request.arrival.at_us:
            at = worker.started_us
    return calendar.day_of(to_datetime(at))


def _is_incomplete(request: Served) -> bool:
    return request.fate == "killed" or bool(_CUT_SHORT & request.arrival.cases)


def day_truths(
    plan: Plan,
    history: History,
    events: Iterable[Event],
    *,
    calendar: Calendar,
    bill: Mapping[date, Decimal],
    health: Iterable[int] = (),
    forbidden: Iterable[int] = (),
    billed_ms: Mapping[int, int] | None = None,
    seen: Mapping[int, str] | None = None,
    triton: Mapping[int, tuple[int, int]] | None = None,
    cases: frozenset[str] = frozenset(),
) -> dict[date, DayTruth]:
    """
    Args:
        billed_ms: by number of the request, as its report has it.
        seen: by number of the request, "whole" or "begun", where only these were seen at all.
        cases: the endpoint's.
    """
    counts = {day: dict.fromkeys(_COUNTS, 0) for day in calendar.all_days()}
    first_end_us = min((r.ended_us for r in history.requests if r.worker is not None), default=0)
    reasons: dict[date, Counter[str]] = {day: Counter() for day in counts}
    provider = dict.fromkeys(counts, 0)
    for request in history.requests:
        worker = history.workers[request.worker] if request.worker is not None else None
        day = day_of_request(plan, request, calendar, worker)
        if seen is not None and seen.get(request.number) != "whole":
            if day in counts:
                counts[day]["incomplete"] += request.number in seen
        elif day in counts:
            gpu_us = _gpu_us(request, cases) if worker is not None and has_line(request, worker) else 0
            billed = (billed_ms or {}).get(request.number, 0)
            _count_request(
                counts[day], reasons[day], request, gpu_us=gpu_us, billed_ms=billed, reason=_reason(plan, request, cases, first_end_us)
            )
        # Cloud Run counts a request when it ends, Lambda when it is taken.
        counted = calendar.day_of(to_datetime(request.ended_us if plan.platform == "cloud-run" else request.taken_us))
        if counted in provider:
            provider[counted] += request.fate != "aborted"
    for event in events:
        day = calendar.day_of(to_datetime(event.at_us))
        if day in counts:
            counts[day]["lines"] += 1
            # However often Cloud Logging stores an entry, one query returns it once.
            counts[day]["duplicates"] += event.copies - 1 if plan.platform != "cloud-run" else 0
            counts[day]["rejected"] += event.broken
            counts[day]["neighbours"] += event.neighbour
    for name, times in (("health", health), ("forbidden", forbidden)):
        for at in times:
            day = calendar.day_of(to_datetime(at))
            counts[day][name] += 1
            provider[day] += name == "health"
    hours: dict[date, dict[datetime, tuple[int, int]]] = {day: {} for day in counts}
    for hour, told in (triton or {}).items():
        day = calendar.day_of(to_datetime(hour))
        if day in hours:
            hours[day][to_datetime(hour)] = told
    yardstick: Mapping[date, int | None] = provider
    if plan.platform in ("runpod", "replicate"):
        # The platform counts no requests; Triton does, where it serves the model.
        yardstick = {day: sum(n for n, _ in told.values()) if told else None for day, told in hours.items()}
    return {
        day: DayTruth(
            **count,
            provider_requests=yardstick[day],
            triton=hours[day],
            cold_reasons=reasons[day],
            billed_usd=bill.get(day, Decimal(0)),
        )
        for day, count in counts.items()
    }


def _gpu_us(request: Served, cases: frozenset[str]) -> int:
    """
    GPU time as far as a source of the request tells it.

    Args:
        cases: the endpoint's.
    """
    own = request.arrival.cases
    if "odd-times" in own:
        return request.ended_us - request.arrival.at_us + ODD_US
    if "webhook-only" in cases or ("truncated-line" in own and "job-objects" in cases):
        # A job object's executionTime is all there is.
        return request.handler_us // MS * MS
    return 0 if _NO_GPU_MS & own else request.gpu_us


def _reason(plan: Plan, request: Served, cases: frozenset[str], first_end_us: int) -> str | None:
    """Why it is no warm one, as a reader can say: where RunPod's handler printed no cold flag, by a job object's wait or not at all."""
    if plan.platform != "runpod" or ("webhook-only" not in cases and not _NO_FLAG & request.arrival.cases):
        return request.reason if request.visible else None
    if not {"webhook-only", "job-objects"} & cases:
        return "mid_stream"
    if not (request.waited and request.visible):
        return None
    # Until its idle time-out has gone by, nothing tells a new worker from one that was busy.
    watched = request.taken_us - first_end_us >= plan.idle_timeout_s * SECOND
    return "queue_delay" if watched else "queue_or_start"


def _count_request(
    count: dict[str, int], reasons: Counter[str], request: Served, *, gpu_us: int, billed_ms: int, reason: str | None
) -> None:
    if request.fate == "aborted":
        count["aborted"] += 1
        return
    cases = request.arrival.cases
    if "other-model" in cases:
        return
    if _is_incomplete(request):
        count["incomplete"] += 1
        return
    if request.arrival.kind == "ping":
        count["synthetic"] += 1
        count["synthetic_gpu_us"] += gpu_us
        return
    count["requests"] += 1
    count["gpu_us"] += gpu_us
    count["billed_ms"] += billed_ms
    if reason is not None:
        reasons[reason] += 1
    if reason in _UNKNOWN:
        count["unknown"] += 1
    elif request.cold and request.waited:
        count["cold_hits" if request.visible else "cold_hidden"] += 1
    elif request.cold:
        count["cold_unwaited"] += 1
