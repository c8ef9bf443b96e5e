"""Cloud Monitoring's timeSeries.list, added up into equal buckets of a window."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from collectors.google_api import Clients, Pace
from collectors.google_entry import quoted
from collectors.google_histogram import Histogram
from trial.calendar import Window
from trial.meter import Meter

HOUR_S = 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """
    One metric, and how its points add up.

    Args:
        type: the metric type's full name.
        adds: "delta" for what happened in a period (summed over time and series), "level" for what there was at a moment
            (averaged over time, summed over series), "share" for a utilisation (averaged over both).
        split_by: one metric label whose values are kept apart.
        only: metric labels that must have these values.
    """

    type: str
    adds: Literal["delta", "level", "share"] = "delta"
    split_by: str | None = None
    only: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One metric in one bucket: numbers by the value of its split label ("" without one), or the merged distribution."""

    numbers: dict[str, float] = field(default_factory=dict)
    histogram: Histogram | None = None


def buckets_of(window: Window) -> list[Window]:
    """Hours where the window is a whole number of them (every local day of a zone with whole-hour shifts), else one bucket."""
    hours, rest = divmod(window.seconds, HOUR_S)
    return window.split(int(hours)) if hours >= 1 and rest == 0 else [window]


def read_metrics(
    clients: Clients, *, project: str, metrics: Mapping[str, Metric], resource: Mapping[str, str], window: Window, meter: Meter
) -> dict[str, dict[int, Reading]]:
    """Each metric as `read_metric` reads it, by name."""
    return {
        name: read_metric(
            clients.monitoring,
            project=project,
            metric=metric,
            resource=resource,
            window=window,
            pace=clients.monitoring_pace,
            meter=meter,
        )
        for name, metric in metrics.items()
    }


def read_metric(
    client: Any, *, project: str, metric: Metric, resource: Mapping[str, str], window: Window, pace: Pace, meter: Meter
) -> dict[int, Reading]:
    """
    The metric by number of bucket; buckets without a point are absent: whether that means zero depends on the metric.

    Points are asked for one per bucket and summed over revisions, instances and zones; finer ones, as some
    servers return them, give the same sums. A metric that was never written in the project is an empty answer.

    Args:
        resource: "type" and the resource labels to match.

    Raises:
        google.api_core.exceptions.GoogleAPIError: as the client raises it, after the pace's attempts.
    """
    from google.api_core import exceptions as google

    buckets = buckets_of(window)
    period = (window.end - window.start) / len(buckets)
    sums: dict[int, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    moments: dict[int, set[datetime]] = defaultdict(set)
    points: dict[int, int] = defaultdict(int)
    histograms: dict[int, Histogram] = {}
    try:
        for series in _series(client, _request(project, metric, resource, window, period), pace, meter):
            key = series.metric.labels.get(metric.split_by, "") if metric.split_by else ""
            for point in series.points:
                meter.events += 1
                end = point.interval.end_time.ToDatetime(tzinfo=UTC)
                # A point belongs to the period it ends: the API's intervals leave their start out and keep their end in.
                number = -((window.start - end) // period) - 1
                if not 0 <= number < len(buckets):
                    continue
                if point.value.WhichOneof("value") == "distribution_value":
                    held = Histogram.of(point.value.distribution_value)
                    histograms[number] = histograms[number] + held if number in histograms else held
                else:
                    sums[number][key] += _number(point.value)
                    moments[number].add(end)
                    points[number] += 1
    except google.NotFound:
        return {}
    found: dict[int, Reading] = {}
    for number in sorted(sums.keys() | histograms.keys()):
        over = {"delta": 1, "level": len(moments[number]), "share": points[number]}[metric.adds]
        numbers = {key: value / over for key, value in sorted(sums[number].items())}
        found[number] = Reading(numbers=numbers, histogram=histograms.get(number))
    return found


def _request(project: str, metric: Metric, resource: Mapping[str, str], window: Window, period: timedelta) -> Any:
    from google.cloud.monitoring_v3.types import Aggregation, ListTimeSeriesRequest, TimeInterval

    clauses = [f"metric.type={quoted(metric.type)}", f"resource.type={quoted(resource['type'])}"]
    clauses += [f"resource.labels.{name}={quoted(value)}" for name, value in resource.items() if name != "type"]
    clauses += [f"metric.labels.{name}={quoted(value)}" for name, value in metric.only.items()]
    aligner = Aggregation.Aligner.ALIGN_DELTA if metric.adds == "delta" else Aggregation.Aligner.ALIGN_MEAN
    reducer = Aggregation.Reducer.REDUCE_MEAN if metric.adds == "share" else Aggregation.Reducer.REDUCE_SUM
    return ListTimeSeriesRequest(
        name=f"projects/{project}",
        filter=" AND ".join(clauses),
        interval=TimeInterval(start_time=window.start, end_time=window.end),
        aggregation=Aggregation(
            alignment_period=period,
            per_series_aligner=aligner,
            cross_series_reducer=reducer,
            group_by_fields=[f"metric.labels.{metric.split_by}"] if metric.split_by else [],
        ),
        view=ListTimeSeriesRequest.TimeSeriesView.FULL,
    )


def _series(client: Any, request: Any, pace: Pace, meter: Meter) -> Iterator[Any]:
    from google.cloud.monitoring_v3.types import ListTimeSeriesRequest, ListTimeSeriesResponse

    while True:

        def send(request: ListTimeSeriesRequest = request) -> ListTimeSeriesResponse:
            pager = client.list_time_series(request=request, retry=None, timeout=pace.timeout_s)
            return next(iter(pager.pages))

        page = ListTimeSeriesResponse.pb(pace.call(send, meter=meter))
        meter.bytes += page.ByteSize()
        meter.metrics += max(1, len(page.time_series))  # an empty answer counts as one
        yield from page.time_series
        if not page.next_page_token:
            return
        request = ListTimeSeriesRequest(request, page_token=page.next_page_token)


def _number(value: Any) -> float:
    return float(getattr(value, value.WhichOneof("value")))
