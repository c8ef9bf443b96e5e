"""Which traffic pattern a trial's traffic is: steady, diurnal, bursty, sparse or many models, by a rule that is shown with its numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

Kind = Literal["steady", "diurnal", "bursty", "sparse", "many-models"]

MANY_MODELS = 4  # a GPU's memory holds a few models at once; with more, requests meet models that are not loaded
LARGEST_MODEL_SHARE = 0.5
SPARSE_HOURS = 0.5
SPARSE_PER_HOUR = 6.0  # a request every ten minutes: about the longest idle time-out platforms offer
BURST_FACTOR = 4.0
DIURNAL_SHARE = 0.5  # a third is what eight hours have of traffic without a daily cycle


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """
    A pattern and what it was decided by.

    Args:
        kind: the first pattern, in the order of `rules`, whose test holds.
        rules: every test in its order: pattern, what is tested, what was measured, whether it holds.
    """

    kind: Kind
    rules: tuple[tuple[Kind, str, str, bool], ...]


def classify(hourly: Sequence[Sequence[int]], *, by_model: Mapping[str, int]) -> Scenario | None:
    """
    Tests one endpoint's traffic for one pattern after the other; "steady" is what is left.

    Args:
        hourly: shape (days, 24): requests by local hour of each complete day.
        by_model: requests by model name; empty where no model is logged.

    Returns:
        None without a day or without a request.

    Raises:
        ValueError: a day that does not have 24 hours.
    """
    counts = np.asarray(hourly, dtype=np.float64)
    if counts.size == 0 or counts.sum() == 0:
        return None
    if counts.ndim != 2 or counts.shape[1] != 24:
        raise ValueError(f"expected 24 hours a day, got the shape {counts.shape}")
    per_hour, empty = float(counts.mean()), float((counts == 0).mean())
    profile = counts.mean(axis=0)
    swing = float(np.sort(profile)[-8:].sum() / profile.sum())
    burst = _largest_burst(counts)
    largest = max(by_model.values(), default=0) / max(1, sum(by_model.values()))
    rules: tuple[tuple[Kind, str, str, bool], ...] = (
        (
            "many-models",
            f"{MANY_MODELS} models or more, none with over {_percent(LARGEST_MODEL_SHARE)} of the requests",
            f"{len(by_model)} model{'s' * (len(by_model) != 1)}, the largest has {_percent(largest)}"
            if by_model
            else "no model names logged",
            len(by_model) >= MANY_MODELS and largest <= LARGEST_MODEL_SHARE,
        ),
        (
            "sparse",
            f"under {SPARSE_PER_HOUR:g} requests an hour on average, or {_percent(SPARSE_HOURS)} of the hours without any",
            f"{per_hour:.1f} an hour, {_percent(empty)} of the hours without any",
            per_hour < SPARSE_PER_HOUR or empty >= SPARSE_HOURS,
        ),
        (
            "bursty",
            f"an hour with over {BURST_FACTOR:g} times what that hour of the day usually has, and the mean hour",
            f"at most {burst:.1f} times",
            burst > BURST_FACTOR,
        ),
        (
            "diurnal",
            f"the busiest eight hours of the day have over {_percent(DIURNAL_SHARE)} of the requests",
            _percent(swing),
            swing > DIURNAL_SHARE,
        ),
        ("steady", "none of the above", "", True),
    )
    return Scenario(kind=next(kind for kind, _, _, holds in rules if holds), rules=rules)


def _percent(share: float) -> str:
    return f"{100 * share:.0f}\u00a0%"


def _largest_burst(counts: np.ndarray) -> float:
    """The largest factor of an hour over both the median of that hour on all days and the mean hour; 0 with fewer than three days."""
    if len(counts) < 3:
        return 0.0
    usual = np.median(counts, axis=0)
    return float((counts / np.maximum(usual, counts.mean())).max())
