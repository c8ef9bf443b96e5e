"""
The billed lives of instances, out of what the logs show of them, with what the logs leave open.

No platform logs the moment billing ends, and some not the moment it begins. Each life therefore has a best guess and two
bounds: the shortest life that the evidence allows and the longest.

    end    last request's end + idle time-out: exact where the time-out is a setting (RunPod), a range where the platform
           only promises "up to" (Cloud Run: nothing to 15 minutes)
    start  the platform's own start entry; where it gives none, the first sign of life, and at the earliest the arrival of the
           request that caused it. A process start (RunPod) has the container's start before it, in no log: at the earliest when
           the request that it served first arrived, where a job object tells that
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

from analysis.costing.busy import Busy, Intervals, gaps_over, within
from trial.records import Instance

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NONE = np.empty((0, 2), dtype=np.int64)
# A resumed worker may come back a moment after its time-out and still be the same life: the platform's clock is not ours.
_SLACK_US = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Idle:
    """How long an instance is kept after its last request, in microseconds."""

    low_us: int
    best_us: int
    high_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """
    One billed life, in microseconds since 1970.

    Args:
        start_us, end_us: the best guess; ready_us lies between them.
        shortest, longest: (start, end) of the shortest and the longest life the evidence allows.
        busy: when it served requests, disjoint and ascending.
        kept: a minimum, provisioned or dedicated instance.
    """

    id: str
    start_us: int
    ready_us: int
    end_us: int
    shortest: tuple[int, int]
    longest: tuple[int, int]
    busy: Intervals
    kept: bool = False

    def phases_us(self, begin: int, end: int) -> dict[str, int]:
        """Start, run and idle time inside [begin, end); their sum is the life's overlap with it."""
        begin, end = max(begin, self.start_us), min(end, self.end_us)
        if end <= begin:
            return {}
        start = max(0, min(end, self.ready_us) - begin)
        run = within(self.busy, begin + start, end)
        return {"start": start, "run": run, "min_instances" if self.kept else "idle": end - begin - start - run}


def lives(instances: Iterable[Instance], busy: Busy, *, idle: Idle, resumes: bool = False) -> list[Life]:
    """
    One life per instance, or several where the platform resumes a stopped instance under its id.

    The same instance appears on every day it was seen; its records are united first. Instances of which only requests are
    known count too. Requests without an instance are laid over workers by newest-idle-first routing.
    """
    found: list[Life] = []
    seen = _united(instances)
    for name, records in sorted(seen.items()):
        intervals = busy.by_instance.get(name, _NONE)
        for number, (record, mine) in enumerate(_shared(records, intervals)):
            arrival = busy.arrivals.get(name) if number == 0 else None
            found += _lives_of(record, mine, arrival, idle=idle, resumes=resumes)
    for owner, intervals in busy.by_instance.items():
        if owner is None:
            found += _anonymous(intervals, idle)
        elif owner not in seen:
            record = _Seen(id=owner, first=int(intervals[0, 0]), last=int(intervals[-1, 1]))
            found += _lives_of(record, intervals, busy.arrivals[owner], idle=idle, resumes=resumes)
    return sorted(found, key=lambda life: (life.start_us, life.id))


@dataclass(slots=True)
class _Seen:
    """What all days say of one instance; mutable while they are united."""

    id: str
    first: int
    last: int
    started: int | None = None
    ready: int | None = None
    init: int | None = None
    kept: bool = False


def _united(instances: Iterable[Instance]) -> dict[str, list[_Seen]]:
    """By id: one entry per start the platform reports, or one in all where it reports none."""
    found: dict[str, dict[int | None, _Seen]] = {}
    for item in instances:
        started = to_us(item.started_at) if item.started_at else None
        entries = found.setdefault(item.id, {})
        entry = entries.setdefault(
            started, _Seen(id=item.id, first=to_us(item.first_seen_at), last=to_us(item.last_seen_at), started=started)
        )
        entry.first, entry.last = min(entry.first, to_us(item.first_seen_at)), max(entry.last, to_us(item.last_seen_at))
        entry.ready = to_us(item.ready_at) if item.ready_at else entry.ready
        entry.init = round(item.init_ms * 1000) if item.init_ms is not None else entry.init
        entry.kept = entry.kept or any(word in (item.start_reason or "").lower() for word in ("min_instance", "provisioned"))
    for entries in found.values():
        _adopt(entries)
    return {name: sorted(entries.values(), key=lambda e: e.first) for name, entries in found.items()}


