"""What `fortnight init` asks to be granted is what is called: by a collection, and by doctor."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from collectors.registry import collector
from flows import policies, wiring
from sandbox.clock import Clock
from sandbox.cloudwatch import CloudWatch, serve_cloudwatch
from sandbox.cloudwatch_logs import CloudWatchLogs, LogGroup
from sandbox.cloudwatch_metrics import CloudWatchMetrics, Metric
from sandbox.emitted import Event
from sandbox.faults import NO_FAULTS, Dice
from sandbox.instants import to_us
from sandbox.logs_cloud_run import PROJECT, REGION, SERVICE
from sandbox.plans import default_plans
from sandbox.world import build_world
from trial import config
from trial.calendar import Window
from trial.meter import Meter

DOCS = Path(__file__).parents[2] / "docs" / "platforms"
DAY = datetime(2026, 11, 2, tzinfo=UTC)
NOW = DAY + timedelta(days=1)
TRIAL = """
[trial]
name = "t"
start = 2026-11-02

[[endpoints]]
name = "e"
"""


def recorded(clients, called: set[str]) -> None:
    """Every call these boto3 clients send, by the name IAM has for it."""
    for client, prefix in ((clients.logs, "logs"), (clients.metrics, "cloudwatch")):
        client.meta.events.register("before-call", lambda model, prefix=prefix, **_: called.add(f"{prefix}:{model.name}"))


def collect_and_probe(trial, clients) -> list:
    endpoint, source = trial.endpoints[0], collector(trial.endpoints[0].platform)
    window = Window(start=DAY, end=NOW)
    list(source.fetch(clients, endpoint, window, meter=Meter()))
    list(source.fetch_usage(clients, endpoint, window, meter=Meter()))
    return list(source.probe(clients, endpoint, trial, now=NOW))


@pytest.fixture
def aws(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")


def test_lambdas_calls_are_those_of_its_policy(tmp_path, monkeypatch):
    plans = [p for p in default_plans() if p.platform == "aws-lambda"]
    world = build_world(days=1, start=date(2026, 11, 2), scale=0.1, cases=(), plans=plans)
    for name, value in world.environment().items():
        monkeypatch.setenv(name, value)
    called: set[str] = set()
    with world.serve(tmp_path) as addresses:
        (tmp_path / "trial.toml").write_text(world.trial_toml(addresses, tmp_path))
        trial = config.load(tmp_path / "trial.toml")
        with wiring.clients(trial.endpoints[0], trial, now=NOW) as clients:
            recorded(clients, called)
            collect_and_probe(trial, clients)
    assert called == set(policies.AWS_ACTIONS["aws-lambda"])


@pytest.mark.parametrize("platform", sorted(policies.GCP_ROLES))
def test_googles_calls_are_those_of_its_roles(platform, tmp_path):
    """Every gRPC method that a collection and doctor call asks for a permission of a role we ask to be granted; and no role is for nothing."""
    plans = [p for p in default_plans() if p.platform == "cloud-run"]
    world = build_world(days=1, start=date(2026, 11, 2), scale=0.1, cases=(), plans=plans)
    page = (DOCS / f"{platform}.md").read_text()
    with world.serve(tmp_path, faults=NO_FAULTS) as addresses:
        named = 'endpoint_id = "77"' if platform == "vertex-ai" else f'service = "{SERVICE}"'
        where = f'project = "{PROJECT}"\nregion = "{REGION}"\napi_endpoint = "{addresses.google}"\n'
        trial = config.parse(f'{TRIAL}platform = "{platform}"\n{named}\n{where}', path=tmp_path / "trial.toml")
        with wiring.clients(trial.endpoints[0], trial, now=NOW) as clients:
            collect_and_probe(trial, clients)
        called = addresses.services["google-methods"]
    assert called == set(policies.GCP_CALLS)
    assert {role for _, role in map(policies.GCP_CALLS.get, called)} == set(policies.GCP_ROLES[platform])
    for permission, role in policies.GCP_CALLS.values():
        assert f"`{permission}`" in page and f"--role={role}" in page


def sagemaker(tmp_path, lines, *, counted=5, group_class="STANDARD", retention=None, more=""):
    """The endpoint's findings, and what was called, against a CloudWatch that holds these lines."""
    group = LogGroup(
        name="/aws/sagemaker/Endpoints/summ",
        events=[
            Event(stream=s, at_us=to_us(DAY) + n * 1000, readable_us=to_us(DAY), order=n, payload=text) for n, (s, text) in enumerate(lines)
        ],
        created_us=to_us(DAY),
        group_class=group_class,
        retention_days=retention,
    )
    dimensions = {"EndpointName": "summ", "VariantName": "AllTraffic"}
    points = [(to_us(DAY) + 60_000_000 * n, 1.0) for n in range(counted)]
    clock = Clock(NOW)
    service = CloudWatch(
        logs=CloudWatchLogs([group], clock=clock, dice=Dice(NO_FAULTS)),
        metrics=CloudWatchMetrics(
            [
                Metric(namespace="AWS/SageMaker", name="Invocations", dimensions=dimensions, points=points),
                Metric(namespace="AWS/SageMaker", name="Invocation5XXErrors", dimensions=dimensions, points=points[:2]),
            ],
            clock=clock,
        ),
        dice=Dice(NO_FAULTS),
    )
    called: set[str] = set()
    with serve_cloudwatch(service) as address:
        text = f'{TRIAL}platform = "sagemaker"\nendpoint_name = "summ"\nregion = "us-east-1"\napi_endpoint = "{address}"\n{more}'
        trial = config.parse(text, path=tmp_path / "trial.toml")
        with wiring.clients(trial.endpoints[0], trial, now=NOW) as clients:
            recorded(clients, called)
            found = collect_and_probe(trial, clients)
    return {f.check: f for f in found}, called


