"""RunPod facts joined by job id into invocations, with a cold flag that says how it was found."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Any

from collectors.runpod.cold import ColdRule
from collectors.runpod.facts import HandlerLine, Job, RunpodFact, SdkLine
from collectors.runpod.request import Request
from collectors.runpod.workers import Workers
from trial.calendar import Calendar
from trial.records import Incomplete, Instance, Invocation

# A webhook is tried again up to two times, ten seconds apart, so a job object may come this much after its handler line.
HOLD = timedelta(minutes=2)
# SDK lines without a time may stand far from their request: a late line comes at the end of its file, and its own "Started."
# before it. Of this many closed requests it is remembered that they need none of it.
CLOSED_MAX = 50_000


def assemble(facts: Iterable[RunpodFact], endpoint: Any, calendar: Calendar) -> Iterator[Invocation | Incomplete | Instance]:
    """
    Invocations from handler lines; from job objects, or the SDK's Started and Finished, where there is no line.

    started_at is when the job was queued where a job object tells (end - delayTime - executionTime), else when the handler
    began. A job that was tried again keeps its id and appears once per attempt. Finished requests are held for HOLD, so
    that the job object or a failure can still join them; the workers' lives come last.
    """
    joiner = _Joiner(endpoint)
    rule = ColdRule(endpoint)
    for fact in facts:
        for request in joiner.take(fact):
            yield from request.close(endpoint, calendar, rule)
    for request in joiner.rest():
        yield from request.close(endpoint, calendar, rule)
    yield from joiner.workers.instances()


class _Joiner:
    """Mutable: the requests in flight, and the finished ones something may still be said about."""

    def __init__(self, endpoint: Any) -> None:
        self.workers = Workers(endpoint)
        self._running: dict[str, Request] = {}
        self._held: dict[str, Request] = {}  # in order of their last news: the first is the next due
        self._closed: dict[str, None] = {}
        self._untimed = False

    def take(self, fact: RunpodFact) -> Iterator[Request]:
        """Adds one fact; gives the requests that are complete now."""
        self.workers.watch(fact.at)
        while self._held and fact.at - (first := next(iter(self._held.values()))).last_at > HOLD:
            yield self._close(self._held.pop(first.id or ""))
        if isinstance(fact, SdkLine) and fact.event == "worker_start":
            self.workers.banner(fact)
            return
        request_id = _id_of(fact)
        request = self._running.pop(request_id, None) or self._held.pop(request_id, None) if request_id else None
        if isinstance(fact, SdkLine) and not fact.timed:
            self._untimed = True
            if request is None and request_id in self._closed:
                return
        if request is not None and request.precedes(fact):
            yield self._close(request)
            request = None
        if request is None:
            request = Request(id=request_id, last_at=fact.at)
        request.add(fact, self.workers)
        if request_id is None:
            yield request
        elif request.over:
            self._held[request_id] = request
        else:
            self._running[request_id] = request

    def _close(self, request: Request) -> Request:
        if self._untimed and request.id is not None and request.line is not None:
            self._closed[request.id] = None
            if len(self._closed) > CLOSED_MAX:
                del self._closed[next(iter(self._closed))]
        return request

    def rest(self) -> list[Request]:
        return [*self._held.values(), *self._running.values()]


def _id_of(fact: RunpodFact) -> str | None:
    if isinstance(fact, HandlerLine):
        return fact.fields.get("request_id") or None
    return fact.id if isinstance(fact, Job) else fact.request_id
