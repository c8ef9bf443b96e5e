"""Requests held open until everything that can belong to them was read, and the handler lines that find them."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from collectors.cloud_run.facts import HandlerLine, Request
from collectors.cloud_run.instances import EARLY
from collectors.google_entry import trace_id

# How long after a request's end its own lines may still come, and after a line its request.
SLACK = timedelta(seconds=10)


@dataclass(slots=True, kw_only=True)
class Open:
    """A request that is not judged yet."""

    request: Request
    end: datetime
    line: HandlerLine | None = None


@dataclass(slots=True)
class Joining:
    """
    Open requests by their deadline, by trace and by instance; lines that wait for theirs.

    A line belongs to the request with its trace (the entry's, or the id the handler printed). Failing that, to the request
    that ended closest to it on the same instance: exact with one request at a time, and with several the sums stay right.
    Once printed ids have been seen to be traces, another id is another request, whose own entry is missing.
    Of several lines with one request's trace the first counts.
    """

    _deadlines: list[tuple[datetime, int, Open]] = field(default_factory=list)
    _by_trace: dict[str, list[Open]] = field(default_factory=dict)
    _by_instance: dict[str, list[Open]] = field(default_factory=dict)
    _waiting: list[HandlerLine] = field(default_factory=list)
    _count: int = 0
    _prints_traces: bool = False

    def add(self, request: Request, end: datetime) -> None:
        held = Open(request=request, end=end)
        self._count += 1
        heapq.heappush(self._deadlines, (end + SLACK, self._count, held))
        for index, key in ((self._by_trace, request.trace), (self._by_instance, request.instance_id)):
            if key is not None:
                index.setdefault(key, []).append(held)
        for line in self._waiting:
            if line.at >= request.at - EARLY and self._attach(line):
                self._waiting.remove(line)
                break

    def offer(self, line: HandlerLine) -> None:
        if not self._attach(line):
            self._waiting.append(line)

    def due(self, now: datetime) -> Iterator[Open]:
        """Requests whose deadline has passed, in the order of their deadlines."""
        while self._deadlines and self._deadlines[0][0] < now:
            held = heapq.heappop(self._deadlines)[2]
            for index, key in ((self._by_trace, held.request.trace), (self._by_instance, held.request.instance_id)):
                if key is not None:
                    index[key].remove(held)
                    if not index[key]:
                        del index[key]
            yield held

    def strays(self, now: datetime) -> Iterator[HandlerLine]:
        """Lines whose request never came."""
        while self._waiting and self._waiting[0].at + SLACK < now:
            yield self._waiting.pop(0)

    def _attach(self, line: HandlerLine) -> bool:
        printed = trace_id(line.fields.get("request_id"))
        for trace in (line.trace, printed):
            same = self._by_trace.get(trace) if trace is not None else None
            if same:
                self._prints_traces = self._prints_traces or trace == printed
                self._attach_to(same, line)
                return True
        if line.instance_id is None:
            return False
        own = line.trace or (printed if self._prints_traces else None)
        fitting = [o for o in self._by_instance.get(line.instance_id, ()) if own is None or o.request.trace is None]
        return self._attach_to(fitting, line)

    @staticmethod
    def _attach_to(candidates: list[Open] | tuple[()], line: HandlerLine) -> bool:
        fitting = [
            held
            for held in candidates
            if held.line is None
            and held.request.at - EARLY <= line.at <= held.end + SLACK
            and (line.instance_id is None or held.request.instance_id in (None, line.instance_id))
        ]
        if not fitting:
            return False
        min(fitting, key=lambda held: abs(held.end - line.at)).line = line
        return True
