"""Triton's statistics, cumulative since its start, as usage buckets between one reading and the next."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from trial.records import UsageBucket

SOURCE = "triton-statistics"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Counters:
    """Of one model version; times in ns, all growing until the server restarts."""

    success: int
    fail: int
    success_ns: int
    busy_ns: int

    def since(self, before: _Counters | None) -> _Counters:
        """The growth; everything there is where the server restarted in between, as no counter can shrink."""
        if before is None or any(getattr(self, n) < getattr(before, n) for n in ("success", "fail", "success_ns", "busy_ns")):
            return self
        return _Counters(
            success=self.success - before.success,
            fail=self.fail - before.fail,
            success_ns=self.success_ns - before.success_ns,
            busy_ns=self.busy_ns - before.busy_ns,
        )


def triton_buckets(readings: Iterable[tuple[datetime, Mapping[str, Any]]], *, endpoint: str) -> Iterator[UsageBucket]:
    """
    One bucket between each two readings of `GET /v2/models/stats` (all models added up).

    GPU time comes from batch_stats, which count a batch's compute time once; inference_stats count it once per request in
    the batch. After a restart the counters begin at zero: what ran between the last reading and the restart is lost, so that
    bucket is a lower bound. A model that was not there before counts from its load.

    Args:
        readings: (when, answer), in order of time.

    Raises:
        ValueError: an answer that is no Triton statistics, or readings out of order.
    """
    previous: tuple[datetime, dict[tuple[str, str], _Counters]] | None = None
    for at, answer in readings:
        counters = _read(answer)
        if previous is not None:
            before_at, before = previous
            if at <= before_at:
                raise ValueError(f"readings out of order: {at} after {before_at}")
            growth = [now.since(before.get(key)) for key, now in sorted(counters.items())]
            elapsed_ns = (at - before_at).total_seconds() * 1e9
            yield UsageBucket(
                endpoint=endpoint,
                source=SOURCE,
                start=before_at,
                end=at,
                requests=sum(g.success + g.fail for g in growth),
                errors=sum(g.fail for g in growth),
                latency_ms_sum=sum(g.success_ns for g in growth) / 1e6,
                gpu_utilisation=min(1.0, sum(g.busy_ns for g in growth) / elapsed_ns),
            )
        previous = (at, counters)


def _read(answer: Mapping[str, Any]) -> dict[tuple[str, str], _Counters]:
    models = answer.get("model_stats")
    if not isinstance(models, list):
        raise ValueError("no model_stats: not an answer of Triton's statistics")
    try:
        return {(str(m["name"]), str(m.get("version", ""))): _counters(m) for m in models}
    except (KeyError, TypeError, AttributeError) as exc:
        raise ValueError(f"Triton statistics without {exc}") from exc


def _counters(model: Mapping[str, Any]) -> _Counters:
    stats = model["inference_stats"]
    batches = model.get("batch_stats") or []
    # An ensemble has no batches of its own: its parts, which are models too, hold the time.
    busy_ns = sum(_whole(b["compute_infer"]["ns"]) for b in batches)
    return _Counters(
        success=_whole(stats["success"]["count"]),
        fail=_whole(stats["fail"]["count"]),
        success_ns=_whole(stats["success"]["ns"]),
        busy_ns=busy_ns,
    )


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise TypeError(f"a whole number: {value!r}")
    return value
