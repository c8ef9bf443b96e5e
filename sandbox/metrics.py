"""The platforms' own counters, made from what happened."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from sandbox.cloud_monitoring import Series
from sandbox.cloudwatch_metrics import Metric
from sandbox.endpoints import Endpoint
from sandbox.instants import MINUTE, MS, SECOND
from sandbox.logs_cloud_run import REGION, SERVICE

_PREFIX = "run.googleapis.com"
_FAILED = frozenset(("timeout", "crash", "out-of-memory", "error", "killed"))


def lambda_metrics(endpoint: Endpoint, *, function: str) -> Iterator[Metric]:
    """Invocations, Errors, Throttles and Duration of AWS/Lambda by FunctionName, on the minute a request was taken."""
    taken = [r for r in endpoint.history.requests if r.worker is not None]
    dimensions = {"FunctionName": function}
    yield Metric(namespace="AWS/Lambda", name="Invocations", dimensions=dimensions, points=[(r.taken_us, 1.0) for r in taken])
    errors = [(r.taken_us, float(r.fate in _FAILED)) for r in taken]
    yield Metric(namespace="AWS/Lambda", name="Errors", dimensions=dimensions, points=errors)
    yield Metric(namespace="AWS/Lambda", name="Throttles", dimensions=dimensions, points=[(r.taken_us, 0.0) for r in taken])
    durations = [(r.taken_us, r.handler_us / MS) for r in taken]
    yield Metric(namespace="AWS/Lambda", name="Duration", dimensions=dimensions, points=durations, unit="Milliseconds")


def cloud_run_series(endpoint: Endpoint) -> Iterator[Series]:
    """
    request_count and request_latencies on the minute a request ended, of those that reached a container; start-ups; instances.

    The counter leaves out requests without an instance and those refused before it.
    """
    labels = {"project_id": "acme", "location": REGION, "service_name": SERVICE, "configuration_name": SERVICE}
    counts: dict[int, int] = defaultdict(int)
    latencies: dict[int, list[float]] = defaultdict(list)
    for request in endpoint.history.requests:
        if request.worker is not None:
            minute = request.ended_us // MINUTE * MINUTE
            counts[minute] += 1
            latencies[minute].append((request.ended_us - request.taken_us) / MS)
    for at in endpoint.health:
        counts[at // MINUTE * MINUTE] += 1
    code = {"response_code": "200", "response_code_class": "2xx"}
    starts: dict[int, list[float]] = defaultdict(list)
    billable: dict[int, float] = defaultdict(float)
    alive: dict[int, int] = defaultdict(int)
    for worker in endpoint.history.workers:
        starts[worker.ready_us // MINUTE * MINUTE].append(worker.start_up_us / MS)
        minute = worker.started_us // MINUTE * MINUTE
        while minute < worker.stopped_us:
            part = min(worker.stopped_us, minute + MINUTE) - max(worker.started_us, minute)
            billable[minute] += part / SECOND
            alive[minute] += 1
            minute += MINUTE
    yield _series(f"{_PREFIX}/request_count", "DELTA", "INT64", counts, labels, code)
    yield _series(f"{_PREFIX}/request_latencies", "DELTA", "DISTRIBUTION", latencies, labels, code)
    yield _series(f"{_PREFIX}/container/startup_latencies", "DELTA", "DISTRIBUTION", starts, labels, {})
    yield _series(f"{_PREFIX}/container/billable_instance_time", "DELTA", "DOUBLE", billable, labels, {})
    yield _series(f"{_PREFIX}/container/instance_count", "GAUGE", "INT64", alive, labels, {"state": "active"})


def _series(
    kind: str, metric_kind: str, value: str, minutes: dict[int, Any], labels: dict[str, str], metric_labels: dict[str, str]
) -> Series:
    return Series(type=kind, kind=metric_kind, value=value, minutes=dict(minutes), resource_labels=labels, metric_labels=metric_labels)
