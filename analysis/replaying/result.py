"""What a replay found: an outcome per request, a life per worker, and the sums both give."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from analysis.replaying.policies import Policy

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

US_PER_S = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Workers:
    """
    One entry per worker, in order of creation. Times in whole microseconds on the arrivals' clock.

    Args:
        started_us: when it started; the start of the horizon for workers that were there before.
        ready_us: when it could first serve.
        busy_until_us: when it last stopped starting or serving.
        ended_us: when it stopped; the end of the horizon for those that min_workers or the policy keeps.
        busy_us: starting or serving at least one request.
        requests: served, synthetic ones included.
        pinned: provisioned or dedicated: neither started by a request nor stopped.
    """

    started_us: Ints
    ready_us: Ints
    busy_until_us: Ints
    ended_us: Ints
    busy_us: Ints
    requests: Ints
    pinned: Flags

    @classmethod
    def kept(cls, count: int, by: npt.NDArray[np.int32], *, done_us: Ints, took_us: Ints, start_us: int, end_us: int) -> Workers:
        """
        Provisioned or dedicated ones, which live as long as the horizon, or until they are done, if that is later.

        Args:
            by: which of them served each request.
            done_us, took_us: when each request was done, and how long it took.
        """
        start = np.full(count, start_us, dtype=np.int64)
        busy_until, busy = start.copy(), np.zeros(count, dtype=np.int64)
        np.maximum.at(busy_until, by, done_us)
        np.add.at(busy, by, took_us)
        return cls(
            started_us=start,
            ready_us=start,
            busy_until_us=busy_until,
            ended_us=np.maximum(busy_until, end_us),
            busy_us=busy,
            requests=np.bincount(by, minlength=count),
            pinned=np.ones(count, dtype=np.bool_),
        )

    def __len__(self) -> int:
        return len(self.started_us)

    @property
    def alive_us(self) -> Ints:
        return self.ended_us - self.started_us

    @property
    def idle_us(self) -> Ints:
        return self.alive_us - self.busy_us

    def in_order(self) -> Workers:
        """The same workers, ordered by their start."""
        order = np.argsort(self.started_us, kind="stable")
        return Workers(**{f.name: getattr(self, f.name)[order] for f in fields(self)})

    @property
    def peak(self) -> int:
        """Most workers alive at once."""
        starts, ends = np.sort(self.started_us), np.sort(self.ended_us)
        if not len(starts):
            return 0
        return int((np.arange(1, len(starts) + 1) - np.searchsorted(ends, starts, side="right")).max())


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReplayResult:
    """
    One policy replayed on one series of arrivals. Per-request arrays follow the arrivals, pings merged in by time.

    Args:
        arrival_us, service_us: as replayed, whole microseconds.
        cold: served by a worker that was not ready when the request came: a cold hit.
        trigger: the request made a worker start. Without queueing on a starting worker, the same as `cold`.
        waited_us: from arrival until the handler began; 0 where rejected.
        rejected: came while max_workers were busy.
        synthetic: keep-warm pings, the policy's own and those in the arrivals: in no rate.
        horizon_us: averages are over this span.
    """

    policy: Policy
    arrival_us: Ints
    service_us: Ints
    cold: Flags
    trigger: Flags
    waited_us: Ints
    rejected: Flags
    synthetic: Flags
    workers: Workers
    horizon_us: tuple[int, int]

    @property
    def callers(self) -> Flags:
        """Which entries are real requests."""
        return ~self.synthetic

    @property
    def requests(self) -> int:
        return int(np.count_nonzero(self.callers))

    @property
    def cold_hits(self) -> int:
        return int(np.count_nonzero(self.cold & self.callers))

    @property
    def triggers(self) -> int:
        return int(np.count_nonzero(self.trigger & self.callers))

    @property
    def rejections(self) -> int:
        return int(np.count_nonzero(self.rejected & self.callers))

    @property
    def warm(self) -> int:
        return self.requests - self.cold_hits - self.rejections

    @property
    def cold_hit_rate(self) -> float:
        return self.cold_hits / self.requests if self.requests else 0.0

    @property
    def waited_for_load(self) -> Flags:
        """Cold hits that waited for a start another request had triggered."""
        return self.cold & ~self.trigger

    def waited_ms(self) -> dict[str, float]:
        """Percentiles of waiting over the callers that were served, in ms."""
        served = self.waited_us[self.callers & ~self.rejected]
        if not len(served):
            return {"p50": 0.0, "p95": 0.0, "p99": 0.0}
        return {f"p{q}": float(v) / 1000 for q, v in zip((50, 95, 99), np.percentile(served, (50, 95, 99)), strict=True)}

    def over_slo(self, slo_ms: float) -> float:
        """Share of callers whose waiting and service together took longer than the SLO, or who were rejected."""
        late = (self.waited_us + self.service_us > slo_ms * 1000) | self.rejected
        return int(np.count_nonzero(late & self.callers)) / self.requests if self.requests else 0.0

    def mean_workers(self) -> dict[str, float]:
        """Time averages over the horizon, and the peak. Running means starting or serving."""
        start, end = self.horizon_us
        w, span = self.workers, end - start
        if span <= 0:
            return {"alive_mean": 0.0, "running_mean": 0.0, "idle_mean": 0.0, "peak": w.peak}
        alive = int((np.minimum(w.ended_us, end) - np.clip(w.started_us, start, end)).sum()) / span
        # After the last arrival a worker is busy in one stretch, so what lies beyond the horizon is its overhang.
        running = int((w.busy_us - np.minimum(np.maximum(w.busy_until_us - end, 0), w.busy_us)).sum()) / span
        return {"alive_mean": alive, "running_mean": running, "idle_mean": alive - running, "peak": w.peak}

    @property
    def billed_seconds(self) -> float:
        """Whole lives of all workers, from their start to their stop, idle tails included."""
        return int(self.workers.alive_us.sum()) / US_PER_S

    def as_json(self) -> dict[str, Any]:
        """The object `fortnight whatif --arrivals ... --json` prints."""
        w = self.workers
        pinned = int(w.alive_us[w.pinned].sum()) / US_PER_S
        return {
            "requests": self.requests,
            "cold": self.cold_hits,
            "warm": self.warm,
            "rejected": self.rejections,
            "cold_hit_rate": self.cold_hit_rate,
            "cold_triggers": self.triggers,
            "waited_for_load": int(np.count_nonzero(self.waited_for_load & self.callers)),
            "waited_ms": self.waited_ms(),
            "workers": {**self.mean_workers(), "lives": len(w)},
            "billed_seconds": self.billed_seconds,
            "busy_seconds": int(w.busy_us.sum()) / US_PER_S,
            "idle_seconds": int(w.idle_us.sum()) / US_PER_S,
            "pinned_seconds": pinned,
            "synthetic": {
                "requests": int(np.count_nonzero(self.synthetic)),
                "cold": int(np.count_nonzero(self.cold & self.synthetic)),
            },
            "horizon_s": (self.horizon_us[1] - self.horizon_us[0]) / US_PER_S,
        }
