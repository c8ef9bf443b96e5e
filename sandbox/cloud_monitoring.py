"""MetricService.ListTimeSeries over minute points: aligned, reduced, newest first, visible two minutes after their end."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.cloud.monitoring_v3.types import Aggregation, ListTimeSeriesRequest, ListTimeSeriesResponse, TimeSeries

from sandbox.clock import Clock
from sandbox.faults import Dice
from sandbox.google_grpc import Method, refuse
from sandbox.instants import MINUTE, SECOND, iso_us, to_us
from sandbox.logging_filter import FilterError, compile_filter

VISIBLE_AFTER = 2 * MINUTE
MAX_PAGE = 100_000
# Bounds of the exponential buckets distributions come in: 1 ms x 1.4^i.
_GROWTH, _SCALE, _BUCKETS = 1.4, 1.0, 66


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """
    One time series in minutes: begin of the minute -> a count or amount, a level, or observed values (a distribution, in ms).
    """

    type: str
    kind: str  # DELTA or GAUGE
    value: str  # INT64, DOUBLE or DISTRIBUTION
    metric_labels: Mapping[str, str] = field(default_factory=dict)
    resource_labels: Mapping[str, str] = field(default_factory=dict)
    minutes: Mapping[int, Any] = field(default_factory=dict)


class CloudMonitoring:
    """One project's metrics."""

    SERVICE = "google.monitoring.v3.MetricService"

    def __init__(self, series: Iterable[Series], *, project: str, clock: Clock, dice: Dice) -> None:
        self._series, self._project, self._clock, self._dice = tuple(series), project, clock, dice
        self.calls = 0

    def methods(self) -> Mapping[str, Method]:
        return {"ListTimeSeries": (ListTimeSeriesRequest.deserialize, self.list_time_series, ListTimeSeriesResponse.serialize)}

    def list_time_series(self, request: Any, context: grpc.ServicerContext) -> ListTimeSeriesResponse:
        self.calls += 1
        refuse(self._dice, context, quota="monitoring.googleapis.com/time_series_queries")
        if request.name != f"projects/{self._project}":
            context.abort(grpc.StatusCode.PERMISSION_DENIED, f"Permission denied for {request.name}")
        try:
            wanted = compile_filter(request.filter)
        except FilterError as exc:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"Unparseable filter: {exc}")
        if "metric.type" not in request.filter:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "The filter must name one metric.type")
        begin, end = to_us(request.interval.start_time or request.interval.end_time), to_us(request.interval.end_time)
        chosen = [s for s in self._series if wanted.test(_described(s))]
        aggregation = request.aggregation
        period = int(aggregation.alignment_period.total_seconds() * SECOND) if aggregation.alignment_period else 0
        if period and period < MINUTE:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "The alignment period must be at least 60 seconds")
        groups: dict[tuple[tuple[str, str], ...], list[Series]] = defaultdict(list)
        for one in chosen:
            groups[self._group_key(one, aggregation)].append(one)
        found = [self._reduced(key, members, begin, end, period, aggregation) for key, members in sorted(groups.items())]
        found = [series for series in found if series["points"]]
        first = int(request.page_token or 0)
        size = min(request.page_size or MAX_PAGE, MAX_PAGE)
        more = str(first + size) if first + size < len(found) else ""
        return ListTimeSeriesResponse(time_series=[TimeSeries(s) for s in found[first : first + size]], next_page_token=more)

    @staticmethod
    def _group_key(series: Series, aggregation: Any) -> tuple[tuple[str, str], ...]:
        described = _described(series)
        if not aggregation.cross_series_reducer:
            return tuple(sorted({**series.metric_labels, **{f"resource.{k}": v for k, v in series.resource_labels.items()}}.items()))
        key = []
        for name in aggregation.group_by_fields:
            room, _, label = name.replace("label.", "labels.").partition(".labels.")
            key.append((label if room == "metric" else f"resource.{label}", described[room]["labels"].get(label, "")))
        return tuple(sorted(key))

    def _reduced(
        self, key: tuple[tuple[str, str], ...], members: list[Series], begin: int, end: int, period: int, aggregation: Any
    ) -> dict[str, Any]:
        like = members[0]
        points: dict[tuple[int, int], list[Any]] = defaultdict(list)
        for one in members:
            for span, values in self._aligned(one, begin, end, period).items():
                points[span].append(_align(one, values, aggregation, period))
        rows = [
            {
                "interval": {"start_time": iso_us(a) if like.kind == "DELTA" or period else iso_us(b), "end_time": iso_us(b)},
                "value": _value(like, values, aggregation),
            }
            for (a, b), values in sorted(points.items(), reverse=True)
        ]
        return {
            "metric": {"type": like.type, "labels": {k: v for k, v in key if not k.startswith("resource.")}},
            "resource": {
                "type": "cloud_run_revision",
                "labels": {k.removeprefix("resource."): v for k, v in key if k.startswith("resource.")},
            },
            "metric_kind": like.kind,
            "value_type": like.value,
            "points": rows,
        }

    def _aligned(self, series: Series, begin: int, end: int, period: int) -> dict[tuple[int, int], list[Any]]:
        now, spans = self._clock.us, defaultdict(list)
        for minute, value in series.minutes.items():
            stop = minute + MINUTE
            if not begin < stop <= end or stop + VISIBLE_AFTER > now:
                continue
            # Periods are counted back from the interval's end; a point belongs to the one it ends in.
            edge = end - (end - stop) // period * period if period else stop
            spans[(edge - (period or MINUTE), edge)].append(value)
        return spans


