"""The general event loop: every policy, one heap of events. Most plain policies go through the faster replay_stack."""

from __future__ import annotations

from array import array
from collections import deque
from heapq import heappop, heappush
from typing import NamedTuple

import numpy as np

from analysis.replaying.fleet import Fleet
from analysis.replaying.policies import Policy, QueueDelay, RequestCount
from analysis.replaying.result import Flags, Ints, Workers

# At one instant: a worker is ready before it is done, and what frees a worker comes before what looks for one.
READY, DONE, FLOOR, EXPIRY, SCALE = range(5)
HOUR_US = 3_600_000_000
NEVER_US = 1 << 62


class Outcome(NamedTuple):
    """Per-request arrays and the lives of the workers, as ReplayResult wants them."""

    cold: Flags
    trigger: Flags
    waited_us: Ints
    rejected: Flags
    workers: Workers


def run(policy: Policy, *, arrival: Ints, service: Ints, cold_extra: Ints, start_us: int, end_us: int, standard_load_us: int) -> Outcome:
    """
    Replays the arrivals through the policy.

    Args:
        arrival, service, cold_extra: one per request, in microseconds, sorted by arrival.
        start_us, end_us: the horizon; workers kept by the policy live from one to the other.
        standard_load_us: the load of a worker that no request has triggered.
    """
    loop = _Loop(policy, arrival, service, cold_extra, start_us, end_us, standard_load_us)
    events, expiring = loop.events, loop.expiring
    for request, now in enumerate(loop.arrival):
        if (events and events[0][0] <= now) or (expiring and expiring[0][0] <= now):
            loop.advance(now)
        loop.arrive(request, now)
    loop.advance(NEVER_US)
    return loop.outcome()


