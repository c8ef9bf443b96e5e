from datetime import UTC, datetime, timedelta
from pathlib import Path

from trial import config, registration
from trial.files import Files

TEXT = """
[trial]
name = "s"
start = 2026-11-02

[[endpoints]]
name = "a"
platform = "cloud-run"
project = "p"
service = "s"
region = "r"
"""
NOW = datetime(2026, 11, 3, tzinfo=UTC)


def settings(text=TEXT):
    return registration.settings_of(config.parse(text, path=Path("trial.toml")))


def test_the_first_call_registers_and_the_second_changes_nothing(tmp_path):
    files = Files.at(str(tmp_path))
    first = registration.register(files, settings(), now=NOW)
    assert registration.register(files, settings(), now=NOW + timedelta(days=1)) == first
    assert registration.read(files) == first
    assert first.settings["trial.cold_hit_threshold"] == "0.2"


def test_a_later_change_is_kept_with_its_date_and_the_original_stays(tmp_path):
    files = Files.at(str(tmp_path))
    registration.register(files, settings(), now=NOW)
    later = NOW + timedelta(days=5)
    changed = TEXT.replace("start = 2026-11-02", "start = 2026-11-02\ncold_hit_threshold = 0.3").replace(
        'region = "r"', 'region = "q"\nidle_timeout_s = 60'
    )
    found = registration.register(files, settings(changed), now=later)
    assert [(c["key"], c["from"], c["to"]) for c in found.changes] == [
        ("endpoints.a.idle_timeout_s", "absent", "60.0"),
        ("endpoints.a.region", '"r"', '"q"'),
        ("trial.cold_hit_threshold", "0.2", "0.3"),
    ]
    assert {c["when"] for c in found.changes} == {later.isoformat()}
    assert found.settings["trial.cold_hit_threshold"] == "0.2"
    assert len(registration.register(files, settings(), now=later).changes) == 6


def test_where_an_api_answers_is_no_promise():
    assert settings(TEXT + 'api_endpoint = "http://127.0.0.1:1"\n') == settings()


def test_naming_a_bill_when_it_comes_is_no_change():
    assert settings(TEXT + 'bill = "bills/*.csv"\n') == settings()


def test_the_example_is_a_valid_trial():
    from trial.config import load

    example = Path(__file__).resolve().parents[2] / "trial.example.toml"
    assert [e.name for e in load(example).endpoints] == ["summariser-lambda", "summariser-run", "summariser-runpod"]
