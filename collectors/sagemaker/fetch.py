"""The container's log lines, and the minutes in which a scaled-to-zero endpoint turned requests away."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from collectors.aws_errors import mapped, whole
from collectors.pace import Pace
from collectors.sagemaker import metrics
from collectors.sagemaker.metrics import HOST, Metric, read_points
from collectors.sagemaker.usage import fetch_usage
from trial.calendar import Window
from trial.errors import Malformed
from trial.meter import Meter
from trial.records import RawEvent

__all__ = ["Clients", "fetch", "fetch_usage"]

SOURCE = "cloudwatch-logs"
CALLS_PER_SECOND = 5.0  # FilterLogEvents' default quota per account and region
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)
TURNED_AWAY = (
    Metric(id="no_capacity", name="NoCapacityInvocationFailures", stat="Sum"),
    Metric(id="errors_4xx", name="Invocation4XXErrors", stat="Sum"),
    Metric(id="errors_5xx", name="Invocation5XXErrors", stat="Sum"),
    Metric(id="host", name="CPUUtilization", stat="SampleCount", namespace=HOST),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Clients:
    """
    Args:
        logs, metrics: boto3 clients of `logs` and `cloudwatch`; without metrics there are no usage buckets.
        pace: share one between endpoints of the same account and region.
    """

    logs: Any
    metrics: Any = None
    pace: Pace = field(default_factory=lambda: Pace(per_second=CALLS_PER_SECOND))


def fetch(clients: Clients, endpoint: Any, window: Window, *, meter: Meter) -> Iterator[RawEvent]:
    """
    Every line of /aws/sagemaker/Endpoints/<endpoint_name>, and with `instances = 0` the requests turned away.

    Raises:
        Denied, NotFound, Throttled, Unreachable, Malformed: mapped from what the clients raised, after their own retries.
    """
    yield from _lines(clients, endpoint, window, meter)
    if endpoint.instances == 0 and clients.metrics is not None:
        yield from _turned_away(clients.metrics, endpoint, window, meter)


def _lines(clients: Clients, endpoint: Any, window: Window, meter: Meter) -> Iterator[RawEvent]:
    group = f"/aws/sagemaker/Endpoints/{endpoint.endpoint_name}"
    where = f"log group {group} in {endpoint.region}"
    # Epoch ms with both ends inclusive, as the API takes them.
    arguments: dict[str, Any] = {"logGroupName": group, "startTime": _ceil_ms(window.start), "endTime": _ceil_ms(window.end) - 1}
    find = "The group appears when the container first prints; check `endpoint_name` and `region`"
    with mapped(where=where, grant=f"Grant logs:FilterLogEvents on {group}", find=find):
        while True:
            clients.pace.wait()
            page = whole(partial(clients.logs.filter_log_events, **arguments), key="events", where=where)
            answer = page.get("ResponseMetadata", {})
            meter.calls += 1 + answer.get("RetryAttempts", 0)
            meter.throttles += answer.get("RetryAttempts", 0)
            meter.bytes += int(answer.get("HTTPHeaders", {}).get("content-length", 0))
            for event in page.get("events", ()):
                meter.events += 1
                yield _raw(event, where)
            # Pages may be empty and still have a token; only a missing token ends them.
            if not page.get("nextToken"):
                return
            arguments["nextToken"] = page["nextToken"]


def _turned_away(client: Any, endpoint: Any, window: Window, meter: Meter) -> Iterator[RawEvent]:
    """
    Minutes with failures and no instance. While it scales up from zero an endpoint answers with errors for minutes instead of
    queueing; no container runs, so nothing but the metrics shows these callers.
    """
    for at, found in read_points(client, endpoint, TURNED_AWAY, window, period_s=60, meter=meter):
        refused = found.get("no_capacity", 0.0)
        if not found.get("host"):
            refused = max(refused, found.get("errors_4xx", 0.0) + found.get("errors_5xx", 0.0))
        if refused > 0:
            meter.events += 1
            yield RawEvent(
                source=metrics.SOURCE,
                stream="turned-away",
                # A point may still grow when it is read first: the count is part of what it is, and the largest is taken.
                event_id=f"{at:%Y-%m-%dT%H:%MZ}/{round(refused):09d}",
                at=at,
                payload={"requests": round(refused), "period_s": 60},
            )


def _raw(event: dict[str, Any], where: str) -> RawEvent:
    try:
        received = event.get("ingestionTime")
        return RawEvent(
            source=SOURCE,
            stream=event["logStreamName"],
            event_id=event["eventId"],
            at=_EPOCH + event["timestamp"] * _MS,
            payload=event["message"],
            ingested_at=None if received is None else _EPOCH + received * _MS,
        )
    except KeyError as exc:
        raise Malformed(f"an event without {exc.args[0]}", where=where, do="Check `api_endpoint`: the service always sends it") from exc


def _ceil_ms(at: datetime) -> int:
    return -((_EPOCH - at) // _MS)
