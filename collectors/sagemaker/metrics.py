"""CloudWatch's points for one endpoint variant, by bucket and metric, in the units CloudWatch has them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from collectors.aws_errors import mapped, whole
from trial.calendar import Window
from trial.errors import Unreachable
from trial.meter import Meter

SOURCE = "cloudwatch-metrics"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SERVICE, HOST = "AWS/SageMaker", "/aws/sagemaker/Endpoints"


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One statistic of one metric; `id` names it in the answer."""

    id: str
    name: str
    stat: str
    namespace: str = SERVICE


def read_points(
    client: Any, endpoint: Any, metrics: tuple[Metric, ...], window: Window, *, period_s: int, meter: Meter
) -> Iterator[tuple[datetime, Mapping[str, float]]]:
    """
    (start of bucket, values by Metric.id) for every bucket inside the window that has a point at all, in order of time.

    A minute in which nothing happened has no point; it is absent here, and not zero.

    Raises:
        Denied, NotFound, Throttled, Unreachable, Malformed: mapped from what the client raised, after its own retries.
    """
    where = f"CloudWatch metrics of endpoint {endpoint.endpoint_name} in {endpoint.region}"
    period = timedelta(seconds=period_s)
    # Aligned inwards: the service would round outwards, and count a neighbour day's requests.
    start, end = _EPOCH - (_EPOCH - window.start) // period * period, _EPOCH + (window.end - _EPOCH) // period * period
    if start >= end:
        return
    points: dict[datetime, dict[str, float]] = {}
    arguments: dict[str, Any] = {
        "StartTime": start,
        "EndTime": end,
        "ScanBy": "TimestampAscending",
        "MetricDataQueries": [_query(metric, endpoint, period_s) for metric in metrics],
    }
    with mapped(where=where, grant="Grant cloudwatch:GetMetricData", find="Check `endpoint_name`, `variant` and `region`"):
        while True:
            page = whole(partial(client.get_metric_data, **arguments), key="MetricDataResults", where=where)
            answer = page.get("ResponseMetadata", {})
            meter.calls += 1 + answer.get("RetryAttempts", 0)
            meter.metrics += len(metrics)
            meter.bytes += int(answer.get("HTTPHeaders", {}).get("content-length", 0))
            for result in page["MetricDataResults"]:
                if result.get("StatusCode") in ("InternalError", "Forbidden"):
                    raise Unreachable(f"no data for {result.get('Id')}: {result['StatusCode']}", where=where, do="Collect again later")
                for at, value in zip(result.get("Timestamps", ()), result.get("Values", ()), strict=True):
                    points.setdefault(at.astimezone(UTC), {})[result["Id"]] = value
            token = page.get("NextToken")
            if not token:
                break
            arguments["NextToken"] = token
    yield from sorted((at, found) for at, found in points.items() if start <= at < end)


def _query(metric: Metric, endpoint: Any, period_s: int) -> dict[str, Any]:
    dimensions = [{"Name": "EndpointName", "Value": endpoint.endpoint_name}, {"Name": "VariantName", "Value": endpoint.variant}]
    about = {"Namespace": metric.namespace, "MetricName": metric.name, "Dimensions": dimensions}
    return {"Id": metric.id, "MetricStat": {"Metric": about, "Period": period_s, "Stat": metric.stat}}
