"""The counts per day that the evidence is taken from, with the two ends that unknown and unseen requests leave open."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from trial.summary import DaySummary

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """
    One count per complete local day, ascending.

    Args:
        requests: of the denominator, and the requests the logs lack or show in part only (DaySummary.untold).
        fewest, most: hits if every request of which it is not known were none, and if every one were.
        seen: requests of the denominator alone; what the logs show, for diagnostics.
    """

    requests: Ints
    fewest: Ints
    most: Ints
    seen: Ints

    @property
    def bounds(self) -> tuple[float, float]:
        """The share over all days at either end; (0, 1) without requests."""
        total = int(self.requests.sum())
        return (int(self.fewest.sum()) / total, int(self.most.sum()) / total) if total else (0.0, 1.0)

    @property
    def unsure(self) -> bool:
        return bool((self.fewest != self.most).any())

    @classmethod
    def of_cold_hits(cls, days: Sequence[DaySummary], *, without_first: bool = False) -> Self:
        """Without the first request of the trial, which always meets a cold instance and says nothing of the ones to come."""
        return cls._of(days, [d.cold_hits for d in days], [d.unknown for d in days], without_first=without_first)

    @classmethod
    def of_noticed(cls, days: Sequence[DaySummary], *, without_first: bool = False) -> Self:
        return cls._of(days, [d.noticed for d in days], [d.noticed_unknown for d in days], without_first=without_first)

    @classmethod
    def _of(cls, days: Sequence[DaySummary], hits: list[int], unknown: list[int], *, without_first: bool) -> Self:
        seen = np.array([d.requests for d in days], dtype=np.int64)
        untold = np.array([d.untold for d in days], dtype=np.int64)
        fewest, open_ = np.array(hits, dtype=np.int64), np.array(unknown, dtype=np.int64)
        first = next((i for i, d in enumerate(days) if d.requests and d.first_cold is not None), None)
        if without_first and first is not None and not seen[:first].any():
            seen[first] -= 1
            if days[first].first_cold:
                fewest[first] -= min(1, fewest[first])
            fewest[first] = min(fewest[first], seen[first])
            open_[first] = min(open_[first], seen[first] - fewest[first])
        return cls(requests=seen + untold, fewest=fewest, most=fewest + open_ + untold, seen=seen)
