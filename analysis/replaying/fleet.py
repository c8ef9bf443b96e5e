"""The workers of the general event loop: which are idle, which takes the next request, when each one stops."""

from __future__ import annotations

import random
from collections import OrderedDict
from dataclasses import dataclass, field
from heapq import heappop, heappush

import numpy as np

from analysis.replaying.policies import Policy
from analysis.replaying.result import Workers


@dataclass(slots=True, kw_only=True)
class Worker:
    """One worker as it lives; times in microseconds."""

    started: int
    ready: int
    pinned: bool = False
    started_for: int | None = None  # the request that made it start
    ended: int | None = None
    idle_since: int | None = None
    in_flight: int = 0
    busy_from: int = 0
    busy_until: int = 0
    busy: int = 0
    requests: int = 0


@dataclass(slots=True, kw_only=True)
class Fleet:
    """
    All workers of one replay. Every operation costs O(log idle) at most: nothing scans the workers.

    `alive` counts what min_workers and max_workers bound, so not the pinned ones.
    """

    policy: Policy
    workers: list[Worker] = field(default_factory=list)
    alive: int = 0
    starting: int = 0
    _idle: OrderedDict[int, None] = field(default_factory=OrderedDict)  # ordered by the moment they became idle
    _idle_pinned: OrderedDict[int, None] = field(default_factory=OrderedDict)
    _roomy: OrderedDict[int, None] = field(default_factory=OrderedDict)  # busy with room for more, ordered by last request
    _by_creation: list[int] = field(default_factory=list)
    _shuffled: list[int] = field(default_factory=list)
    _place: dict[int, int] = field(default_factory=dict)
    _random: random.Random = field(init=False)
    _shared: bool = field(init=False)

    def __post_init__(self) -> None:
        self._shared = self.policy.concurrency > 1
        self._random = random.Random(self.policy.seed)

    def start(self, now: int, *, load_us: int, pinned: bool = False, started_for: int | None = None) -> int:
        """Starts a worker that is busy loading until now + load_us."""
        ready = now + load_us
        self.workers.append(Worker(started=now, ready=ready, pinned=pinned, started_for=started_for, busy_from=now, busy_until=ready))
        if not pinned:
            self.alive += 1
        self.starting += 1
        return len(self.workers) - 1

    def made_ready(self, number: int) -> None:
        """The worker's load is over; it is idle, or serves the request it was started for."""
        self.starting -= 1
        worker = self.workers[number]
        if worker.in_flight:
            if worker.in_flight < self.policy.concurrency:
                self._roomy[number] = None
        else:
            self._rest(number, worker.ready)

    def take(self) -> int | None:
        """The worker for the next request: pinned first, then one already busy with room, then an idle one by the routing."""
        if self._idle_pinned:
            return next(reversed(self._idle_pinned))
        if self._roomy:
            return next(reversed(self._roomy))
        if not self._idle:
            return None
        match self.policy.routing:
            case "newest-idle":
                return next(reversed(self._idle))
            case "least-recently-used":
                return next(iter(self._idle))
            case "random":
                return self._shuffled[self._random.randrange(len(self._shuffled))]
        while -self._by_creation[0] not in self._idle:
            heappop(self._by_creation)
        return -self._by_creation[0]

    def assign(self, number: int, now: int) -> None:
        """The worker takes one more request."""
        worker = self.workers[number]
        if worker.idle_since is not None:
            self._leave_idle(number)
            worker.idle_since = None
            worker.busy_from = now
        worker.in_flight += 1
        worker.requests += 1
        if self._shared and worker.ready <= now:
            self._roomy.pop(number, None)
            if worker.in_flight < self.policy.concurrency:
                self._roomy[number] = None

    def release(self, number: int, now: int) -> None:
        """One of the worker's requests is done."""
        worker = self.workers[number]
        worker.in_flight -= 1
        if worker.in_flight:
            if worker.ready <= now:
                self._roomy[number] = None
        else:
            if self._shared:
                self._roomy.pop(number, None)
            self._rest(number, now)

    def expire(self, number: int, since: int, now: int) -> None:
        """Stops a worker that has been idle since then, unless it was used meanwhile or min_workers keeps it."""
        worker = self.workers[number]
        if worker.idle_since == since and worker.ended is None and not worker.pinned and self.alive > self.policy.floor_at(now / 1000):
            self._leave_idle(number)
            worker.ended = now
            self.alive -= 1

    def stop_surplus(self, now: int, *, timeout_us: int) -> None:
        """When the minimum has dropped: stops those it alone had kept, the longest idle first."""
        floor = self.policy.floor_at(now / 1000)
        for number in list(self._idle):
            since = self.workers[number].idle_since
            if self.alive <= floor or since is None or now - since < timeout_us:
                return
            self.expire(number, since, now)

    def lives(self, end: int) -> Workers:
        """All lives as arrays; whoever was never stopped ends at `end`, or when it is done, if that is later."""
        ws = self.workers
        busy_until = np.array([w.busy_until for w in ws], dtype=np.int64)
        # Not a negative number for "never": the horizon begins before the first arrival, which is the clock's zero.
        stopped = np.array([w.ended is not None for w in ws], dtype=np.bool_)
        ended = np.array([w.ended or 0 for w in ws], dtype=np.int64)
        return Workers(
            started_us=np.array([w.started for w in ws], dtype=np.int64),
            ready_us=np.array([w.ready for w in ws], dtype=np.int64),
            busy_until_us=busy_until,
            ended_us=np.where(stopped, ended, np.maximum(busy_until, end)),
            busy_us=np.array([w.busy for w in ws], dtype=np.int64),
            requests=np.array([w.requests for w in ws], dtype=np.int64),
            pinned=np.array([w.pinned for w in ws], dtype=np.bool_),
        )

    def _rest(self, number: int, now: int) -> None:
        worker = self.workers[number]
        worker.idle_since = worker.busy_until = now
        worker.busy += now - worker.busy_from
        if worker.pinned:
            self._idle_pinned[number] = None
            return
        self._idle[number] = None
        if self.policy.routing == "newest-created":
            heappush(self._by_creation, -number)
        elif self.policy.routing == "random":
            self._place[number] = len(self._shuffled)
            self._shuffled.append(number)

    def _leave_idle(self, number: int) -> None:
        if self.workers[number].pinned:
            del self._idle_pinned[number]
            return
        del self._idle[number]
        if self.policy.routing == "random":
            place, last = self._place.pop(number), self._shuffled.pop()
            if last != number:
                self._shuffled[place] = last
                self._place[last] = place
