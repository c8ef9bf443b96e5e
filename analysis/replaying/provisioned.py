"""
Provisioned workers beside scale per request, in two passes: they are asked first, and what they cannot take is all the others see.

So which requests they take depends on nothing behind them, and the rest go through the stack as if they were all there is.
"""

from __future__ import annotations

from dataclasses import fields, replace
from heapq import heappop, heappush

import numpy as np

from analysis.replaying import stack
from analysis.replaying.events import Outcome
from analysis.replaying.policies import Policy
from analysis.replaying.result import Ints, Workers

NONE = -1


def fits(policy: Policy) -> bool:
    """Whether these passes can replay the policy."""
    return policy.provisioned > 0 and stack.fits(replace(policy, provisioned=0))


def run(
    policy: Policy, *, arrival: Ints, service: Ints, cold_extra: Ints, start_us: int, end_us: int, compiled: bool | None = None
) -> Outcome:
    """Replays the arrivals; see stack.run for the arguments."""
    taker = _taken(arrival, service, start_us=start_us, count=policy.provisioned)
    over = np.flatnonzero(taker == NONE)
    rest = stack.run(
        replace(policy, provisioned=0),
        arrival=arrival[over],
        service=service[over],
        cold_extra=cold_extra[over],
        start_us=start_us,
        end_us=end_us,
        compiled=compiled,
    )
    n = len(arrival)
    cold, waited = np.zeros(n, dtype=np.bool_), np.zeros(n, dtype=np.int64)
    cold[over], waited[over] = rest.cold, rest.waited_us
    taken = taker != NONE
    took = service[taken]
    pinned = Workers.kept(policy.provisioned, taker[taken], done_us=arrival[taken] + took, took_us=took, start_us=start_us, end_us=end_us)
    lives = {f.name: np.concatenate([getattr(pinned, f.name), getattr(rest.workers, f.name)]) for f in fields(Workers)}
    workers = Workers(**lives).in_order()
    return Outcome(cold=cold, trigger=cold, waited_us=waited, rejected=np.zeros(n, dtype=np.bool_), workers=workers)


def _taken(arrival: Ints, service: Ints, *, start_us: int, count: int) -> np.ndarray:
    """The provisioned worker that takes each request, the newest idle one; NONE where all are busy."""
    bits = count.bit_length()
    low = (1 << bits) - 1
    out = np.empty(len(arrival), dtype=np.int32)
    idle = list(range(count))
    busy = [stack.NEVER]  # (moment it is done - start) << bits | worker
    for begin in range(0, len(arrival), stack.CHUNK):
        chunk = slice(begin, begin + stack.CHUNK)
        # A worker that is done at the moment of an arrival takes it: hence the mask.
        moments = (((arrival[chunk] - start_us) << bits) | low).tolist()
        durations = ((service[chunk] << bits) - low).tolist()
        takers: list[int] = []
        for now, duration in zip(moments, durations, strict=True):
            while busy[0] <= now:
                idle.append(heappop(busy) & low)
            if idle:
                worker = idle.pop()
                heappush(busy, now + duration + worker)
                takers.append(worker)
            else:
                takers.append(NONE)
        out[chunk] = takers
    return out
