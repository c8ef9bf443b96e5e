"""Lines of SageMaker containers as invocations; a framework's several lines about one request joined by its id."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from collectors.sagemaker.parse import Line, SagemakerFact, TurnedAway, WorkerStart
from trial.calendar import Calendar
from trial.records import Cold, Incomplete, Instance, Invocation

# TorchServe prints all of a request's metrics within a few ms of each other.
HOLD = timedelta(seconds=10)


def assemble(facts: Iterable[SagemakerFact], endpoint: Any, calendar: Calendar) -> Iterator[Invocation | Incomplete | Instance]:
    """
    One invocation a request, in order of completion; the instances last.

    An instance gets requests only when it has passed its health check, so a request is warm unless its own line says
    otherwise: a model loaded within it is cold and waited for (lazy_load); a first job of a process on an instance that was
    up before is cold and not waited for (handler_flag). Requests refused while nothing was up met the coldest start of all:
    cold, waited for, status throttled (scaled_to_zero).
    """
    held: dict[tuple[str, str], Line] = {}
    lives: dict[str, tuple[datetime, datetime]] = {}
    refused: TurnedAway | None = None
    for fact in facts:
        while held and fact.at - (first := next(iter(held.values()))).at > HOLD:
            del held[first.instance, first.fields["request_id"]]
            yield _invocation(first, endpoint, calendar)
        if isinstance(fact, TurnedAway):
            if refused is not None and refused.at != fact.at:
                yield from _refused(refused, endpoint, calendar)
            # One minute read twice while it grew: the later count, which sorts behind, holds the earlier.
            refused = fact
            continue
        first_seen, _ = lives.get(fact.instance, (fact.at, fact.at))
        lives[fact.instance] = (first_seen, fact.at)
        if isinstance(fact, WorkerStart):
            continue
        request_id = fact.fields.get("request_id")
        if fact.whole or not request_id:
            yield _invocation(fact, endpoint, calendar)
            continue
        known = held.get((fact.instance, request_id))
        held[fact.instance, request_id] = fact if known is None else replace(known, fields={**fact.fields, **known.fields})
    for line in held.values():
        yield _invocation(line, endpoint, calendar)
    if refused is not None:
        yield from _refused(refused, endpoint, calendar)
    for instance, (first_seen, last_seen) in sorted(lives.items()):
        yield Instance(endpoint=endpoint.name, id=instance, first_seen_at=first_seen, last_seen_at=last_seen)


def _invocation(line: Line, endpoint: Any, calendar: Calendar) -> Invocation:
    fields = line.fields
    wall_ms = fields.get("handler_ms", fields.get("gpu_ms"))
    started_at = line.done_at - timedelta(milliseconds=wall_ms or 0.0)
    cold, reason, waited = _judge(fields)
    return Invocation(
        platform="sagemaker",
        endpoint=endpoint.name,
        day=calendar.day_of(started_at),
        request_id=fields.get("request_id"),
        instance_id=line.instance,
        started_at=started_at,
        load_ms=fields.get("load_ms"),
        handler_ms=fields.get("handler_ms"),
        gpu_ms=fields.get("gpu_ms"),
        gpu_ms_source=fields.get("gpu_ms_source", "none"),
        latency_ms=wall_ms,
        cold=cold,
        cold_reason=reason,
        waited=waited,
        status=line.status,
        model=fields.get("model") or endpoint.model,
        input_tokens=fields.get("input_tokens"),
        output_tokens=fields.get("output_tokens"),
        ttft_ms=fields.get("ttft_ms"),
        synthetic=fields.get("synthetic", False),
    )


def _judge(fields: dict[str, Any]) -> tuple[Cold, str | None, bool]:
    load_ms, handler_ms = fields.get("load_ms", 0.0), fields.get("handler_ms")
    if load_ms > 0 and handler_ms is not None and load_ms <= handler_ms and fields.get("cold_start") is not False:
        return "cold", "lazy_load", True
    if fields.get("cold_start"):
        return "cold", "handler_flag", False
    return "warm", None, False


def _refused(fact: TurnedAway, endpoint: Any, calendar: Calendar) -> Iterator[Invocation]:
    for _ in range(fact.requests):
        yield Invocation(
            platform="sagemaker",
            endpoint=endpoint.name,
            day=calendar.day_of(fact.at),
            request_id=None,
            instance_id=None,
            started_at=fact.at,
            cold="cold",
            cold_reason="scaled_to_zero",
            waited=True,
            status="throttled",
            model=endpoint.model,
        )
