"""What SageMaker counted for an endpoint, as usage buckets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from collectors.sagemaker.metrics import HOST, SOURCE, Metric, read_points
from trial.calendar import Window
from trial.meter import Meter
from trial.records import UsageBucket

# Microseconds in CloudWatch; Inference Recommender's metrics of like names are in milliseconds.
_US_PER_MS = 1000.0
METRICS = (
    Metric(id="invocations", name="Invocations", stat="Sum"),
    Metric(id="per_instance", name="InvocationsPerInstance", stat="Sum"),
    Metric(id="errors_4xx", name="Invocation4XXErrors", stat="Sum"),
    Metric(id="errors_5xx", name="Invocation5XXErrors", stat="Sum"),
    Metric(id="model_sum", name="ModelLatency", stat="Sum"),
    Metric(id="overhead_sum", name="OverheadLatency", stat="Sum"),
    Metric(id="model_p50", name="ModelLatency", stat="p50"),
    Metric(id="model_p95", name="ModelLatency", stat="p95"),
    Metric(id="model_p99", name="ModelLatency", stat="p99"),
    Metric(id="setups", name="ModelSetupTime", stat="SampleCount"),
    Metric(id="cache_hit", name="ModelCacheHit", stat="Average"),
    Metric(id="gpu", name="GPUUtilization", stat="Average", namespace=HOST),
)


def fetch_usage(clients: Any, endpoint: Any, window: Window, *, meter: Meter) -> Iterator[UsageBucket]:
    """
    Requests, errors, latency and GPU utilisation by the hour (by the quarter hour where the window is not whole hours).

    latency_ms_sum is model plus overhead, its percentiles are of the model alone: percentiles do not add. gpu_utilisation is
    0 to 1 over all GPUs of an instance. instances follows from requests / requests per instance, and is unknown where
    nothing was asked for. starts counts cold starts of serverless endpoints, or model loads of multi-model ones.

    Raises:
        Denied, NotFound, Throttled, Unreachable, Malformed.
    """
    if clients.metrics is None:
        return
    whole_hours = window.start.minute == window.end.minute == 0
    period_s = 3600 if whole_hours else 900
    for start, found in read_points(clients.metrics, endpoint, METRICS, window, period_s=period_s, meter=meter):
        yield _bucket(endpoint, start, start + timedelta(seconds=period_s), found)


def _bucket(endpoint: Any, start: datetime, end: datetime, found: Mapping[str, float]) -> UsageBucket:
    requests = found.get("invocations")
    per_instance = found.get("per_instance")
    errors = [found[name] for name in ("errors_4xx", "errors_5xx") if name in found]
    gpu = found.get("gpu")
    return UsageBucket(
        endpoint=endpoint.name,
        source=SOURCE,
        start=start,
        end=end,
        requests=None if requests is None else round(requests),
        errors=round(sum(errors)) if errors else None,
        latency_ms_sum=(found["model_sum"] + found.get("overhead_sum", 0.0)) / _US_PER_MS if "model_sum" in found else None,
        latency_ms={p: found[f"model_{p}"] / _US_PER_MS for p in ("p50", "p95", "p99") if f"model_{p}" in found},
        gpu_utilisation=None if gpu is None else min(1.0, max(0.0, gpu / 100 / endpoint.resources.gpus)),
        instances=requests / per_instance if requests and per_instance else None,
        starts=_starts(found),
    )


def _starts(found: Mapping[str, float]) -> int | None:
    if "setups" in found:
        return round(found["setups"])
    if "cache_hit" in found and "invocations" in found:
        return round(found["invocations"] * (1 - found["cache_hit"]))
    return None
