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
    waiting = _Waiting(np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64), 0)
    origin = int(arrival[0]) if n else 0
    for begin in range(0, n, CHUNK):
        part = arrival[begin : begin + CHUNK]
        before, now = len(running), int(part[-1])
        ends = np.concatenate([running, part + service[begin : begin + CHUNK]])
        ahead = np.flatnonzero(ends > now)
        running, ends = ends[ahead], np.delete(ends, ahead)
        # The lowest bit tells arrivals (1) from completions (0) and lets completions of the same microsecond go first. Where the chunk
        # is shorter than half an hour, half as many bits are sorted in half the time.
        keys: npt.NDArray[Any] = np.concatenate([(ends - origin) << 1, (part - origin) << 1 | 1]).astype(
            np.uint32 if now - origin < 1 << 31 else np.int64
        )
        keys.sort()
        arrives = (keys & 1).astype(np.bool_)
        up, down = np.flatnonzero(arrives), np.flatnonzero(~arrives)
        done = (keys[down] >> 1).astype(np.int64) + origin
        # Of the first p events, i were arrivals: so many are in progress. Written for both kinds without a running sum.
        up = 2 * np.arange(len(up)) - up + before
        down = down - 2 * np.arange(len(down)) + (before - 1)
        idle[begin : begin + len(part)], waiting = _matched(part, up, done, down, waiting)
        in_progress[begin : begin + len(part)] = up
        origin = now  # everything in progress ends after it
    return Ages(idle, in_progress)


class _Waiting(NamedTuple):
    """Completions that no arrival has followed yet at their level, and how many levels were ever reached."""

    at: Ints
    level: Ints
    levels: int


def _matched(arrival: Ints, arrival_level: Ints, done: Ints, done_level: Ints, waiting: _Waiting) -> tuple[Ints, _Waiting]:
    """At every level the i-th arrival follows the i-th completion: sorted by level, the two line up."""
    levels = max(waiting.levels, int(arrival_level.max()) + 1)
    new = np.arange(waiting.levels, levels)
    # Small integers are sorted by radix, in linear time.
    narrow = np.uint8 if levels < 256 else np.uint16 if levels < 65_536 else np.int32
    level = np.concatenate([waiting.level, new, done_level]).astype(narrow)
    by_level = np.argsort(level, kind="stable")
    completions = np.concatenate([waiting.at, np.full(len(new), -NEVER_US), done])[by_level]
    arrivals = np.argsort(arrival_level.astype(narrow), kind="stable")
    many = np.bincount(level, minlength=levels)
    unmet = np.flatnonzero(many > np.bincount(arrival_level, minlength=levels))
    last = np.cumsum(many)[unmet] - 1
    ages = np.empty(len(arrival), dtype=np.int64)
    ages[arrivals] = arrival[arrivals] - np.delete(completions, last)
    return ages, _Waiting(completions[last], unmet, levels)


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
    flags = ages_us(arrival, service).cold(idle_timeout_s=idle_timeout_s, min_workers=min_workers)
    while extra.any():
        again = ages_us(arrival, service + np.where(flags, extra, 0)).cold(idle_timeout_s=idle_timeout_s, min_workers=min_workers)
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
