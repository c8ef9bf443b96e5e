"""
The event loop for scale per request with newest-idle-first routing: a heap of completions and a stack of idle workers.

Idle workers lie on the stack in the order in which they became idle, so the one on top is the newest and, once it has expired, all
below it have as well: no worker is ever searched for, and none is expired before somebody wants it. A worker's slot number travels in
the low bits of its completion time, which keeps the heap one of plain integers.
"""

from __future__ import annotations

import importlib.util
from heapq import heappop, heappush

import numpy as np

from analysis.replaying.events import Outcome
from analysis.replaying.policies import Policy
from analysis.replaying.result import Flags, Ints, Workers

SLOT_BITS = 18  # 262,144 workers alive at once; with it, 2.2 million years of microseconds would still be exact
SLOT_MASK = (1 << SLOT_BITS) - 1
CHUNK = 1 << 15  # requests turned into Python integers at a time: bounds the memory
NEVER = 1 << 200
COMPILED_FROM = 1_000_000  # below it, loading the compiled loop takes longer than it saves


def fits(policy: Policy) -> bool:
    """Whether this loop can replay the policy; replay_events can replay all of them."""
    return (
        isinstance(policy.min_workers, int)
        and policy.routing == "newest-idle"
        and policy.concurrency == 1
        and policy.max_workers is None
        and policy.scaler is None
        and not (policy.provisioned or policy.dedicated or policy.load_queueing)
    )


def run(
    policy: Policy, *, arrival: Ints, service: Ints, cold_extra: Ints, start_us: int, end_us: int, compiled: bool | None = None
) -> Outcome:
    """
    Replays the arrivals; see replay_events.run for the arguments.

    Args:
        compiled: through replay_compiled or not; None lets the number of arrivals and the presence of numba decide.
    """
    assert isinstance(policy.min_workers, int)
    timeout = None if policy.idle_timeout_s is None else round(policy.idle_timeout_s * 1e6)
    waited = np.zeros(len(arrival), dtype=np.int64)
    if compiled or (compiled is None and len(arrival) >= COMPILED_FROM and importlib.util.find_spec("numba") is not None):
        from analysis.replaying import compiled as replay_compiled

        if replay_compiled.fits(arrival, service, cold_extra, start_us=start_us):
            cold, rows, stay = replay_compiled.run(
                arrival, service, cold_extra, start_us=start_us, timeout_us=timeout, floor=policy.min_workers
            )
            waited[cold] = cold_extra[cold]
            return _outcome(cold, waited, _from_rows(rows, stay, timeout_us=timeout, end_us=end_us))
    slot, kept = _loop(arrival, service, cold_extra, start_us=start_us, timeout_us=timeout, floor=policy.min_workers)
    cold = slot < 0
    np.invert(slot, out=slot, where=cold)
    waited[cold] = cold_extra[cold]
    lives = _lives(slot, cold, arrival, waited, service + waited, timeout_us=timeout, start_us=start_us, end_us=end_us, kept=kept)
    return _outcome(cold, waited, lives)


def _outcome(cold: Flags, waited: Ints, lives: Workers) -> Outcome:
    return Outcome(cold=cold, trigger=cold, waited_us=waited, rejected=np.zeros(len(cold), np.bool_), workers=lives)


def _from_rows(rows: Ints, stay: Flags, *, timeout_us: int | None, end_us: int) -> Workers:
    started, ready, busy_until, busy, requests = rows.T
    stops = busy_until if timeout_us is None else busy_until + timeout_us
    return Workers(
        started_us=started,
        ready_us=ready,
        busy_until_us=busy_until,
        ended_us=np.where(stay, np.maximum(busy_until, end_us), stops),
        busy_us=busy,
        requests=requests,
        pinned=np.zeros(len(rows), dtype=np.bool_),
    )


