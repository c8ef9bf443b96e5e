"""Filling and asking the quantile sketches of trial.summary, with DDSketch's own mapping (relative error RELATIVE_ACCURACY)."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from ddsketch.mapping import LogarithmicMapping

from trial.summary import Sketch

RELATIVE_ACCURACY = 0.005

_MAPPING = LogarithmicMapping(RELATIVE_ACCURACY)


def sketch(values_ms: Iterable[float]) -> Sketch:
    """
    The sketch of non-negative finite values in ms; order does not matter.

    Raises:
        ValueError: a negative or non-finite value.
    """
    values = np.asarray(values_ms if isinstance(values_ms, np.ndarray) else list(values_ms), dtype=np.float64)
    if values.size == 0:
        return Sketch()
    if not np.isfinite(values).all() or values.min() < 0:
        raise ValueError("a sketch takes finite values >= 0")
    positive = values[values > _MAPPING.min_possible]
    # LogarithmicMapping.key over an array: one call a value costs 40 times as much.
    keys = np.ceil(np.log(positive) / math.log(_MAPPING.gamma)).astype(np.int64)
    bins, counts = np.unique(keys, return_counts=True)
    return Sketch(
        bins=dict(zip(bins.tolist(), counts.tolist(), strict=True)),
        zeros=int(values.size - positive.size),
        count=int(values.size),
        sum_us=int(np.rint(values * 1000).astype(np.int64).sum()),
        min_ms=float(values.min()),
        max_ms=float(values.max()),
    )


def quantile(of: Sketch, q: float) -> float | None:
    """The value in ms at quantile q in [0, 1], within RELATIVE_ACCURACY; None where the sketch is empty."""
    if of.count == 0 or of.min_ms is None or of.max_ms is None:
        return None
    rank = q * (of.count - 1)
    seen = of.zeros
    if rank < seen:
        return 0.0
    value = of.max_ms
    for key in sorted(of.bins):
        seen += of.bins[key]
        if seen > rank:
            value = _MAPPING.value(key)
            break
    return float(min(max(value, of.min_ms), of.max_ms))


def cumulative(of: Sketch) -> list[tuple[float, float]]:
    """The distribution as (value in ms, share of values at or below it), ascending: what a figure draws."""
    points, seen = [], of.zeros
    if of.zeros:
        points.append((0.0, seen / of.count))
    for key in sorted(of.bins):
        seen += of.bins[key]
        points.append((float(_MAPPING.value(key)), seen / of.count))
    return points