def _described(series: Series) -> dict[str, Any]:
    return {
        "metric": {"type": series.type, "labels": dict(series.metric_labels)},
        "resource": {"type": "cloud_run_revision", "labels": dict(series.resource_labels)},
        "timestampUs": 0,
        "receiveTimestampUs": 0,
    }


def _align(series: Series, values: list[Any], aggregation: Any, period: int) -> Any:
    if series.value == "DISTRIBUTION":
        return [x for observed in values for x in observed]
    aligner = aggregation.per_series_aligner
    if aligner == Aggregation.Aligner.ALIGN_RATE:
        return sum(values) / (period / SECOND)
    if aligner == Aggregation.Aligner.ALIGN_MEAN or (not aligner and series.kind == "GAUGE"):
        return sum(values) / len(values)
    if aligner == Aggregation.Aligner.ALIGN_MAX:
        return max(values)
    return sum(values)


def _value(series: Series, values: list[Any], aggregation: Any) -> dict[str, Any]:
    if series.value == "DISTRIBUTION":
        return {"distribution_value": _distribution([x for observed in values for x in observed])}
    reducer = aggregation.cross_series_reducer
    if reducer == Aggregation.Reducer.REDUCE_MEAN:
        total = sum(values) / len(values)
    elif reducer == Aggregation.Reducer.REDUCE_MAX:
        total = max(values)
    else:
        total = sum(values)
    whole = series.value == "INT64" and total == int(total) and aggregation.per_series_aligner != Aggregation.Aligner.ALIGN_RATE
    return {"int64_value": int(total)} if whole else {"double_value": float(total)}


def _distribution(observed: list[float]) -> dict[str, Any]:
    mean = sum(observed) / len(observed)
    counts = [0] * (_BUCKETS + 2)
    for x in observed:
        index = 0
        edge = _SCALE
        while x >= edge and index <= _BUCKETS:
            index, edge = index + 1, edge * _GROWTH
        counts[index] += 1
    return {
        "count": len(observed),
        "mean": mean,
        "sum_of_squared_deviation": sum((x - mean) ** 2 for x in observed),
        "bucket_options": {"exponential_buckets": {"num_finite_buckets": _BUCKETS, "growth_factor": _GROWTH, "scale": _SCALE}},
        "bucket_counts": counts,
    }
