"""What CloudWatch metrics counted for a function: the yardstick of completeness."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from collectors.aws_errors import mapped, whole
from collectors.aws_lambda.streams import bare_function
from trial.calendar import Window
from trial.errors import Unreachable
from trial.meter import Meter
from trial.records import UsageBucket

SOURCE = "cloudwatch-metrics"
# Five-minute points are kept for 63 days, hours for 455: the coarser ones are asked for where the finer are gone.
PERIODS_S = (300, 3600)
_METRICS = {"invocations": "Invocations", "errors": "Errors", "throttles": "Throttles", "duration": "Duration"}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def fetch_usage(clients: Any, endpoint: Any, window: Window, *, meter: Meter) -> Iterator[UsageBucket]:
    """
    Invocations, Errors, Throttles and the sum of Duration, in buckets that lie inside the window.

    A bucket without points is absent, not zero: the service writes none where nothing ran, and none where they expired.

    Raises:
        Denied, Throttled, Unreachable: mapped from what the client raised, after its own retries.
    """
    if clients.metrics is None:
        return
    function = bare_function(endpoint.function)
    where = f"CloudWatch metrics of {function} in {endpoint.region}"
    with mapped(where=where, grant="Grant cloudwatch:GetMetricData", find="Check `function` and `region`"):
        for period_s in PERIODS_S:
            points = _points(clients, function, window, period_s, meter=meter, where=where)
            if points:
                break
    for start in sorted(points):
        found = points[start]
        yield UsageBucket(
            endpoint=endpoint.name,
            source=SOURCE,
            start=start,
            end=start + timedelta(seconds=period_s),
            requests=_whole(found.get("invocations")),
            errors=_whole(found.get("errors")),
            throttled=_whole(found.get("throttles")),
            latency_ms_sum=found.get("duration"),
        )


def _points(clients: Any, function: str, window: Window, period_s: int, *, meter: Meter, where: str) -> dict[datetime, dict[str, float]]:
    """Values by bucket start and metric."""
    period = timedelta(seconds=period_s)
    # Aligned inwards: the service would round outwards, and count a neighbour day's requests.
    start, end = _EPOCH - (_EPOCH - window.start) // period * period, _EPOCH + (window.end - _EPOCH) // period * period
    points: dict[datetime, dict[str, float]] = {}
    if start >= end:
        return points
    arguments: dict[str, Any] = {
        "StartTime": start,
        "EndTime": end,
        "ScanBy": "TimestampAscending",
        "MetricDataQueries": [
            {
                "Id": name,
                "MetricStat": {
                    "Metric": {
                        "Namespace": "AWS/Lambda",
                        "MetricName": metric,
                        "Dimensions": [{"Name": "FunctionName", "Value": function}],
                    },
                    "Period": period_s,
                    "Stat": "Sum",
                },
            }
            for name, metric in _METRICS.items()
        ],
    }
    while True:
        page = whole(partial(clients.metrics.get_metric_data, **arguments), key="MetricDataResults", where=where)
        meter.calls += 1 + page.get("ResponseMetadata", {}).get("RetryAttempts", 0)
        meter.metrics += len(_METRICS)
        for result in page["MetricDataResults"]:
            if result.get("StatusCode") in ("InternalError", "Forbidden"):
                raise Unreachable(f"no data for {result.get('Id')}: {result['StatusCode']}", where=where, do="Collect again later")
            for at, value in zip(result.get("Timestamps", ()), result.get("Values", ()), strict=True):
                points.setdefault(at.astimezone(UTC), {})[result["Id"]] = value
        token = page.get("NextToken")
        if not token:
            return {at: found for at, found in points.items() if start <= at < end}
        arguments["NextToken"] = token


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)
