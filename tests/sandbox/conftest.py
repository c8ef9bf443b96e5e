"""Small worlds, built once; and the vendors' real clients pointed at a served one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from types import SimpleNamespace

import boto3
import grpc
import httpx
import pytest
from botocore.config import Config
from google.cloud.logging_v2.services.logging_service_v2 import LoggingServiceV2Client
from google.cloud.logging_v2.services.logging_service_v2.transports import LoggingServiceV2GrpcTransport
from google.cloud.monitoring_v3 import MetricServiceClient
from google.cloud.monitoring_v3.services.metric_service.transports import MetricServiceGrpcTransport

from sandbox.faults import NO_FAULTS
from sandbox.plans import default_plans, replicate_plan
from sandbox.world import build_world

MONDAY = date(2026, 11, 2)


@pytest.fixture(scope="session")
def plans():
    return {plan.platform: plan for plan in (*default_plans(), replicate_plan())}


@pytest.fixture(scope="session")
def small_world():
    """Three days of all three platforms with every case, at a third of the traffic."""
    return build_world(days=3, scale=0.35, start=MONDAY)


@pytest.fixture
def one_platform(plans):
    """Builds a world of one platform: one_platform("runpod", cases=["late"], days=2)."""

    def make(platform: str, *, days: int = 3, scale: float = 0.35, cases=(), **changed):
        return build_world(days=days, scale=scale, start=MONDAY, cases=cases, plans=[replace(plans[platform], **changed)])

    return make


@pytest.fixture
def aws() -> Iterator[Callable[..., object]]:
    """aws(service, url) -> a boto3 client that retries like the collectors' and waits little."""
    made = []

    def client(service: str, url: str, *, attempts: int = 6):
        one = boto3.client(
            service,
            endpoint_url=url,
            region_name="us-east-1",
            aws_access_key_id="AKIAIOSFODNN7EXAMPLE",
            aws_secret_access_key="wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            config=Config(retries={"mode": "standard", "total_max_attempts": attempts}, connect_timeout=3, read_timeout=10),
        )
        made.append(one)
        return one

    yield client
    for one in made:
        one.close()


@pytest.fixture
def google() -> Iterator[Callable[[str], SimpleNamespace]]:
    """google(address) -> the GAPIC clients over one insecure channel."""
    channels = []

    def clients(address: str) -> SimpleNamespace:
        channel = grpc.insecure_channel(address)
        channels.append(channel)
        return SimpleNamespace(
            logging=LoggingServiceV2Client(transport=LoggingServiceV2GrpcTransport(channel=channel)),
            monitoring=MetricServiceClient(transport=MetricServiceGrpcTransport(channel=channel)),
        )

    yield clients
    for channel in channels:
        channel.close()


@pytest.fixture
def runpod_http():
    """runpod_http(url, key) -> an httpx client with the bearer key."""
    made: list[httpx.Client] = []

    def client(url: str, key: str | None) -> httpx.Client:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        made.append(httpx.Client(base_url=url, headers=headers, timeout=5))
        return made[-1]

    yield client
    for one in made:
        one.close()


@pytest.fixture
def quiet():
    """No faults at all."""
    return NO_FAULTS
