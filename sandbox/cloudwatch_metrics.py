"""CloudWatch's GetMetricData over the counters the platform keeps itself."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sandbox.clock import Clock
from sandbox.cloudwatch_logs import ApiError
from sandbox.instants import HOUR, MINUTE, SECOND, to_datetime, to_us

DAY = 24 * HOUR
# (points younger than, shortest period kept): older one-minute points are only there rolled up.
_KEPT = ((15 * DAY, 60), (63 * DAY, 300), (455 * DAY, 3600))
MAX_QUERIES, MAX_POINTS = 500, 100_800


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One metric's raw observations, (at in microseconds, value) each."""

    namespace: str
    name: str
    dimensions: Mapping[str, str]
    points: Iterable[tuple[int, float]]
    unit: str = "Count"


class CloudWatchMetrics:
    """Answers GetMetricData: Sum, Average, Minimum, Maximum, SampleCount and percentiles, in periods aligned to the epoch."""

    def __init__(self, metrics: Iterable[Metric], *, clock: Clock) -> None:
        self._clock = clock
        self._minutes: dict[tuple[Any, ...], dict[int, list[float]]] = {}
        for metric in metrics:
            minutes: dict[int, list[float]] = defaultdict(list)
            for at, value in metric.points:
                minutes[at // MINUTE * MINUTE].append(value)
            self._minutes[_key(metric.namespace, metric.name, metric.dimensions)] = dict(minutes)

    def get_metric_data(self, given: Mapping[str, Any]) -> dict[str, Any]:
        queries = given.get("MetricDataQueries") or []
        if not queries or len(queries) > MAX_QUERIES:
            raise ApiError("ValidationError", f"MetricDataQueries must hold 1 to {MAX_QUERIES} queries")
        begin, end = to_us(given["StartTime"]), to_us(given["EndTime"])
        if begin >= end:
            raise ApiError("ValidationError", "The parameter StartTime must be less than the parameter EndTime.")
        limit = int(given.get("MaxDatapoints") or MAX_POINTS)
        skip = int(given.get("NextToken") or 0)
        results, index = [], 0
        for query in queries:
            if "MetricStat" not in query:
                raise ApiError("ValidationError", "Metric math expressions are not offered here")
            points = self._points(query, begin, end)
            if given.get("ScanBy", "TimestampDescending") == "TimestampDescending":
                points.reverse()
            # One page holds the points [skip, skip + limit) of all queries laid end to end.
            taken = points[max(0, skip - index) : max(0, skip + limit - index)]
            index += len(points)
            results.append(
                {
                    "Id": query["Id"],
                    "Label": query.get("Label") or query["MetricStat"]["Metric"]["MetricName"],
                    "Timestamps": [at for at, _ in taken],
                    "Values": [value for _, value in taken],
                    "StatusCode": "Complete" if index <= skip + limit else "PartialData",
                }
            )
        return {"MetricDataResults": results, "Messages": [], **({"NextToken": str(skip + limit)} if index > skip + limit else {})}

    def _points(self, query: Mapping[str, Any], begin: int, end: int) -> list[tuple[datetime, float]]:
        stat = query["MetricStat"]
        period, metric = int(stat["Period"]), stat["Metric"]
        if period <= 0 or (period > 60 and period % 60):
            raise ApiError("ValidationError", "The parameter Period must be a multiple of 60")
        dimensions = {d["Name"]: d["Value"] for d in metric.get("Dimensions") or ()}
        minutes = self._minutes.get(_key(metric["Namespace"], metric["MetricName"], dimensions), {})
        step, now, sums = max(period, 60) * SECOND, self._clock.us, defaultdict(list)
        for at, values in minutes.items():
            # A minute's point is there about two minutes after it ended.
            if begin <= at < end and at + 3 * MINUTE <= now and period >= _shortest(now - at):
                sums[at // step * step].extend(values)
        return [(to_datetime(at), _statistic(stat["Stat"], values)) for at, values in sorted(sums.items()) if begin <= at]


def _key(namespace: str, name: str, dimensions: Mapping[str, str]) -> tuple[Any, ...]:
    return (namespace, name, *sorted(dimensions.items()))


def _shortest(age: int) -> float:
    return next((period for young, period in _KEPT if age < young), float("inf"))


def _statistic(name: str, values: list[float]) -> float:
    if name in ("Sum", "Average", "Minimum", "Maximum", "SampleCount"):
        total = float(sum(values))
        return {
            "Sum": total,
            "Average": total / len(values),
            "Minimum": min(values),
            "Maximum": max(values),
            "SampleCount": float(len(values)),
        }[name]
    if name.startswith("p") and name[1:].replace(".", "", 1).isdigit():
        ordered = sorted(values)
        return float(ordered[min(len(ordered) - 1, int(float(name[1:]) / 100 * len(ordered)))])
    raise ApiError("ValidationError", f"The value {name} for parameter Stat is not supported.")
