"""
Concurrency and bursts in the observed log: how many requests at once, how fast workers came, and how long a burst hurt.

A burst is a run of minutes each of which brings at least FACTOR times the mean of the hour before it and of the whole log, and at least
LEAST requests; up to GAP_MINUTES minutes that break a run belong to it. The herd is the requests of a burst that met a cold worker.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt

from analysis.replaying.arrivals import Arrivals
from analysis.replaying.result import Flags, ReplayResult

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]

MINUTE_MS = 60_000.0
FACTOR = 5.0
LEAST = 10
GAP_MINUTES = 2
HOUR_MINUTES = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Burst:
    """
    One burst; times in ms on the arrivals' clock.

    Args:
        rate_before, peak_rate: requests a minute: mean of the hour before it, and its busiest minute.
        cold: its herd.
        absorbed_ms: from its first request until the last one of it that met a cold worker was served; 0 without any.
    """

    start_ms: float
    end_ms: float
    requests: int
    cold: int
    rate_before: float
    peak_rate: int
    absorbed_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Concurrency:
    """
    What the log says of concurrency and bursts.

    Args:
        peak_concurrent: most requests in progress at once, waiting ones included.
        starts_per_minute: most workers started within one minute; in a log that does not tell them apart, most cold requests.
        busiest_minute: most requests within one minute.
        cold_in_bursts: share of all cold hits that fell into bursts; None without cold hits.
        throttled: requests the platform turned away.
        origin_us: zero of the arrivals' clock after 1970; None where that is no calendar.
    """

    requests: int
    peak_concurrent: int
    busiest_minute: int
    starts_per_minute: int
    cold_hits: int
    cold_in_bursts: float | None
    throttled: int
    bursts: tuple[Burst, ...]
    origin_us: int | None = None

    def began(self, burst: Burst) -> datetime | None:
        """When a burst began, aware."""
        return (
            None if self.origin_us is None else datetime.fromtimestamp(self.origin_us / 1e6, UTC) + timedelta(milliseconds=burst.start_ms)
        )

    @property
    def slowest_absorbed_ms(self) -> float | None:
        """The longest any burst took to be absorbed."""
        return max((b.absorbed_ms for b in self.bursts), default=None)

    def sentence(self) -> str:
        """For people, in two sentences."""
        said = (
            f"at most {self.peak_concurrent:,} requests at once, {self.busiest_minute:,} in a minute, "
            f"{self.starts_per_minute:,} workers started in a minute, {self.throttled:,} throttled. "
        )
        if not self.bursts:
            return f"{said}No bursts"
        some = f"{len(self.bursts):,} burst" + "s" * (len(self.bursts) != 1)
        share = "" if self.cold_in_bursts is None else f" with {self.cold_in_bursts:.1%} of all cold hits"
        return f"{said}{some}{share}, the slowest absorbed in {(self.slowest_absorbed_ms or 0) / 1000:,.1f} s"

    def as_json(self) -> dict[str, Any]:
        worst = max(self.bursts, key=lambda b: b.absorbed_ms, default=None)
        return {
            "requests": self.requests,
            "peak_concurrent": self.peak_concurrent,
            "busiest_minute": self.busiest_minute,
            "starts_per_minute": self.starts_per_minute,
            "cold_hits": self.cold_hits,
            "cold_in_bursts": self.cold_in_bursts,
            "throttled": self.throttled,
            "bursts": len(self.bursts),
            "slowest_absorbed_ms": self.slowest_absorbed_ms,
            "worst_burst": None if worst is None else self._burst_json(worst),
        }

    def _burst_json(self, burst: Burst) -> dict[str, Any]:
        began = self.began(burst)
        named = {name: getattr(burst, name) for name in Burst.__dataclass_fields__}
        return named if began is None else {"began": began.isoformat(timespec="seconds"), **named}


def observed(arrivals: Arrivals) -> Concurrency:
    """From the trial's own log."""
    callers = ~arrivals.synthetic
    at = arrivals.arrival_ms[callers]
    cold = np.zeros(len(at), np.bool_) if arrivals.cold is None else arrivals.cold[callers]
    ended = at + arrivals.service_ms[callers] if arrivals.ended_ms is None else arrivals.ended_ms[callers]
    return replace(concurrency(at, ended, cold, throttled=arrivals.throttled), origin_us=arrivals.origin_us)


