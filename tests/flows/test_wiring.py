"""Clients are made in one place: with the key the configuration names, at the address it names, and closed afterwards."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from collectors.aws_lambda.fetch import CALLS_PER_SECOND
from collectors.google_api import LOGGING_CALLS
from collectors.pace import Pace
from collectors.registry import collector
from flows import policies, wiring
from sandbox.clock import Clock
from sandbox.cloudwatch import CloudWatch, serve_cloudwatch
from sandbox.cloudwatch_logs import CloudWatchLogs, LogGroup
from sandbox.cloudwatch_metrics import CloudWatchMetrics
from sandbox.faults import NO_FAULTS, Dice
from trial import config
from trial.calendar import Window
from trial.errors import ConfigError, Denied
from trial.meter import Meter

NOW = datetime(2026, 11, 20, tzinfo=UTC)
TOML = """
[trial]
name = "t"
start = 2026-11-02

[[endpoints]]
name = "lam"
platform = "aws-lambda"
function = "f"
region = "eu-west-1"
api_endpoint = "http://127.0.0.1:9"

[[endpoints]]
name = "run"
platform = "cloud-run"
project = "p"
service = "s"
region = "r"

[[endpoints]]
name = "pod"
platform = "runpod"
endpoint_id = "x"
api_key_env = "FORTNIGHT_TEST_KEY"

[[endpoints]]
name = "files"
platform = "export"
format = "runpod"
path = "x"
"""


@pytest.fixture
def trial():
    return config.parse(TOML, path=Path("/somewhere/trial.toml"))


def test_boto3_gets_the_region_the_address_and_more_than_three_tries(trial, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    with wiring.clients(trial.endpoint("lam"), trial, now=NOW) as clients:
        meta = clients.logs.meta
        assert (meta.region_name, meta.endpoint_url) == ("eu-west-1", "http://127.0.0.1:9")
        assert meta.config.retries["total_max_attempts"] == 8
        assert meta.config.retries["mode"] == "adaptive"
        assert 1 < clients.slices <= CALLS_PER_SECOND


def test_a_key_that_is_not_set_is_a_configuration_error(trial, monkeypatch):
    monkeypatch.delenv("FORTNIGHT_TEST_KEY", raising=False)
    with (
        pytest.raises(ConfigError, match="FORTNIGHT_TEST_KEY is not set. Run `export FORTNIGHT_TEST_KEY="),
        wiring.clients(trial.endpoint("pod"), trial, now=NOW),
    ):
        pass


def test_runpods_client_carries_the_key_and_is_closed(trial, monkeypatch):
    monkeypatch.setenv("FORTNIGHT_TEST_KEY", "secret")
    with wiring.clients(trial.endpoint("pod"), trial, now=NOW) as clients:
        assert str(clients.http.base_url) == "https://api.runpod.io"
        assert clients.http.headers["authorization"] == "Bearer secret"
    assert clients.http.is_closed


def test_missing_google_credentials_say_how_to_get_them(trial, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    with pytest.raises(Denied, match="gcloud auth application-default login"), wiring.clients(trial.endpoint("run"), trial, now=NOW):
        pass


def test_an_export_is_read_from_the_trials_folder(trial):
    with wiring.clients(trial.endpoint("files"), trial, now=NOW) as clients:
        assert clients.folder == Path("/somewhere")


def test_policies_grant_reading_only():
    text = policies.aws_policy(platform="aws-lambda", region="eu-west-1", log_group="/aws/lambda/f")
    for word in ("Put", "Delete", "Create", "Update", '"*:'):
        assert word not in text
    assert "arn:aws:logs:eu-west-1:*:log-group:/aws/lambda/f" in text
    assert set(policies.AWS_ACTIONS) | set(policies.GCP_ROLES) | set(policies.KEYS) == set(wiring._MAKE) - {"export"}


FUNCTIONS = """
[[endpoints]]
name = "{name}"
platform = "aws-lambda"
function = "{function}"
region = "{region}"
api_endpoint = "{address}"
{more}
"""
TRIAL = """
[trial]
name = "t"
start = 2026-11-02
"""


def functions(address, *, more="", names=("a", "b", "c"), regions=("r", "r", "r")):
    tables = (
        FUNCTIONS.format(name=n, function=n, region=r, address=address, more="profile = 'p'" if n == "profiled" else "")
        for n, r in zip(names, regions, strict=True)
    )
    return config.parse(TRIAL + more + "".join(tables), path=Path("/somewhere/trial.toml"))


@pytest.fixture
def aws_keys(monkeypatch, tmp_path):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    (tmp_path / "aws").write_text("[profile p]\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "aws"))


def pace(trial, name):
    with wiring.clients(trial.endpoint(name), trial, now=NOW) as clients:
        return clients.pace


@pytest.mark.usefixtures("aws_keys")
def test_one_limiter_per_account_and_region():
    trial = functions("http://127.0.0.1:9", names=("a", "b", "c", "profiled"), regions=("r", "r", "elsewhere", "r"))
    a, b, c, profiled = (pace(trial, e.name) for e in trial.endpoints)
    assert a is b
    assert len({id(p) for p in (a, c, profiled)}) == 3


@pytest.mark.usefixtures("aws_keys")
def test_one_limiter_whoever_comes_first():
    trial = functions("http://127.0.0.1:10")
    together = threading.Barrier(3)

    def opened(name):
        together.wait(5)
        return pace(trial, name)

    with ThreadPoolExecutor(3) as pool:
        assert len({id(p) for p in pool.map(opened, "abc")}) == 1


def test_one_limiter_per_google_project():
    tables = "".join(
        f"""
