"""What one endpoint did in one day, as counts and sketches that add up: the only thing statistics and reports read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from trial.ledger import Ledger


@dataclass(frozen=True, slots=True, kw_only=True)
class Sketch:
    """
    A mergeable quantile sketch of one column in ms (DDSketch: Masson, Rim, Lee, VLDB 2019), as plain counts.

    Bins are those of ddsketch's LogarithmicMapping at RELATIVE_ACCURACY; analysis.sketches fills and asks them. The sum
    is kept in whole microseconds so that adding sketches in any order gives the same bytes.
    """

    bins: Mapping[int, int] = field(default_factory=dict)
    zeros: int = 0
    count: int = 0
    sum_us: int = 0
    min_ms: float | None = None
    max_ms: float | None = None

    def __post_init__(self) -> None:
        if self.count != self.zeros + sum(self.bins.values()):
            raise ValueError(f"a sketch of {self.count} values holds {self.zeros + sum(self.bins.values())}")

    def __add__(self, other: Sketch) -> Sketch:
        lows = [v for v in (self.min_ms, other.min_ms) if v is not None]
        highs = [v for v in (self.max_ms, other.max_ms) if v is not None]
        return Sketch(
            bins=add_counts(self.bins, other.bins),
            zeros=self.zeros + other.zeros,
            count=self.count + other.count,
            sum_us=self.sum_us + other.sum_us,
            min_ms=min(lows, default=None),
            max_ms=max(highs, default=None),
        )

    @property
    def mean_ms(self) -> float | None:
        return self.sum_us / 1000 / self.count if self.count else None


def add_counts(a: Mapping[Any, int], b: Mapping[Any, int]) -> dict[Any, int]:
    """Two count maps added key by key, with sorted keys."""
    return {key: a.get(key, 0) + b.get(key, 0) for key in sorted(a.keys() | b.keys())}


@dataclass(frozen=True, slots=True, kw_only=True)
class DaySummary:
    """
    One endpoint's day, or several days added up.

    Args:
        days: the complete local days it covers, ascending; one for a stored summary.
        requests: the rate's denominator: neither synthetic nor aborted before an instance, nor incomplete.
        cold_hits: of these, cold and waited for.
        cold_unwaited: of these, on an instance that started cold but that nobody waited for (provisioned, proactive).
        unknown: of these, where coldness (or whether a cold one was waited for) cannot be known.
        noticed: of these, a cold wait pushed the caller over the SLO.
        noticed_unknown: of these, where that cannot be known.
        synthetic, aborted, incomplete, quarantined: requests outside the denominator, each counted apart.
        other_requests: requests that are no inference (health checks, refused callers), which the provider counts all the same.
        statuses, cold_reasons: counts by value, over the denominator.
        sketches: by column, "latency_ms.cold" and "latency_ms.warm" split by coldness.
        by_model: per model name, counts "requests", "cold_hits", "unknown", "gpu_us", "input_tokens", "output_tokens".
        regions: events whose log names the region they come from, by region; empty where none does.
        peak_concurrency: most requests in flight at once, over all rows including synthetic ones.
        provider_requests: how many requests the provider itself counted; None where it does not say.
        first_cold: whether the earliest request of the denominator was a cold hit (on the trial's first day it always is,
            and says nothing: the verdict leaves it out); None without requests.
        ledgers: one per source.
    """

    endpoint: str
    platform: str
    days: tuple[date, ...]
    requests: int = 0
    cold_hits: int = 0
    cold_unwaited: int = 0
    unknown: int = 0
    noticed: int = 0
    noticed_unknown: int = 0
    synthetic: int = 0
    aborted: int = 0
    incomplete: int = 0
    quarantined: int = 0
    other_requests: int = 0
    statuses: Mapping[str, int] = field(default_factory=dict)
    cold_reasons: Mapping[str, int] = field(default_factory=dict)
    sketches: Mapping[str, Sketch] = field(default_factory=dict)
    by_model: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    regions: Mapping[str, int] = field(default_factory=dict)
    peak_concurrency: int = 0
    provider_requests: int | None = None
    first_cold: bool | None = None
    ledgers: tuple[Ledger, ...] = ()

    def __post_init__(self) -> None:
        if self.cold_hits + self.cold_unwaited + self.unknown > self.requests:
            raise ValueError(f"{self.endpoint} {self.days}: more cold and unknown requests than requests")
        if list(self.days) != sorted(set(self.days)):
            raise ValueError(f"{self.endpoint}: days must be ascending and distinct, got {self.days}")

    @property
    def day(self) -> date:
        if len(self.days) != 1:
            raise ValueError(f"{self.endpoint}: a sum over {len(self.days)} days has no single day")
        return self.days[0]

    @property
    def seen(self) -> int:
        """
        What the provider's own counter counts, as far as the logs show it: in or out of the denominator, but for requests
        aborted before an instance, which no provider counts.
        """
        return self.requests + self.synthetic + self.incomplete + self.quarantined + self.other_requests

    @property
    def completeness(self) -> float | None:
        """Share of the provider's own count that the logs show, at most 1; None where the provider does not count."""
        if self.provider_requests is None:
            return None
        return 1.0 if self.provider_requests == 0 else min(1.0, self.seen / self.provider_requests)

    @property
    def unseen(self) -> int:
        """Requests the provider counted and the logs do not show; 0 where it does not count."""
        return 0 if self.provider_requests is None else max(0, self.provider_requests - self.seen)

    @property
    def untold(self) -> int:
        """Requests that took place and that are in no rate, since the logs lack them or hold only a part: each may have been cold."""
        return self.unseen + self.incomplete + self.quarantined

    def ledger_totals(self) -> dict[str, int]:
        totals = {"read": 0, "used": 0, "ignored": 0, "duplicate": 0, "rejected": 0}
        for ledger in self.ledgers:
            totals = add_counts(totals, ledger.totals())
        return {key: totals[key] for key in ("read", "used", "ignored", "duplicate", "rejected")}

    def __add__(self, other: DaySummary) -> DaySummary:
        """
        The sum over further days of the same endpoint.

        Raises:
            ValueError: another endpoint, or a day that is in both: collecting a day again replaces it, never adds.
        """
        if (self.endpoint, self.platform) != (other.endpoint, other.platform):
            raise ValueError(f"cannot add a day of {other.endpoint} to {self.endpoint}")
        both = set(self.days) & set(other.days)
        if both:
            raise ValueError(f"{self.endpoint}: {min(both)} is in both summaries; a day is replaced, never added")
        known = self.provider_requests is not None and other.provider_requests is not None
        earlier, later = sorted((self, other), key=lambda s: s.days)
        counts = {name: getattr(self, name) + getattr(other, name) for name in _ADDED}
        return DaySummary(
            endpoint=self.endpoint,
            platform=self.platform,
            days=tuple(sorted(self.days + other.days)),
            statuses=add_counts(self.statuses, other.statuses),
            cold_reasons=add_counts(self.cold_reasons, other.cold_reasons),
            sketches={
                k: self.sketches.get(k, Sketch()) + other.sketches.get(k, Sketch()) for k in sorted({*self.sketches, *other.sketches})
            },
            by_model={
                m: add_counts(self.by_model.get(m, {}), other.by_model.get(m, {})) for m in sorted({*self.by_model, *other.by_model})
            },
            regions=add_counts(self.regions, other.regions),
            peak_concurrency=max(self.peak_concurrency, other.peak_concurrency),
            provider_requests=(self.provider_requests or 0) + (other.provider_requests or 0) if known else None,
            first_cold=earlier.first_cold if earlier.first_cold is not None else later.first_cold,
            ledgers=self.ledgers + other.ledgers,
            **counts,
        )

    def to_json(self) -> dict[str, Any]:
        """A JSON-able dict with sorted keys; `from_json` is its inverse."""
        plain = {name: getattr(self, name) for name in _ADDED}
        return {
            "endpoint": self.endpoint,
            "platform": self.platform,
            "days": [d.isoformat() for d in self.days],
            **plain,
            "statuses": dict(sorted(self.statuses.items())),
            "cold_reasons": dict(sorted(self.cold_reasons.items())),
            "sketches": {k: _sketch_to_json(v) for k, v in sorted(self.sketches.items())},
            "by_model": {k: dict(sorted(v.items())) for k, v in sorted(self.by_model.items())},
            "regions": dict(sorted(self.regions.items())),
            "peak_concurrency": self.peak_concurrency,
            "provider_requests": self.provider_requests,
            "first_cold": self.first_cold,
            "ledgers": [_ledger_to_json(ledger) for ledger in self.ledgers],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> DaySummary:
        return cls(
            **{
                **data,
                "days": tuple(date.fromisoformat(d) for d in data["days"]),
                "sketches": {k: _sketch_from_json(v) for k, v in data["sketches"].items()},
                "ledgers": tuple(Ledger(**{**row, "day": date.fromisoformat(row["day"])}) for row in data["ledgers"]),
            }
        )


_ADDED = (
    "requests",
    "cold_hits",
    "cold_unwaited",
    "unknown",
    "noticed",
    "noticed_unknown",
    "synthetic",
    "aborted",
    "incomplete",
    "quarantined",
    "other_requests",
)


def _sketch_to_json(sketch: Sketch) -> dict[str, Any]:
    return {
        "bins": {str(k): n for k, n in sorted(sketch.bins.items())},
        "zeros": sketch.zeros,
        "count": sketch.count,
        "sum_us": sketch.sum_us,
        "min_ms": sketch.min_ms,
        "max_ms": sketch.max_ms,
    }


def _sketch_from_json(data: Mapping[str, Any]) -> Sketch:
    return Sketch(**{**data, "bins": {int(k): n for k, n in data["bins"].items()}})


def _ledger_to_json(ledger: Ledger) -> dict[str, Any]:
    return {
        "endpoint": ledger.endpoint,
        "day": ledger.day.isoformat(),
        "source": ledger.source,
        "read": ledger.read,
        "duplicate": ledger.duplicate,
        "used": dict(ledger.used),
        "ignored": dict(ledger.ignored),
        "rejected": dict(ledger.rejected),
    }
