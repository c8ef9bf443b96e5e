"""A day's invocations, batch by batch, into the DaySummary that everything after it reads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from functools import reduce
from operator import add

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from analysis import sketches
from trial.ledger import Ledger
from trial.summary import DaySummary, Sketch, add_counts

# Sketched over the whole denominator, and those split by coldness: what a caller feels.
SKETCHED = ("queue_ms", "init_ms", "load_ms", "handler_ms", "gpu_ms", "billed_ms")
SPLIT = ("latency_ms", "ttft_ms")
# What tells how long a request was in flight.
SPAN = ("started_at", "latency_ms", "handler_ms")


class Summariser:
    """
    Takes one endpoint's day in batches of trial.schema.INVOCATIONS; `close` gives its summary.

    Args:
        slo_ms: a caller who waits longer notices.
    """

    def __init__(self, *, endpoint: str, platform: str, day: date, slo_ms: float) -> None:
        self._endpoint, self._platform, self._day, self._slo_ms = endpoint, platform, day, slo_ms
        self._counts: Counter[str] = Counter()
        self._statuses: dict[str, int] = {}
        self._reasons: dict[str, int] = {}
        self._sketches: dict[str, Sketch] = {}
        self._models: dict[str, dict[str, int]] = {}
        self._spans: list[np.ndarray] = []
        self._first: tuple[int, bool] | None = None

    def add(self, table: pa.Table) -> None:
        self._spans.append(_spans(table))
        synthetic = table["synthetic"]
        aborted = pc.and_(pc.equal(table["status"], "aborted"), pc.invert(synthetic))
        counted = table.filter(pc.invert(pc.or_(synthetic, aborted)))
        masks = _masks(counted, self._slo_ms)
        self._counts.update(
            {"synthetic": pc.sum(synthetic).as_py() or 0, "aborted": pc.sum(aborted).as_py() or 0, "requests": counted.num_rows}
        )
        self._counts.update({name: int(mask.sum()) for name, mask in masks.items()})
        self._statuses = add_counts(self._statuses, _value_counts(counted["status"]))
        self._reasons = add_counts(self._reasons, _value_counts(counted["cold_reason"]))
        self._note_first(counted, masks)
        self._sketch(counted)
        self._by_model(counted, masks)

    def close(
        self,
        *,
        ledgers: Iterable[Ledger],
        incomplete: int = 0,
        quarantined: int = 0,
        other_requests: int = 0,
        regions: Mapping[str, int] | None = None,
        provider_requests: int | None = None,
    ) -> DaySummary:
        spans = np.concatenate(self._spans) if self._spans else np.empty((0, 2), dtype=np.int64)
        return DaySummary(
            endpoint=self._endpoint,
            platform=self._platform,
            days=(self._day,),
            **{name: self._counts[name] for name in _COUNTS},
            incomplete=incomplete,
            quarantined=quarantined,
            other_requests=other_requests,
            statuses=self._statuses,
            cold_reasons=self._reasons,
            sketches=dict(sorted(self._sketches.items())),
            by_model=dict(sorted(self._models.items())),
            regions=dict(sorted((regions or {}).items())),
            peak_concurrency=_peak(spans),
            provider_requests=provider_requests,
            first_cold=None if self._first is None else self._first[1],
            ledgers=tuple(ledgers),
        )

    @property
    def first(self) -> tuple[int, bool] | None:
        """When the earliest request of the denominator started, in microseconds, and whether it was a cold hit."""
        return self._first

    def _note_first(self, counted: pa.Table, masks: dict[str, np.ndarray]) -> None:
        if counted.num_rows == 0:
            return
        started = counted["started_at"].cast(pa.int64()).to_numpy()
        # Of several that start at once a warm one stands, in one batch as across batches.
        earliest = started == started.min()
        first = (int(started.min()), bool(masks["cold_hits"][earliest].all()))
        self._first = first if self._first is None else min(self._first, first)

    def _sketch(self, counted: pa.Table) -> None:
        for name in SKETCHED:
            self._merge(name, counted[name])
        for coldness in ("cold", "warm"):
            rows = counted.filter(pc.equal(counted["cold"], coldness))
            for name in SPLIT:
                self._merge(f"{name}.{coldness}", rows[name])

    def _merge(self, key: str, column: pa.ChunkedArray) -> None:
        values = column.drop_null().to_numpy()
        if values.size:
            self._sketches[key] = self._sketches.get(key, Sketch()) + sketches.sketch(values)

    def _by_model(self, counted: pa.Table, masks: dict[str, np.ndarray]) -> None:
        frame = counted.select(["model", "gpu_ms", "input_tokens", "output_tokens"]).to_pandas()
        frame["cold_hits"], frame["unknown"] = masks["cold_hits"], masks["unknown"]
        # Whole microseconds, so that the sum does not depend on how rows were batched.
        frame["gpu_us"] = (frame["gpu_ms"].fillna(0) * 1000).round().astype("int64")
        for model, rows in frame.groupby("model", sort=True):
            sums = {k: int(rows[k].fillna(0).sum()) for k in ("cold_hits", "unknown", "gpu_us", "input_tokens", "output_tokens")}
            self._models[str(model)] = add_counts(self._models.get(str(model), {}), {"requests": len(rows), **sums})


def united(
    parts: Sequence[tuple[DaySummary, tuple[int, bool] | None]], *, spans: Iterable[pa.Table], provider_requests: int | None
) -> DaySummary:
    """
    One day's summary from those of its parts, none of which has a request of another's.

    Args:
        parts: each with its Summariser's `first`.
        spans: all their rows' columns of SPAN: how many were in flight at once is no sum of the parts'.
    """
    (day,) = {summary.day for summary, _ in parts}
    # Days add up, and a day twice is refused, with reason: so each part passes for a day of its own.
    total = reduce(add, [replace(summary, days=(day + timedelta(days=i),)) for i, (summary, _) in enumerate(parts)])
    ledgers: dict[str, Ledger] = {}
    for ledger in total.ledgers:
        ledgers[ledger.source] = ledgers[ledger.source] + ledger if ledger.source in ledgers else ledger
    firsts = [first for _, first in parts if first is not None]
    return replace(
        total,
        days=(day,),
        peak_concurrency=_peak(np.concatenate([np.empty((0, 2), dtype=np.int64), *map(_spans, spans)])),
        provider_requests=provider_requests,
        first_cold=min(firsts)[1] if firsts else None,
        ledgers=tuple(ledgers[source] for source in sorted(ledgers)),
    )


_COUNTS = ("requests", "cold_hits", "cold_unwaited", "unknown", "noticed", "noticed_unknown", "synthetic", "aborted")


def _masks(table: pa.Table, slo_ms: float) -> dict[str, np.ndarray]:
    """Which rows of the denominator are cold hits, unwaited, unknown, and noticed."""
    cold = _bools(pc.equal(table["cold"], "cold"))
    undecided = _bools(pc.equal(table["cold"], "unknown"))
    waited = _bools(pc.fill_null(table["waited"], False))
    waited_unknown = _bools(pc.is_null(table["waited"]))
    hits = cold & waited
    unknown = undecided | (cold & waited_unknown)
    latency = _floats(table["latency_ms"])
    wait = _start_wait(table)
    over = latency > slo_ms
    pushed = over & ((wait == 0) | (latency - wait <= slo_ms))
    return {
        "cold_hits": hits,
        "cold_unwaited": cold & ~waited & ~waited_unknown,
        "unknown": unknown,
        "noticed": hits & pushed,
        "noticed_unknown": (hits & np.isnan(latency)) | (unknown & (over | np.isnan(latency))),
    }


def _start_wait(table: pa.Table) -> np.ndarray:
    """
    What the start added to a cold request, in ms; 0 where nothing is reported, and the whole excess is then laid to it.

    Queueing includes the start-up where both are known. Model loading adds to it only where it happened in the handler, on the
    first request; else it is part of the start-up.
    """
    queue, init, load = (np.nan_to_num(_floats(table[name])) for name in ("queue_ms", "init_ms", "load_ms"))
    lazy = _bools(pc.fill_null(pc.equal(table["cold_reason"], "lazy_load"), False))
    return np.maximum(queue, init) + np.where(lazy, load, 0.0)


def _bools(values: pa.ChunkedArray) -> np.ndarray:
    return values.to_numpy(zero_copy_only=False).astype(bool) if isinstance(values, pa.Array) else values.to_numpy().astype(bool)


def _floats(values: pa.ChunkedArray) -> np.ndarray:
    return values.to_numpy().astype(np.float64)


def _value_counts(column: pa.ChunkedArray) -> dict[str, int]:
    return dict(sorted(Counter(v for v in column.to_pylist() if v is not None).items()))


def _spans(table: pa.Table) -> np.ndarray:
    """Start and end in whole microseconds, one row a request whose length is known: shape (n, 2)."""
    start = table["started_at"].cast(pa.int64()).to_numpy()
    length = _floats(pc.coalesce(table["latency_ms"], table["handler_ms"]))
    known = ~np.isnan(length)
    return np.stack([start[known], start[known] + np.rint(length[known] * 1000).astype(np.int64)], axis=1)


def _peak(spans: np.ndarray) -> int:
    """Most spans open at once; one that starts as another ends does not overlap it."""
    if len(spans) == 0:
        return 0
    starts, ends = np.sort(spans[:, 0]), np.sort(spans[:, 1])
    return int((np.arange(1, len(starts) + 1) - np.searchsorted(ends, starts, side="right")).max())