[[endpoints]]
name = "{service}"
platform = "cloud-run"
project = "{project}"
service = "{service}"
region = "r"
api_endpoint = "127.0.0.1:9"
"""
        for project, service in (("p", "a"), ("p", "b"), ("other", "c"))
    )
    for engine, share in (("", 1), ("[engine]\ndask = 'local'\n", 2)):
        trial = config.parse(TRIAL + engine + tables, path=Path("/somewhere/trial.toml"))
        paces = []
        for endpoint in trial.endpoints:
            with wiring.clients(endpoint, trial, now=NOW) as clients:
                paces.append((clients.logging_pace, clients.monitoring_pace))
        assert paces[0] == paces[1]
        assert not set(paces[0]) & set(paces[2])
        assert paces[0][0].calls == LOGGING_CALLS // share
        assert paces[2][0].calls == LOGGING_CALLS


@pytest.mark.usefixtures("aws_keys")
@pytest.mark.parametrize(("engine", "share"), [("", 1), ("[engine]\ndask = 'local'\n", 3)])
def test_each_call_of_an_accounts_endpoints_waits_for_its_turn(engine, share):
    """On Dask each worker process, here this one alone, takes its part of the quota."""
    clock = Clock(NOW)
    groups = [LogGroup(name=f"/aws/lambda/{n}", events=[], created_us=0) for n in "abc"]
    logs = CloudWatchLogs(groups, clock=clock, dice=Dice(NO_FAULTS))
    waits: list[float] = []
    pace = Pace(per_second=CALLS_PER_SECOND / share, clock=lambda: 0.0, sleep=waits.append)
    meter = Meter()
    with serve_cloudwatch(CloudWatch(logs=logs, metrics=CloudWatchMetrics([], clock=clock), dice=Dice(NO_FAULTS))) as address:
        trial = functions(address, more=engine)
        for endpoint in trial.endpoints:
            with wiring.clients(endpoint, trial, now=NOW) as clients:
                assert clients.pace.per_second == pace.per_second
                window = Window(start=NOW - timedelta(days=1), end=NOW)
                list(collector("aws-lambda").fetch(replace(clients, pace=pace), endpoint, window, meter=meter))
    assert meter.calls == 3 * wiring.LAMBDA_SLICES
    # The first at once, each other one gap after the one before.
    assert sorted(waits) == pytest.approx([n * share / CALLS_PER_SECOND for n in range(1, meter.calls)])
