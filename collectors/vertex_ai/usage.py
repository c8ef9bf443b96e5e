"""What Cloud Monitoring knows of a Vertex AI endpoint, as usage buckets."""

from __future__ import annotations

from collections.abc import Iterator

from collectors.google_api import Clients
from collectors.google_monitoring import Metric, Reading, buckets_of, read_metrics
from trial.calendar import Window
from trial.config import VertexEndpoint
from trial.meter import Meter
from trial.records import UsageBucket

SOURCE = "cloud-monitoring"

_ONLINE = "aiplatform.googleapis.com/prediction/online"
METRICS = {
    "responses": Metric(type=f"{_ONLINE}/response_count", split_by="response_code"),
    "predictions": Metric(type=f"{_ONLINE}/prediction_count"),
    "errors": Metric(type=f"{_ONLINE}/error_count"),
    "latencies": Metric(type=f"{_ONLINE}/prediction_latencies", only={"latency_type": "total"}),
    "duty": Metric(type=f"{_ONLINE}/accelerator/duty_cycle", adds="share"),
    "replicas": Metric(type=f"{_ONLINE}/replicas", adds="level"),
}
PERCENTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


def usage_buckets(clients: Clients, endpoint: VertexEndpoint, window: Window, *, meter: Meter) -> Iterator[UsageBucket]:
    """
    One bucket per hour of the window, or none at all where no metric has a point in it.

    Requests are responses of any code, failures while scaling up from zero among them; where that metric has no points,
    predictions, of which a request with several instances may count several.
    """
    resource = {"type": "aiplatform.googleapis.com/Endpoint", "endpoint_id": endpoint.endpoint_id, "location": endpoint.region}
    read = read_metrics(clients, project=endpoint.project, metrics=METRICS, resource=resource, window=window, meter=meter)
    if not any(read.values()):
        return
    counted = "responses" if read["responses"] else "predictions"
    failed = "errors" if read["errors"] else "responses"
    for number, bucket in enumerate(buckets_of(window)):
        # An hour without points is a zero for a metric that counted in other hours, and unknown for one that never did.
        requests = read[counted].get(number, Reading()).numbers
        failures = {k: v for k, v in read[failed].get(number, Reading()).numbers.items() if failed == "errors" or _is_error(k)}
        latencies = read["latencies"].get(number, Reading()).histogram
        duty, replicas = (read[name].get(number, Reading()).numbers for name in ("duty", "replicas"))
        yield UsageBucket(
            endpoint=endpoint.name,
            source=SOURCE,
            start=bucket.start,
            end=bucket.end,
            requests=round(sum(requests.values())) if read[counted] else None,
            errors=round(sum(failures.values())) if read[failed] else None,
            latency_ms_sum=latencies.total if latencies else None,
            latency_ms={p: v for p, share in PERCENTILES.items() if latencies and (v := latencies.percentile(share)) is not None},
            gpu_utilisation=sum(duty.values()) if duty else None,
            instances=sum(replicas.values()) if replicas else None,
        )


def _is_error(response_code: str) -> bool:
    """Of "2xx" or "429", as the metric's label has been seen written both ways."""
    return response_code[:1] in ("4", "5")
