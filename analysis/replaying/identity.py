"""
The cold flags without simulating a worker: the exact sliding-maximum identity for scale per request, newest idle first.

With N(t) requests in progress, a floor of m workers and the idle time-out T, a request at t is cold if and only if

    max(m, sup over [t - T, t) of N(s)) <= N(t-)

for any arrivals and durations, as long as the durations do not depend on the outcome. The supremum exceeds N(t-) = k exactly when the
last completion that took N from k + 1 to k lies less than T back, for since then N was at most k. So each request has one number, the
age of that completion, that answers for every T and m at once: cold = (age >= T) and (k >= m).

Arrivals at k and completions to k alternate, level by level: sorting all events by level, stably, puts each arrival right behind its
completion. No heap, no stack, no worker: an independent check of the event loop, and the way to sweep many settings.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from analysis.replay import check_sorted, durations, microseconds
from analysis.replaying.result import Flags, Ints

Levels = npt.NDArray[np.integer[Any]]

CHUNK = 1 << 13  # fits the second-level cache: twice as fast as all at once
NEVER_US = 1 << 61


class Ages(NamedTuple):
    """
    What decides coldness, per request.

    Args:
        idle_us: how long ago a worker became free that is the newest idle one at the arrival; NEVER_US or more if there was none yet.
        in_progress: requests in progress just before the arrival.
    """

    idle_us: Ints
    in_progress: npt.NDArray[np.int32]

    def cold(self, *, idle_timeout_s: float | None, min_workers: int = 0) -> Flags:
        """The cold flags at one time-out and floor."""
        timeout = NEVER_US if idle_timeout_s is None else round(idle_timeout_s * 1e6)
        flags = self.idle_us >= timeout
        if min_workers:
            flags &= self.in_progress >= min_workers
        return flags


def ages(arrival_ms: npt.ArrayLike, service_ms: npt.ArrayLike) -> Ages:
    """
    Ages for all requests.

    Args:
        arrival_ms: sorted.
        service_ms: how long each request kept its worker, start-up included if it was cold.

    Raises:
        ConfigError: as `analysis.replay.replay`.
    """
    arrival, service = microseconds("arrival_ms", arrival_ms, least=None), durations(service_ms)
    check_sorted(arrival)
    return ages_us(arrival, service)


def ages_us(arrival: Ints, service: Ints) -> Ages:
    """As `ages`, from sorted whole microseconds; every service takes at least one."""
    n = len(arrival)
    idle, in_progress = np.empty(n, dtype=np.int64), np.empty(n, dtype=np.int32)
    running = np.empty(0, dtype=np.int64)  # completions still ahead at the end of a chunk
    waiting = np.empty(0, dtype=np.int64)  # from the level len(running) up: completions that no arrival has followed there yet
    origin = int(arrival[0]) if n else 0
    for begin in range(0, n, CHUNK):
        part = arrival[begin : begin + CHUNK]
        ends = np.concatenate([running, part + service[begin : begin + CHUNK]])
        before, up, down, done, running = _merged(part, ends, origin)
        chunk = slice(begin, begin + len(part))
        idle[chunk], waiting = _matched(part, up, done, down, waiting, before=before, left=len(running))
        in_progress[chunk] = up
        origin = int(part[-1])  # everything in progress ends after it
    return Ages(idle, in_progress)


def _merged(part: Ints, ends: Ints, origin: int) -> tuple[int, Levels, Levels, Ints, Ints]:
    """
    Arrivals and completions in one order.

    Returns:
        requests in progress at the start, in progress before each arrival, and after each completion up to the last arrival; those
        completions' times; the times of the completions after it.
    """
    many, before = len(part), len(ends) - len(part)
    # The lowest bit tells arrivals (1) from completions (0) and lets completions of the same microsecond go first. Where all lie within
    # half an hour, half as many bits are sorted in half the time.
    keys: npt.NDArray[Any] = np.empty(many + len(ends), np.uint32 if int(ends.max()) - origin < 1 << 31 else np.int64)
    np.subtract(ends, origin, out=keys[: len(ends)], casting="unsafe")
    np.subtract(part, origin, out=keys[len(ends) :], casting="unsafe")
    keys <<= 1
    keys[len(ends) :] |= 1
    keys.sort()
    arrives = (keys & 1).astype(np.bool_)
    keys >>= 1
    up = np.flatnonzero(arrives)
    past = int(up[-1]) + 1
    down = np.flatnonzero(~arrives[:past])
    # Of the first p events, i were arrivals: 2 i - p + before are in progress. The same for both kinds, without a running sum, in
    # integers that may overflow on the way: what comes out fits again.
    narrow: Any = np.uint16 if len(ends) < 1 << 16 else np.int32
    twice = np.arange(0, 2 * len(ends), 2).astype(narrow)
    up_level: Levels = twice[:many] - up.astype(narrow)
    up_level += narrow(before)
    down_level: Levels = down.astype(narrow) - twice[: len(down)]
    down_level += narrow(before)
    down_level -= narrow(1)
    return before, up_level, down_level, keys[down].astype(np.int64) + origin, keys[past:].astype(np.int64) + origin


def _matched(
    arrival: Ints, arrival_level: Levels, done: Ints, done_level: Levels, waiting: Ints, *, before: int, left: int
) -> tuple[Ints, Ints]:
    """
    At every level the i-th arrival follows the i-th completion: sorted by level, the two line up.

    From `left` up, the number in progress at the end, the last completion of a level has no arrival behind it: one at time 0 stands in.
    """
    lowest, top = int(arrival_level.min()), max(before, int(arrival_level.max()) + 1)
    # Small integers are sorted by radix, in linear time.
    narrow = np.uint8 if top - lowest <= 256 else arrival_level.dtype.type
    reached, above = waiting[: top - before], waiting[top - before :]
    levels = np.empty(top - before + len(done), dtype=narrow)
    levels[: top - before] = np.arange(before - lowest, top - lowest)
    np.subtract(done_level, lowest, out=levels[top - before :], casting="unsafe")
    completions = np.full(len(levels), -NEVER_US)
    completions[: len(reached)], completions[top - before :] = reached, done
    completions = completions[np.argsort(levels, kind="stable")]
    levels = np.empty(len(arrival) + top - left, dtype=narrow)
    np.subtract(arrival_level, lowest, out=levels[: len(arrival)], casting="unsafe")
    levels[len(arrival) :] = np.arange(left - lowest, top - lowest)
    arrivals = np.zeros(len(levels), dtype=np.int64)
    arrivals[: len(arrival)] = arrival
    by_level = np.argsort(levels, kind="stable")
    ages = np.empty(len(levels), dtype=np.int64)
    ages[by_level] = arrivals[by_level] - completions
    return ages[: len(arrival)], np.concatenate([-ages[len(arrival) :], above])


def cold_flags(
    arrival_ms: npt.ArrayLike,
    service_ms: npt.ArrayLike,
    *,
    idle_timeout_s: float | None,
    min_workers: int = 0,
    cold_extra_ms: npt.ArrayLike = 0.0,
) -> Flags:
    """
    Cold flags where a cold start also lengthens its request.

    Durations then depend on the flags, so the identity is applied to its own answer until it stands still. A fixed point is the one
    answer there is: the first request whose flag was wrong would have had the same past under both. Each round settles at least one
    more request, and in practice a handful of rounds settle all.
    """
    arrival, service = microseconds("arrival_ms", arrival_ms, least=None), durations(service_ms)
    check_sorted(arrival)
    extra = microseconds("cold_extra_ms", np.broadcast_to(np.asarray(cold_extra_ms), arrival.shape))
    return cold_flags_us(arrival, service, extra, idle_timeout_s=idle_timeout_s, min_workers=min_workers)


def cold_flags_us(arrival: Ints, service: Ints, cold_extra: Ints, *, idle_timeout_s: float | None, min_workers: int = 0) -> Flags:
    """As `cold_flags`, from sorted whole microseconds."""
    flags = ages_us(arrival, service).cold(idle_timeout_s=idle_timeout_s, min_workers=min_workers)
    while cold_extra.any():
        lengthened = service.copy()
        lengthened[flags] += cold_extra[flags]
        again = ages_us(arrival, lengthened).cold(idle_timeout_s=idle_timeout_s, min_workers=min_workers)
        if np.array_equal(again, flags):
            break
        flags = again
    return flags


class SweepRow(NamedTuple):
    """One setting of a sweep: exact where a cold start does not lengthen its request, and close where it seldom does."""

    idle_timeout_s: float
    min_workers: int
    cold: int
    idle_seconds: float


def sweep(measured: Ages, *, idle_timeouts_s: list[float], floors: list[int]) -> list[SweepRow]:
    """Cold hits, and the idle seconds before a next request, for every time-out and floor, from one computation of the ages."""
    rows = []
    for floor in floors:
        kept = measured.in_progress < floor
        ages_above = np.sort(measured.idle_us[~kept])
        below = measured.idle_us[kept]
        always = float(below[below < NEVER_US].sum()) / 1e6
        running = np.concatenate([[0.0], np.cumsum(ages_above, dtype=np.float64)]) / 1e6
        known = int(np.searchsorted(ages_above, NEVER_US))
        for timeout in idle_timeouts_s:
            warm = int(np.searchsorted(ages_above, round(timeout * 1e6)))
            idle = always + float(running[warm]) + (known - warm) * timeout
            rows.append(SweepRow(timeout, floor, len(ages_above) - warm, idle))
    return rows
