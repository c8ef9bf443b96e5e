"""Starts the servers an endpoint list needs and stops them again."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial

from sandbox.bills import Rates
from sandbox.clock import Clock
from sandbox.cloud_logging import CloudLogging
from sandbox.cloud_monitoring import CloudMonitoring
from sandbox.cloudwatch import CloudWatch, serve_cloudwatch
from sandbox.cloudwatch_logs import CloudWatchLogs, LogGroup
from sandbox.cloudwatch_metrics import CloudWatchMetrics
from sandbox.endpoints import Endpoint
from sandbox.faults import Dice, Faults
from sandbox.google_grpc import serve_grpc
from sandbox.http_server import serve_http
from sandbox.instants import HOUR
from sandbox.logs_cloud_run import PROJECT
from sandbox.metrics import cloud_run_series, lambda_metrics
from sandbox.replicate import Replicate
from sandbox.runpod import Runpod

FUNCTION = "summariser"
SHARED_GROUP = "/acme/inference"


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """
    Where the servers listen; None for a platform without an endpoint.

    Args:
        cloudwatch, runpod, replicate: http://127.0.0.1:<port>; google: 127.0.0.1:<port>, plain gRPC.
        services: the servers' own objects by platform, whose `calls` a test can read; "google-methods" the set of gRPC methods called.
    """

    cloudwatch: str | None
    google: str | None
    runpod: str | None
    replicate: str | None
    services: dict[str, object]

    def of(self, platform: str) -> str | None:
        return {"aws-lambda": self.cloudwatch, "cloud-run": self.google, "runpod": self.runpod, "replicate": self.replicate}.get(platform)


@contextlib.contextmanager
def serve(endpoints: Iterable[Endpoint], *, clock: Clock, rates: Rates, faults: Faults) -> Iterator[Addresses]:
    """One address per platform; of two endpoints on one platform the first is served."""
    by_platform: dict[str, Endpoint] = {}
    for endpoint in endpoints:
        by_platform.setdefault(endpoint.plan.platform, endpoint)
    services: dict[str, object] = {}
    with contextlib.ExitStack() as stack:
        dice = partial(Dice, faults)
        cloudwatch = google = runpod = replicate = None
        if "aws-lambda" in by_platform:
            service = _cloudwatch(by_platform["aws-lambda"], clock, dice("logs"), dice("cloudwatch"))
            services["aws-lambda"] = service
            cloudwatch = stack.enter_context(serve_cloudwatch(service))
        if "cloud-run" in by_platform:
            endpoint = by_platform["cloud-run"]
            logging = CloudLogging(endpoint.events, project=PROJECT, clock=clock, dice=dice("logging"))
            monitoring = CloudMonitoring(cloud_run_series(endpoint), project=PROJECT, clock=clock, dice=dice("monitoring"))
            asked: set[str] = set()
            services["cloud-run"], services["monitoring"], services["google-methods"] = logging, monitoring, asked
            google = stack.enter_context(
                serve_grpc({CloudLogging.SERVICE: logging.methods(), CloudMonitoring.SERVICE: monitoring.methods()}, asked=asked)
            )
        if "runpod" in by_platform:
            api = Runpod(by_platform["runpod"], rate=rates.runpod_second, clock=clock, dice=dice("runpod"))
            services["runpod"] = api
            runpod = stack.enter_context(serve_http(api))
        if "replicate" in by_platform:
            account = Replicate(by_platform["replicate"], clock=clock, dice=dice("replicate"))
            services["replicate"] = account
            replicate = stack.enter_context(serve_http(account))
        yield Addresses(cloudwatch=cloudwatch, google=google, runpod=runpod, replicate=replicate, services=services)


def log_group(cases: frozenset[str]) -> str:
    return SHARED_GROUP if "shared-group" in cases else f"/aws/lambda/{FUNCTION}"


def _cloudwatch(endpoint: Endpoint, clock: Clock, logs_dice: Dice, wire_dice: Dice) -> CloudWatch:
    group = LogGroup(
        name=log_group(endpoint.cases),
        events=endpoint.events,
        created_us=min((e.at_us for e in endpoint.events), default=0) - HOUR,
        retention_days=7 if "short-retention" in endpoint.cases else None,
        group_class="DELIVERY" if "delivery-class" in endpoint.cases else "STANDARD",
    )
    logs = CloudWatchLogs([group], clock=clock, dice=logs_dice)
    metrics = CloudWatchMetrics(lambda_metrics(endpoint, function=FUNCTION), clock=clock)
    return CloudWatch(logs=logs, metrics=metrics, dice=wire_dice)