def _loop(
    arrival: Ints, service: Ints, cold_extra: Ints, *, start_us: int, timeout_us: int | None, floor: int
) -> tuple[np.ndarray, list[int]]:
    """
    Returns:
        each request's slot, as ~slot where it started a worker; and the slots whose worker is kept at the end.
    """
    n = len(arrival)
    out = np.empty(n, dtype=np.int32)
    busy: list[int] = [NEVER]
    idle: list[int] = list(range(floor))
    free: list[int] = []
    slots = floor
    # Warm as long as idle < timeout: at the time-out itself the worker is gone.
    limit = NEVER >> 1 if timeout_us is None else ((timeout_us - 1) << SLOT_BITS) + SLOT_MASK
    no_worker = -(NEVER >> 1)
    push, pop = idle.append, idle.pop
    for begin in range(0, n, CHUNK):
        chunk = slice(begin, begin + CHUNK)
        # Every completion up to and including the moment of arrival frees its worker: hence the mask added to the arrival.
        moments = (((arrival[chunk] - start_us) << SLOT_BITS) | SLOT_MASK).tolist()
        durations = ((service[chunk] << SLOT_BITS) - SLOT_MASK).tolist()
        taken: list[int] = []
        take = taken.append
        for now, duration in zip(moments, durations, strict=True):
            if busy[0] <= now:
                newest = heappop(busy)
                while busy[0] <= now:
                    push(newest)
                    newest = heappop(busy)
            elif idle:
                newest = pop()
            else:
                newest = no_worker
            if now - newest <= limit:
                slot = newest & SLOT_MASK
                heappush(busy, now + duration + slot)
                take(slot)
                continue
            if newest != no_worker:
                push(newest)
                surplus = min(len(busy) - 1 + len(idle) - floor, len(idle))
                free.extend([worker & SLOT_MASK for worker in idle[:surplus]])
                del idle[:surplus]
                if idle:  # min_workers kept it
                    slot = pop() & SLOT_MASK
                    heappush(busy, now + duration + slot)
                    take(slot)
                    continue
            if free:
                slot = free.pop()
            else:
                slot, slots = slots, slots + 1
                if slot > SLOT_MASK:
                    raise OverflowError(f"more than {SLOT_MASK + 1} workers alive at once")
            extra = int(cold_extra[begin + len(taken)]) << SLOT_BITS
            heappush(busy, now + duration + extra + slot)
            take(~slot)
        out[chunk] = taken
    rest = idle + sorted(worker for worker in busy if worker != NEVER)
    kept = rest[len(rest) - floor :] if timeout_us is not None else rest
    return out, [worker & SLOT_MASK for worker in kept]


def _lives(
    slot: np.ndarray,
    cold: np.ndarray,
    arrival: Ints,
    waited: Ints,
    took: Ints,
    *,
    timeout_us: int | None,
    start_us: int,
    end_us: int,
    kept: list[int],
) -> Workers:
    """A slot's requests in order fall into lives: each cold one begins the next; requests before the first belong to min_workers."""
    narrow = slot.astype(np.uint8 if len(slot) and slot.max() < 256 else np.uint16 if len(slot) and slot.max() < 65536 else np.int32)
    order = np.argsort(narrow, kind="stable")
    grouped = narrow[order]
    begins = cold[order]
    begins[0:1] = True
    begins[1:] |= grouped[1:] != grouped[:-1]
    first = np.flatnonzero(begins)
    last = np.append(first[1:], len(order))[: len(first)] - 1
    from_start = ~cold[order[first]]
    started = np.where(from_start, start_us, arrival[order[first]])
    busy_until = arrival[order[last]] + took[order[last]]
    # In `last` order a slot's final life is the one before the slot changes.
    final = np.append(grouped[last[:-1]] != grouped[last[:-1] + 1], True) if len(last) else np.zeros(0, np.bool_)
    keeps = np.zeros(int(slot.max(initial=-1)) + 1, np.bool_)
    keeps[[k for k in kept if k < len(keeps)]] = True
    stays = final & keeps[grouped[last]]
    stops = busy_until if timeout_us is None else busy_until + timeout_us
    busy = np.add.reduceat(took[order], first) if len(first) else np.zeros(0, np.int64)
    unused = sorted(set(kept) - set(grouped[first].tolist()))
    idle = np.full(len(unused), start_us, dtype=np.int64)
    nothing = np.zeros(len(unused), dtype=np.int64)
    lives = Workers(
        started_us=np.concatenate([idle, started]),
        ready_us=np.concatenate([idle, started + np.where(from_start, 0, waited[order[first]])]),
        busy_until_us=np.concatenate([idle, busy_until]),
        ended_us=np.concatenate([np.full(len(unused), end_us), np.where(stays, np.maximum(busy_until, end_us), stops)]),
        busy_us=np.concatenate([nothing, busy]),
        requests=np.concatenate([nothing, last - first + 1]),
        pinned=np.zeros(len(unused) + len(first), dtype=np.bool_),
    )
    return lives.in_order()