def _adopt(entries: dict[int | None, _Seen]) -> None:
    """Days on which the start was not seen belong to the start before them."""
    orphan = entries.get(None)
    if orphan is None or len(entries) == 1:
        return
    known = sorted((e for key, e in entries.items() if key is not None), key=lambda e: e.first)
    owner = next((e for e in reversed(known) if e.first <= orphan.last), known[0])
    owner.last = max(owner.last, orphan.last)
    del entries[None]


def _shared(records: list[_Seen], intervals: Intervals) -> list[tuple[_Seen, Intervals]]:
    """An id's busy intervals, each given to the last of its starts before it."""
    edges = np.searchsorted(intervals[:, 1], [r.first for r in records[1:]], "right")
    return list(zip(records, np.split(intervals, edges), strict=True))


def _lives_of(seen: _Seen, intervals: Intervals, arrival: int | None, *, idle: Idle, resumes: bool) -> list[Life]:
    parts = gaps_over(intervals, idle.high_us + _SLACK_US) if resumes and not seen.kept and len(intervals) else [intervals]
    return [
        _life(seen, part, arrival if number == 0 else None, idle=idle, first=number == 0, last=number == len(parts) - 1)
        for number, part in enumerate(parts)
    ]


def _life(seen: _Seen, busy: Intervals, arrival: int | None, *, idle: Idle, first: bool, last: bool) -> Life:
    begin = int(busy[0, 0]) if len(busy) else seen.first
    earliest, start, latest = _start(seen, begin, arrival) if first else (begin, begin, begin)
    ready = max(start, _ready(seen, begin) if first else begin)
    served = int(busy[-1, 1]) if len(busy) else ready
    signs = max(served, seen.last) if last else served
    end = max(signs, served + idle.best_us)
    return Life(
        id=seen.id,
        start_us=start,
        ready_us=min(ready, end),
        end_us=end,
        shortest=(latest, max(signs, served + idle.low_us)),
        longest=(earliest, max(signs, served + idle.high_us)),
        busy=busy,
        kept=seen.kept,
    )


def _start(seen: _Seen, begin: int, arrival: int | None) -> tuple[int, int, int]:
    """
    (earliest, best, latest).

    A reported process start has a container start before it, taken to be no longer than the start-up that is seen. A request that
    came before the process and was served by it waited for queue and container, which no log parts: half of the wait is the guess.
    """
    if seen.started is None:
        start = min(seen.first, begin)
        return min(start, arrival if arrival is not None else start), start, start
    hidden = seen.init if seen.init is not None and seen.ready is None else 0
    earliest = seen.started - hidden
    if not hidden or arrival is None or arrival >= seen.started:
        return earliest, seen.started, seen.started
    earliest = max(earliest, arrival)
    return earliest, (earliest + seen.started) // 2, seen.started


def _ready(seen: _Seen, begin: int) -> int:
    if seen.ready is not None:
        return min(seen.ready, begin)
    return min(begin, seen.started + seen.init) if seen.started is not None and seen.init is not None else begin


def _anonymous(intervals: Intervals, idle: Idle) -> list[Life]:
    """
    Requests that name no instance, as the workers they need at least: the newest idle one takes the next request.

    Under that routing the workers alive are exactly the peak of the requests in flight within the last time-out.
    """
    stays: list[list[tuple[int, int]]] = []
    free: list[tuple[int, int]] = []  # (idle since, worker), newest last
    running: list[tuple[int, int]] = []
    for begin, end in intervals.tolist():
        free = sorted([*free, *(item for item in running if item[0] <= begin)])
        running = [item for item in running if item[0] > begin]
        free = [item for item in free if item[0] + idle.best_us > begin]
        if free:
            worker = free.pop()[1]
        else:
            worker = len(stays)
            stays.append([])
        stays[worker].append((begin, end))
        running.append((end, worker))
    found = []
    for number, stay in enumerate(stays):
        start, last = stay[0][0], stay[-1][1]
        found.append(
            Life(
                id=f"?{number}",
                start_us=start,
                ready_us=start,
                end_us=last + idle.best_us,
                shortest=(start, last + idle.low_us),
                longest=(start, last + idle.high_us),
                busy=np.array(stay, dtype=np.int64),
            )
        )
    return found


def to_us(at: datetime) -> int:
    """An aware instant as microseconds since 1970, exact."""
    return (at - _EPOCH) // timedelta(microseconds=1)
