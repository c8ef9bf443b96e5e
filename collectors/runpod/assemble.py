"""RunPod facts joined by job id into invocations, with a cold flag that says how it was found."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any

from collectors.runpod.cold import ColdRule
from collectors.runpod.facts import HandlerLine, Job, RunpodFact, SdkLine
from collectors.runpod.request import Request
from collectors.runpod.workers import Workers
from trial.calendar import Calendar
from trial.records import Incomplete, Instance, Invocation

# A webhook is tried again up to two times, ten seconds apart, so a job object may come this much after its handler line.
HOLD = timedelta(minutes=2)
# A framework's line and the last news of its job are not further apart: the webhook's second try is ten seconds late.
NEAR = timedelta(seconds=30)
# SDK lines without a time may stand far from their request: a late line comes at the end of its file, and its own "Started."
# before it. Of this many closed requests it is remembered that they need none of it.
CLOSED_MAX = 50_000


def assemble(facts: Iterable[RunpodFact], endpoint: Any, calendar: Calendar) -> Iterator[Invocation | Incomplete | Instance]:
    """
    Invocations from handler lines; from job objects, or the SDK's Started and Finished, where there is no line. A serving
    framework's line, whose id RunPod does not know, belongs to the job without a line in whose time it was printed, and to the
    one that ended nearest to it where there are several; where there is none, it is a request.

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
        # In the same order, the held ones of which no line has told, and what frameworks said until its job is found.
        # Both are read from the front, where a plain dict would pass over every entry that is gone.
        self._silent: OrderedDict[str, Request] = OrderedDict()
        self._foreign: OrderedDict[object, Request] = OrderedDict()
        self._closed: dict[str, None] = {}
        self._untimed = False

    def take(self, fact: RunpodFact) -> Iterator[Request]:
        """Adds one fact; gives the requests that are complete now."""
        self.workers.watch(fact.at)
        if self._foreign:
            yield from self._strays(fact.at)
        while self._held and fact.at - (first := next(iter(self._held.values()))).last_at > HOLD:
            yield self._close(self._held.pop(first.id or ""))
        if isinstance(fact, SdkLine) and fact.event == "worker_start":
            self.workers.banner(fact)
            return
        request_id = _id_of(fact)
        request = self._known(request_id) if request_id else None
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
        if request.foreign:
            self._foreign[request_id or object()] = request
        elif request_id is None:
            yield request
        elif request.over:
            self._held[request_id] = request
            if self._silent:
                self._silent.pop(request_id, None)
            if request.line is None:
                self._silent[request_id] = request
        else:
            self._running[request_id] = request

    def _known(self, request_id: str) -> Request | None:
        return self._running.pop(request_id, None) or self._held.pop(request_id, None) or self._foreign.pop(request_id, None)

    def _strays(self, now: datetime) -> Iterator[Request]:
        """What frameworks said long enough ago, and no job takes."""
        while self._foreign and now - (first := next(iter(self._foreign.values()))).last_at > HOLD:
            del self._foreign[next(iter(self._foreign))]
            if not self._adopted(first):
                yield first

    def _adopted(self, foreign: Request) -> bool:
        """Whether a held job, the one whose end is nearest, takes what a framework said."""
        assert foreign.line is not None
        at = foreign.line.done_at
        best: tuple[timedelta, str] | None = None
        for name, job in self._silent.items():
            distance = job.spans(at)
            if distance is not None and (best is None or distance < best[0]):
                best = distance, name
            elif job.last_at - at > NEAR or (best is not None and job.last_at > at):
                break  # they stand in order of their last news: the others are further away
        if best is not None:
            self._silent.pop(best[1]).adopt(foreign)
        return best is not None

    def _nearest(self, request: Request) -> object | None:
        """The key of the framework's line, not yet taken, that was printed nearest to this job's end."""
        best: tuple[timedelta, object] | None = None
        for key, foreign in self._foreign.items():
            assert foreign.line is not None
            distance = request.spans(foreign.line.done_at)
            if distance is not None and (best is None or distance < best[0]):
                best = distance, key
            elif best is not None and foreign.last_at > request.last_at:
                break  # they stand in order of their last news: the others are further away
        return None if best is None else best[1]

    def _close(self, request: Request) -> Request:
        if self._silent:
            self._silent.pop(request.id or "", None)
        if request.line is None and self._foreign:
            key = self._nearest(request)
            if key is not None:
                request.adopt(self._foreign.pop(key))
        if self._untimed and request.id is not None and request.line is not None:
            self._closed[request.id] = None
            if len(self._closed) > CLOSED_MAX:
                del self._closed[next(iter(self._closed))]
        return request

    def rest(self) -> list[Request]:
        alone = [request for request in self._foreign.values() if not self._adopted(request)]
        return [*self._held.values(), *self._running.values(), *alone]


def _id_of(fact: RunpodFact) -> str | None:
    if isinstance(fact, HandlerLine):
        return fact.fields.get("request_id") or None
    return fact.id if isinstance(fact, Job) else fact.request_id