class _Loop:
    def __init__(
        self, policy: Policy, arrival: Ints, service: Ints, cold_extra: Ints, start_us: int, end_us: int, standard_load_us: int
    ) -> None:
        n = len(arrival)
        self.policy, self.end_us, self.load_us = policy, end_us, standard_load_us
        # Arrays of machine integers: as quick to read one by one as lists, at a fifth of the memory.
        self.arrival, self.service, self.extra = (array("q", np.ascontiguousarray(c).tobytes()) for c in (arrival, service, cold_extra))
        self.timeout = None if policy.idle_timeout_s is None else round(policy.idle_timeout_s * 1e6)
        self.limit = policy.max_workers if policy.dedicated is None else 0
        self.central = policy.load_queueing or policy.scaler is not None
        self.waited, self.cold, self.trigger, self.rejected = array("q", bytes(8 * n)), bytearray(n), bytearray(n), bytearray(n)
        self.served = bytearray(n)
        self.queue: deque[int] = deque()
        self.events: list[tuple[int, int, int]] = []  # moment, kind, worker or request
        # Idle time-outs fall due in the order in which workers became idle: they need no heap.
        self.expiring: deque[tuple[int, int, int, int]] = deque()
        self.fleet = Fleet(policy=policy)
        self.in_progress = 0
        for _ in range(policy.provisioned + (policy.dedicated or 0)):
            self.fleet.made_ready(self.fleet.start(start_us, load_us=0, pinned=True))
        for _ in range(policy.floor_at(start_us / 1000)):
            self._freed(self._ready_at_once(start_us), start_us)
        for moment in _floor_changes(policy, start_us, end_us):
            heappush(self.events, (moment, FLOOR, 0))

    def advance(self, now: int) -> None:
        """Handles every event up to and including `now`."""
        events, expiring, fleet, workers, queue = self.events, self.expiring, self.fleet, self.fleet.workers, self.queue
        while True:
            if expiring and (not events or expiring[0] < events[0]):
                at, _, worker, since = expiring[0]
                if at > now:
                    return
                expiring.popleft()
                if workers[worker].idle_since == since:  # mostly it was used again meanwhile
                    fleet.expire(worker, since, at)
                continue
            if not events or events[0][0] > now:
                return
            at, kind, subject = heappop(events)
            if kind == DONE:
                fleet.release(subject, at)
                self.in_progress -= 1
                if queue:
                    self._freed(subject, at)
                elif self.timeout is not None and workers[subject].idle_since == at:
                    expiring.append((at + self.timeout, EXPIRY, subject, at))
            elif kind == READY:
                fleet.made_ready(subject)
                self._freed(subject, at)
            elif kind == FLOOR:
                self._floor_changed(at)
            elif not self.served[subject] and self._may_start():
                self._start(at, subject)

    def arrive(self, request: int, now: int) -> None:
        worker = self.fleet.take() if not self.queue else None
        if worker is not None:
            self._serve(request, worker, now)
            if isinstance(self.policy.scaler, RequestCount):
                self._scale(request, now)
        elif self.central:
            if self.policy.overflow == "reject" and not self._may_start() and not self.fleet.starting:
                self.rejected[request] = True
                return
            self.queue.append(request)
            self._scale(request, now)
        elif self._may_start():
            # Bound to the worker it starts, even if another one is free sooner: as Lambda does.
            self._serve(request, self._start(now, request), now)
        elif self.policy.overflow == "reject":
            self.rejected[request] = True
        else:
            self.queue.append(request)

    def outcome(self) -> Outcome:
        return Outcome(
            cold=np.frombuffer(self.cold, dtype=np.bool_),
            trigger=np.frombuffer(self.trigger, dtype=np.bool_),
            waited_us=np.frombuffer(self.waited, dtype=np.int64),
            rejected=np.frombuffer(self.rejected, dtype=np.bool_),
            workers=self.fleet.lives(self.end_us),
        )

    def _serve(self, request: int, worker: int, now: int) -> None:
        came, by = self.arrival[request], self.fleet.workers[worker]
        ready = by.ready
        begins = max(now, ready)
        if begins != came:
            self.waited[request] = begins - came
        if ready > came or by.started_for == request:
            self.cold[request] = True
        self.served[request] = True
        self.in_progress += 1
        self.fleet.assign(worker, now)
        heappush(self.events, (begins + self.service[request], DONE, worker))

    def _freed(self, worker: int, now: int) -> None:
        """Serves the queue with what became free; a worker that rests after that may expire."""
        while self.queue and (taker := self.fleet.take()) is not None:
            self._serve(self.queue.popleft(), taker, now)
        if self.timeout is not None and self.fleet.workers[worker].idle_since == now:
            self.expiring.append((now + self.timeout, EXPIRY, worker, now))

    def _may_start(self) -> bool:
        return self.limit is None or self.fleet.alive < self.limit

    def _start(self, now: int, request: int | None) -> int:
        load_us = self.load_us if request is None else self.extra[request]
        worker = self.fleet.start(now, load_us=load_us, started_for=request)
        heappush(self.events, (now + load_us, READY, worker))
        if request is not None:
            self.trigger[request] = True
        return worker

    def _ready_at_once(self, now: int) -> int:
        worker = self.fleet.start(now, load_us=0)
        self.fleet.made_ready(worker)
        return worker

    def _scale(self, request: int, now: int) -> None:
        """Decides, as the platform's scaler, whether the request just queued starts workers."""
        scaler = self.policy.scaler
        if scaler is None:
            wanted = 0 if self.fleet.starting else 1
        elif isinstance(scaler, QueueDelay):
            wanted = 0 if self.fleet.alive else 1
            if not wanted:
                heappush(self.events, (now + round(scaler.seconds * 1e6), SCALE, request))
        else:
            assert isinstance(scaler, RequestCount)
            wanted = -(-(len(self.queue) + self.in_progress) // scaler.per_worker) - self.fleet.alive
        for _ in range(wanted):
            if self._may_start():
                self._start(now, request)

    def _floor_changed(self, now: int) -> None:
        floor = self.policy.floor_at(now / 1000)
        while self.fleet.alive < floor:
            self._start(now, None)
        if self.timeout is not None:
            self.fleet.stop_surplus(now, timeout_us=self.timeout)


def _floor_changes(policy: Policy, start_us: int, end_us: int) -> list[int]:
    if isinstance(policy.min_workers, int):
        return []
    hours = {h for shift in policy.min_workers for h in (shift.from_hour, shift.to_hour % 24)}
    midnight = round(policy.midnight_ms * 1000)
    first_day, last_day = (start_us - midnight) // (24 * HOUR_US), (end_us - midnight) // (24 * HOUR_US)
    moments = (midnight + day * 24 * HOUR_US + round(h * HOUR_US) for day in range(first_day, last_day + 1) for h in hours)
    return sorted(m for m in moments if start_us < m <= end_us)