def replayed(result: ReplayResult) -> Concurrency:
    """From a replay: what the same bursts would have done under another setting."""
    callers = result.callers
    served = callers & ~result.rejected
    at = result.arrival_us[served] / 1000
    ended = at + (result.waited_us + result.service_us)[served] / 1000
    return concurrency(
        at, ended, result.cold[served], starts=result.trigger[served], throttled=int(np.count_nonzero(callers & result.rejected))
    )


def concurrency(
    arrival_ms: Floats,
    ended_ms: Floats,
    cold: Flags,
    *,
    starts: Flags | None = None,
    throttled: int = 0,
    factor: float = FACTOR,
    least: int = LEAST,
) -> Concurrency:
    """
    Peak, starts and bursts of sorted arrivals.

    Args:
        ended_ms: when each was done.
        cold: which met a cold worker.
        starts: which made one start; without it, the cold ones.
    """
    minutes = _per_minute(arrival_ms)
    found = tuple(_burst(first, last, minutes, arrival_ms, ended_ms, cold) for first, last in _runs(minutes, factor=factor, least=least))
    cold_hits = int(np.count_nonzero(cold))
    return Concurrency(
        requests=len(arrival_ms),
        peak_concurrent=_peak(arrival_ms, ended_ms),
        busiest_minute=_most_within_a_minute(arrival_ms),
        starts_per_minute=_most_within_a_minute(arrival_ms[cold if starts is None else starts]),
        cold_hits=cold_hits,
        cold_in_bursts=sum(b.cold for b in found) / cold_hits if cold_hits else None,
        throttled=throttled,
        bursts=found,
    )


def _per_minute(arrival_ms: Floats) -> Counts:
    """Requests in each minute from the first arrival on."""
    return np.bincount(((arrival_ms - arrival_ms[0]) // MINUTE_MS).astype(np.int64)) if len(arrival_ms) else np.zeros(0, np.int64)


def _before(minutes: Counts) -> Floats:
    """Mean requests a minute over the hour before each minute, or as much of an hour as there is."""
    total = np.concatenate(([0], np.cumsum(minutes)))
    here = np.arange(len(minutes))
    since = np.maximum(here - HOUR_MINUTES, 0)
    return (total[here] - total[since]) / np.maximum(here - since, 1)


def _runs(minutes: Counts, *, factor: float, least: int) -> list[tuple[int, int]]:
    """First and last minute of every burst. Inside one, the rate before it stays the measure."""
    before = np.maximum(_before(minutes), minutes.mean() if len(minutes) else 0.0)
    runs: list[tuple[int, int]] = []
    for minute in np.flatnonzero(minutes >= least).tolist():
        continues = bool(runs) and minute - runs[-1][1] <= GAP_MINUTES + 1
        measure = before[runs[-1][0]] if continues else before[minute]
        if minutes[minute] < factor * measure:
            continue
        if continues:
            runs[-1] = (runs[-1][0], minute)
        else:
            runs.append((minute, minute))
    return runs


def _burst(first: int, last: int, minutes: Counts, arrival_ms: Floats, ended_ms: Floats, cold: Flags) -> Burst:
    origin = float(arrival_ms[0])
    begin, end = origin + first * MINUTE_MS, origin + (last + 1) * MINUTE_MS
    inside = slice(*np.searchsorted(arrival_ms, (begin, end)).tolist())
    herd = cold[inside]
    start = float(arrival_ms[inside][0])
    return Burst(
        start_ms=start,
        end_ms=end,
        requests=int(minutes[first : last + 1].sum()),
        cold=int(np.count_nonzero(herd)),
        rate_before=float(_before(minutes)[first]),
        peak_rate=int(minutes[first : last + 1].max()),
        absorbed_ms=float(ended_ms[inside][herd].max()) - start if herd.any() else 0.0,
    )


def _peak(arrival_ms: Floats, ended_ms: Floats) -> int:
    if not len(arrival_ms):
        return 0
    done = np.searchsorted(np.sort(ended_ms), arrival_ms, side="right")
    return int((np.arange(1, len(arrival_ms) + 1) - done).max())


def _most_within_a_minute(at_ms: Floats) -> int:
    """Over all windows of a minute, wherever they begin."""
    if not len(at_ms):
        return 0
    return int((np.searchsorted(at_ms, at_ms + MINUTE_MS, side="left") - np.arange(len(at_ms))).max())
