"""Dedicated instances with one queue before them: first come, first served, by whoever is free first."""

from __future__ import annotations

from heapq import heapify, heapreplace

import numpy as np

from analysis.replaying.events import Outcome
from analysis.replaying.policies import Policy
from analysis.replaying.result import Ints, Workers

CHUNK = 1 << 15


def fits(policy: Policy) -> bool:
    """Whether this loop can replay the policy."""
    return policy.dedicated is not None and policy.concurrency == 1 and policy.overflow == "queue"


def run(policy: Policy, *, arrival: Ints, service: Ints, start_us: int, end_us: int) -> Outcome:
    """Replays the arrivals; see replay_events.run for the arguments."""
    assert policy.dedicated is not None
    count, n = policy.dedicated, len(arrival)
    bits = count.bit_length()
    low = (1 << bits) - 1
    free = list(range(count))  # (moment it is free - start) << bits | instance
    heapify(free)
    waited = np.empty(n, dtype=np.int64)
    instance = np.empty(n, dtype=np.int32)
    for begin in range(0, n, CHUNK):
        chunk = slice(begin, begin + CHUNK)
        waits: list[int] = []
        takers: list[int] = []
        for now, duration in zip((arrival[chunk] - start_us).tolist(), service[chunk].tolist(), strict=True):
            at, taker = free[0] >> bits, free[0] & low
            begins = max(now, at)
            heapreplace(free, (begins + duration) << bits | taker)
            waits.append(begins - now)
            takers.append(taker)
        waited[chunk], instance[chunk] = waits, takers
    none = np.zeros(n, dtype=np.bool_)
    done = arrival + waited + service
    lives = Workers.kept(count, instance, done_us=done, took_us=service, start_us=start_us, end_us=end_us)
    return Outcome(cold=none, trigger=none, waited_us=waited, rejected=none, workers=lives)
