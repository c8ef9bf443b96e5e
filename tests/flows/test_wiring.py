"""Clients are made in one place: with the key the configuration names, at the address it names, and closed afterwards."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from collectors.aws_lambda.fetch import CALLS_PER_SECOND
from flows import policies, wiring
from trial import config
from trial.errors import ConfigError, Denied

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
