"""What Cloud Monitoring knows of a Cloud Run service, as usage buckets."""

from __future__ import annotations

from collections.abc import Iterator

from collectors.google_api import Clients
from collectors.google_monitoring import Metric, Reading, buckets_of, read_metrics
from trial.calendar import Window
from trial.config import CloudRunEndpoint
from trial.meter import Meter
from trial.records import UsageBucket

SOURCE = "cloud-monitoring"

METRICS = {
    "requests": Metric(type="run.googleapis.com/request_count", split_by="response_code_class"),
    "latencies": Metric(type="run.googleapis.com/request_latencies"),
    "billable": Metric(type="run.googleapis.com/container/billable_instance_time"),
    "starts": Metric(type="run.googleapis.com/container/startup_latencies"),
    "instances": Metric(type="run.googleapis.com/container/instance_count", adds="level"),
    "gpu": Metric(type="run.googleapis.com/container/gpu/utilizations"),
}
ERRORS = ("4xx", "5xx")
PERCENTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


def usage_buckets(clients: Clients, endpoint: CloudRunEndpoint, window: Window, *, meter: Meter) -> Iterator[UsageBucket]:
    """One bucket per hour of the window, or none at all where no metric has a point in it."""
    resource = {"type": "cloud_run_revision", "service_name": endpoint.service, "location": endpoint.region}
    read = read_metrics(clients, project=endpoint.project, metrics=METRICS, resource=resource, window=window, meter=meter)
    if not any(read.values()):
        return
    # Counts are written only while there is something to count: beside hours that have points, an hour without is a zero.
    # A metric without any point in the window says nothing, and stays None.
    zero = {name: Reading(numbers={"": 0.0}) if read[name] else Reading() for name in ("requests", "billable")}
    for number, bucket in enumerate(buckets_of(window)):
        requests = read["requests"].get(number, zero["requests"]).numbers
        billable = read["billable"].get(number, zero["billable"]).numbers
        latencies, starts, gpu = (read[name].get(number, Reading()).histogram for name in ("latencies", "starts", "gpu"))
        instances = read["instances"].get(number, Reading()).numbers
        yield UsageBucket(
            endpoint=endpoint.name,
            source=SOURCE,
            start=bucket.start,
            end=bucket.end,
            requests=round(sum(requests.values())) if requests else None,
            errors=round(sum(requests.get(code, 0) for code in ERRORS)) if requests else None,
            billed_ms=sum(billable.values()) * 1000 if billable else None,
            latency_ms_sum=latencies.total if latencies else None,
            latency_ms={p: v for p, share in PERCENTILES.items() if latencies and (v := latencies.percentile(share)) is not None},
            gpu_utilisation=gpu.mean if gpu else None,
            instances=sum(instances.values()) if instances else None,
            starts=starts.count if starts else (0 if read["starts"] else None),
        )
