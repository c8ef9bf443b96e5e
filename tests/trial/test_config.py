"""Every mistake in trial.toml is one line with its key and its place."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trial import config
from trial.errors import ConfigError

GOOD = """[trial]
name = "s"
start = 2026-11-02
timezone = "Europe/London"

[[endpoints]]
name = "run"
platform = "cloud-run"
project = "p"
service = "s"
region = "r"
resources = { vcpu = 4, memory_gib = 16 }

[[endpoints]]
name = "lam"
platform = "aws-lambda"
function = "f"
region = "r"

[[dedicated]]
name = "d"
price = "x"
service_ms_scale = 0.7
"""


def parse(text):
    return config.parse(text, path=Path("/somewhere/trial.toml"))


def test_a_good_file_loads_with_its_defaults():
    trial = parse(GOOD)
    assert [type(e).__name__ for e in trial.endpoints] == ["CloudRunEndpoint", "AwsLambdaEndpoint"]
    assert trial.trial.cold_hit_threshold == 0.2
    assert trial.store_url == "/somewhere/fortnight-data"
    assert trial.tracking_uri == "sqlite:////somewhere/fortnight-data/mlflow.db"
    assert str(trial.dedicated[0].service_ms_scale) == "0.7"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("timezone", "tmezone"), "line 4: unknown key `trial.tmezone`. Did you mean `timezone`?"),
        (
            ('region = "r"\nresources', 'region = "r"\nregin = "x"\nresources'),
            "line 12: unknown key `endpoints[0].regin`. Did you mean `region`?",
        ),
        (('name = "s"\n', ""), "line 1: missing key `trial.name`"),
        (('function = "f"\n', ""), "missing key `endpoints[1].function`"),
        (("2026-11-02", '"soon"'), "line 3: `trial.start` should be a valid date, got 'soon'"),
        (("2026-11-02", "2026-13-02"), "not TOML"),
        (("Europe/London", "Moon/Base"), "line 4: `trial.timezone`: no such time zone 'Moon/Base'; use an IANA name such as Europe/London"),
        (('"aws-lambda"', '"azure"'), "`endpoints[1].platform` is 'azure'. Use one of aws-lambda, cloud-run"),
        (
            ('"aws-lambda"', '"banana"'),
            "Banana closed its serverless GPUs on 31 March 2024 and has no API left to read. Records kept from it come in",
        ),
        (("vcpu = 4", "vcpu = 0"), "line 12: `endpoints[0].resources.vcpu` should be greater than 0, got 0.0"),
        (("vcpu = 4", "vcp = 4"), "line 12: unknown key `endpoints[0].resources.vcp`"),
        (('name = "lam"', 'name = "run"'), "two endpoints are named 'run'; names must be unique"),
        (('name = "lam"', 'name = "../lam"'), "`endpoints[1].name`: '../lam' cannot be used in paths"),
        (('timezone = "Europe/London"', "cold_hit_threshold = 20"), "`trial.cold_hit_threshold` should be less than 1, got 20.0"),
        (('timezone = "Europe/London"', "days = 0"), "line 4: `trial.days` should be greater than or equal to 1, got 0"),
        (('timezone = "Europe/London"', 'days = "14"'), "line 4: `trial.days` should be a valid integer, got '14'"),
        (("service_ms_scale = 0.7", "service_ms_scale = -1"), "`dedicated[0].service_ms_scale` should be greater than 0"),
        (("[trial]", "[store]\nurl = 5\n[trial]"), "line 2: `store.url` should be a valid string, got 5"),
        (("[trial]", 'folder = "/etc"\n[trial]'), "unknown key `folder`"),
    ],
)
def test_a_mistake_is_one_line(change, says):
    assert change[0] in GOOD
    with pytest.raises(ConfigError) as caught:
        parse(GOOD.replace(*change, 1))
    message = str(caught.value)
    assert says in message
    assert "\n" not in message
    assert caught.value.exit_code == 2


def test_a_missing_file_says_how_to_write_one(tmp_path):
    with pytest.raises(ConfigError, match="Run `fortnight init`"):
        config.load(tmp_path / "trial.toml")


@given(st.text(max_size=200))
def test_no_text_does_anything_but_load_or_say_why(text):
    for candidate in (text, GOOD + text, text + GOOD):
        try:
            parse(candidate)
        except ConfigError as exc:
            assert str(exc).startswith("/somewhere/trial.toml")


def test_deep_nesting_is_a_configuration_error():
    with pytest.raises(ConfigError, match="nested too deeply|not TOML"):
        parse("x = " + "[" * 100_000)
