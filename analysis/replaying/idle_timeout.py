"""
The idle time-out, read off a log: the change point between the longest warm gap and the shortest cold gap.

A request's gap is how long the worker it would take, by newest-idle-first routing, had been idle (replay_identity). Below the time-out a
request is warm, from it on cold. Platforms state round figures and keep others (Lambda's "10 minutes" was 629 to 655 s in the logs of
pacslab/serverless-performance-modeling, and moved sixfold in two years): so it is estimated, never assumed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from analysis.replay import check_sorted, durations, microseconds
from analysis.replaying.arrivals import Arrivals
from analysis.replaying.identity import NEVER_US, ages_us
from analysis.replaying.result import US_PER_S, Flags, Ints
from trial.errors import ConfigError
from trial.records import Estimate

METHOD = "change point of idle gaps"


@dataclass(frozen=True, slots=True, kw_only=True)
class IdleTimeout:
    """
    The estimate and how well it describes the log.

    Args:
        low_s, high_s: the time-out lies between this gap, the last one on the warm side, and this one, the first on the cold side.
            0 or infinity where the log has no such gap.
        best_s: the middle; None where one side is open.
        gaps: requests that tell something.
        warm_beyond, cold_within: the misfits: warm in spite of a longer gap, cold in spite of a shorter one.
        range_s: every change point that describes the log as well: its misfits are a count, so those within two standard deviations
            (2 sqrt(n)) of the fewest cannot be told from it. The bracket itself where nothing misfits.
    """

    low_s: float
    best_s: float | None
    high_s: float
    gaps: int
    warm_beyond: int
    cold_within: int
    range_s: tuple[float, float]

    @property
    def misfits(self) -> int:
        return self.warm_beyond + self.cold_within

    def as_estimate(self) -> Estimate:
        return Estimate(low=self.range_s[0], best=self.best_s, high=self.range_s[1], n=self.gaps, method=METHOD)

    def sentence(self) -> str:
        """For people, in one line."""
        if self.best_s is None:
            if math.isinf(self.high_s):
                return f"the log shows no idle time-out up to {self.low_s:.0f} s ({self.gaps:,} gaps)"
            return f"every gap was cold, down to {self.high_s:.0f} s ({self.gaps:,} gaps): the idle time-out is shorter"
        return (
            f"idle time-out {self.best_s:.0f} s, between {self.low_s:.0f} and {self.high_s:.0f} s, "
            f"with {self.misfits:,} misfits among {self.gaps:,} gaps"
        )


def estimate_idle_timeout(
    arrival_ms: npt.ArrayLike,
    end_ms: npt.ArrayLike,
    cold: npt.ArrayLike,
    *,
    known: npt.ArrayLike | None = None,
    min_workers: int = 0,
    concurrency: int = 1,
) -> IdleTimeout:
    """
    Estimates it from one endpoint's log.

    Args:
        arrival_ms, end_ms: of every request, pings and failures included, sorted by arrival.
        cold: did it meet an instance that was not ready?
        known: which of the flags are known; the others only keep workers busy.
        min_workers: what the platform kept warm anyway: requests below it tell nothing.
        concurrency: with more than one request per worker, only requests that found nothing in progress tell something.

    Raises:
        ConfigError: unsorted, or lengths that differ.
    """
    arrival, end = microseconds("arrival_ms", arrival_ms, least=None), microseconds("end_ms", end_ms, least=None)
    flags = np.asarray(cold, dtype=np.bool_)
    use = np.ones(len(flags), np.bool_) if known is None else np.asarray(known, dtype=np.bool_)
    if not len(arrival) == len(end) == len(flags) == len(use):
        raise ConfigError(f"{len(arrival)} arrivals, {len(end)} ends and {len(flags)} cold flags: one each is needed")
    check_sorted(arrival)
    took = durations(np.maximum(end - arrival, 0) / 1000)
    idle, use = _telling(arrival, took, use, min_workers=min_workers, concurrency=concurrency)
    return from_gaps(idle[use], flags[use])


def estimate_of(seen: Arrivals, *, min_workers: int = 0, concurrency: int = 1) -> IdleTimeout | None:
    """As `estimate_idle_timeout`, of a trial's arrivals; None where nothing was observed."""
    found = gaps_of(seen, min_workers=min_workers, concurrency=concurrency)
    return None if found is None else from_gaps(found.idle_us, found.cold)


class Gaps(NamedTuple):
    """Idle gaps that tell something, whether the request after each was cold, and the number of its day."""

    idle_us: Ints
    cold: Flags
    day: Ints


def gaps_of(seen: Arrivals, *, min_workers: int = 0, concurrency: int = 1) -> Gaps | None:
    """A trial's gaps; None where nothing was observed. Arguments as for the estimate."""
    if seen.cold is None or seen.telling is None or seen.ended_ms is None:
        return None
    arrival = np.rint(seen.arrival_ms * 1000).astype(np.int64)
    took = np.maximum(np.rint((seen.ended_ms - seen.arrival_ms) * 1000).astype(np.int64), 1)
    idle, use = _telling(arrival, took, seen.telling, min_workers=min_workers, concurrency=concurrency)
    return Gaps(idle[use], seen.cold[use], seen.day[use])


def _telling(arrival: Ints, took: Ints, known: Flags, *, min_workers: int, concurrency: int) -> tuple[Ints, Flags]:
    """How long the worker of each request had been idle, and which of them tell something."""
    measured = ages_us(arrival, took)
    use = known & (measured.idle_us < NEVER_US) & (measured.in_progress >= min_workers)
    if concurrency > 1:
        use &= measured.in_progress == 0
    return measured.idle_us, use


def from_gaps(gap_us: Ints, cold: Flags) -> IdleTimeout:
    """
    The change point with the fewest misfits; among equals, the longest.

    A warm request proves that its worker was kept that long, while a cold one may have met a worker that was taken away early.
    """
    order = np.argsort(gap_us, kind="stable")
    gap, cold = gap_us[order], cold[order]
    edges = np.concatenate(([0], np.flatnonzero(np.diff(gap)) + 1, [len(gap)]))  # thresholds only between different gaps
    colds = np.concatenate(([0], np.cumsum(cold)))
    cold_within = colds[edges]
    warm_beyond = (len(gap) - edges) - (colds[-1] - cold_within)
    low = np.concatenate(([0.0], gap / US_PER_S))[edges]
    high = np.concatenate((gap / US_PER_S, [math.inf]))[edges]
    misfits = cold_within + warm_beyond
    at = int(np.flatnonzero(misfits == misfits.min())[-1])
    as_well = np.flatnonzero(misfits <= misfits.min() + 2 * math.sqrt(misfits.min()))
    return IdleTimeout(
        low_s=float(low[at]),
        best_s=float(low[at] + high[at]) / 2 if 0 < at < len(edges) - 1 else None,
        high_s=float(high[at]),
        gaps=len(gap),
        warm_beyond=int(warm_beyond[at]),
        cold_within=int(cold_within[at]),
        # Beyond the longest gap the log says nothing.
        range_s=(float(low[as_well[0]]), float(min(high[as_well[-1]], max(high[at], low[-1])))),
    )
