"""When each instance was busy, out of invocation tables: intervals in whole microseconds, merged where requests overlapped."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

Intervals = NDArray[np.int64]  # shape (n, 2): begin, end in microseconds since 1970, ascending, disjoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Busy:
    """
    Args:
        by_instance: the union of each instance's requests; None holds those of requests without an instance, not merged.
        arrivals: per instance, when the platform took its first request: a starting instance was not up before it.
    """

    by_instance: Mapping[str | None, Intervals]
    arrivals: Mapping[str, int]


def busy(tables: Iterable[pa.Table]) -> Busy:
    """
    Every instance's busy intervals over all tables (trial.schema.INVOCATIONS), pings and failed requests included.

    A request occupies its instance for handler_ms, from started_at + queue_ms on. Throttled and aborted requests occupied none.
    """
    pieces: dict[str | None, list[Intervals]] = {}
    arrivals: dict[str, int] = {}
    for table in tables:
        for instance, intervals, first in _of(table):
            pieces.setdefault(instance, []).append(intervals)
            if instance is not None:
                arrivals[instance] = min(first, arrivals.get(instance, first))
    merged = {key: np.concatenate(parts) if key is None else union(np.concatenate(parts)) for key, parts in pieces.items()}
    if None in merged:
        merged[None] = merged[None][np.argsort(merged[None][:, 0], kind="stable")]
    return Busy(by_instance=merged, arrivals=arrivals)


def union(intervals: Intervals) -> Intervals:
    """Intervals merged where they overlap or touch."""
    if len(intervals) < 2:
        return intervals
    intervals = intervals[np.argsort(intervals[:, 0], kind="stable")]
    reach = np.maximum.accumulate(intervals[:, 1])
    first = np.concatenate(([True], intervals[1:, 0] > reach[:-1]))
    last = np.concatenate((first[1:], [True]))
    return np.column_stack((intervals[first, 0], reach[last]))


def within(intervals: Intervals, begin: int, end: int) -> int:
    """Microseconds of disjoint, ascending intervals inside [begin, end)."""
    if len(intervals) == 1:  # most lives serve one stretch, and numpy costs more than the sum
        return max(0, min(int(intervals[0, 1]), end) - max(int(intervals[0, 0]), begin))
    low, high = np.searchsorted(intervals[:, 1], begin, "right"), np.searchsorted(intervals[:, 0], end, "left")
    part = intervals[low:high]
    return int((np.minimum(part[:, 1], end) - np.maximum(part[:, 0], begin)).sum()) if len(part) else 0


def gaps_over(intervals: Intervals, gap_us: int) -> list[Intervals]:
    """Intervals parted wherever nothing happened for longer than `gap_us`."""
    cuts = np.flatnonzero(intervals[1:, 0] - intervals[:-1, 1] > gap_us) + 1
    return np.split(intervals, cuts)


def spans(table: pa.Table) -> tuple[NDArray[np.int64], Intervals]:
    """
    Each row's arrival, and (begin, end) of its stay on an instance, in microseconds.

    Where no handler time is known, the billed or GPU time stands in for it, then the whole latency.
    """
    arrival = table.column("started_at").cast(pa.int64()).to_numpy()
    queue, latency, handler = (_us(table, name) for name in ("queue_ms", "latency_ms", "handler_ms"))
    for other in ("billed_ms", "gpu_ms"):
        handler = np.where(handler < 0, _us(table, other), handler)
    # latency_ms is the caller's wait and may begin before started_at, so it counts only where nothing else tells the stay:
    # an instance that is still starting cuts it off itself.
    handler, queue = np.where(handler < 0, np.maximum(latency, 0), handler), np.where(handler < 0, 0, np.maximum(queue, 0))
    end = arrival + queue + handler
    return arrival, np.column_stack((end - handler, end))


def _of(table: pa.Table) -> Iterable[tuple[str | None, Intervals, int]]:
    status = table.column("status").to_numpy(zero_copy_only=False)
    table = table.filter(pa.array((status != "throttled") & (status != "aborted")))
    if table.num_rows == 0:
        return
    arrival, intervals = spans(table)
    column = table.column("instance_id").combine_chunks().dictionary_encode()
    codes = column.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    names = column.dictionary.to_pylist()
    order = np.argsort(codes, kind="stable")
    for group in np.split(order, np.flatnonzero(np.diff(codes[order])) + 1):
        code = codes[group[0]]
        yield (names[code] if code >= 0 else None), intervals[group], int(arrival[group].min())


def _us(table: pa.Table, name: str) -> NDArray[np.int64]:
    """A column of ms as whole microseconds, -1 where it is null or negative."""
    values = table.column(name).to_numpy(zero_copy_only=False).astype(float)
    return np.where(np.isnan(values) | (values < 0), -1, np.rint(np.nan_to_num(values) * 1000)).astype(np.int64)
