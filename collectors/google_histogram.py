"""Cloud Monitoring's distributions: added up, and asked for percentiles."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import zip_longest
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Histogram:
    """
    Counts between bounds.

    Args:
        bounds: ascending; counts[0] lies below bounds[0], counts[i] in [bounds[i-1], bounds[i]), the last above all.
            Empty where two distributions with other bounds were added: count and total stay exact, percentiles are gone.
        total: the sum of the values, in the metric's unit.
    """

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    count: int
    total: float

    @classmethod
    def of(cls, distribution: Any) -> Histogram:
        """From google.api.Distribution, whose trailing empty buckets are left out."""
        return cls(
            bounds=_bounds(distribution.bucket_options),
            counts=tuple(distribution.bucket_counts),
            count=distribution.count,
            total=distribution.mean * distribution.count,
        )

    def __add__(self, other: Histogram) -> Histogram:
        same = self.bounds == other.bounds
        return Histogram(
            bounds=self.bounds if same else (),
            counts=tuple(a + b for a, b in zip_longest(self.counts, other.counts, fillvalue=0)) if same else (),
            count=self.count + other.count,
            total=self.total + other.total,
        )

    @property
    def mean(self) -> float | None:
        return self.total / self.count if self.count else None

    def percentile(self, share: float) -> float | None:
        """
        The value below which `share` of the values lie, spread evenly within its bucket, as the Monitoring charts do it.

        None where there are no values or no buckets; values above the last bound count as that bound.
        """
        if not self.bounds or not sum(self.counts):
            return None
        rank = share * sum(self.counts)
        below = 0
        for number, held in enumerate(self.counts):
            if held and below + held >= rank:
                if number >= len(self.bounds):
                    return self.bounds[-1]
                low = self.bounds[number - 1] if number else min(0.0, self.bounds[0])
                return low + (self.bounds[number] - low) * (rank - below) / held
            below += held
        return self.bounds[-1]


def _bounds(options: Any) -> tuple[float, ...]:
    kind = options.WhichOneof("options")
    if kind == "explicit_buckets":
        return tuple(options.explicit_buckets.bounds)
    if kind == "exponential_buckets":
        grown = options.exponential_buckets
        return tuple(grown.scale * grown.growth_factor**i for i in range(grown.num_finite_buckets + 1))
    if kind == "linear_buckets":
        even = options.linear_buckets
        return tuple(even.offset + even.width * i for i in range(even.num_finite_buckets + 1))
    return ()