LINE = '{"fortnight":1,"request_id":"a","gpu_ms":5.0,"gpu_ms_source":"cuda_event"}'


@pytest.mark.usefixtures("aws")
def test_sagemakers_calls_are_those_of_its_policy(tmp_path):
    found, called = sagemaker(tmp_path, [("AllTraffic/i-1", LINE)])
    assert called == set(policies.AWS_ACTIONS["sagemaker"])
    assert {check: f.state for check, f in found.items()} == {"retention": "ok"}


@pytest.mark.usefixtures("aws")
def test_sagemaker_requests_that_no_line_tells_of(tmp_path):
    found, _ = sagemaker(tmp_path, [("AllTraffic/i-1", "model loaded")], retention=3)
    assert found["requests in the log"].state == found["retention"].state == "warn"


@pytest.mark.usefixtures("aws")
def test_sagemaker_lines_of_another_variant_alone(tmp_path):
    found, _ = sagemaker(tmp_path, [("Shadow/i-1", LINE)], counted=0)
    assert found["variant"].state == "warn"


@pytest.mark.usefixtures("aws")
def test_sagemaker_refusals_while_scaling_from_zero(tmp_path):
    found, _ = sagemaker(tmp_path, [("AllTraffic/i-1", LINE)], more="instances = 0\n")
    assert found["scale to zero"].state == "warn" and found["scale to zero"].detail.startswith("2 requests")


@pytest.mark.usefixtures("aws")
@pytest.mark.parametrize(
    ("name", "lines", "state"),
    [
        ("INFREQUENT_ACCESS", [("AllTraffic/i-1", LINE)], "ok"),
        ("INFREQUENT_ACCESS", [], "warn"),
        ("ESSENTIALS", [], "warn"),
        ("DELIVERY", [("AllTraffic/i-1", LINE)], "fail"),
    ],
)
def test_a_log_class_is_judged_by_what_could_be_read(name, lines, state, tmp_path):
    found, _ = sagemaker(tmp_path, lines, group_class=name)
    assert found["log class"].state == state
