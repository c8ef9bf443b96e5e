"""What doctor says of sandbox endpoints, through the real clients."""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, timedelta

import pytest

from flows.commands import doctor
from sandbox.faults import MILD, Faults
from sandbox.plans import default_plans, replicate_plan
from sandbox.world import build_world
from trial import config

PLANS = {plan.platform: plan for plan in (*default_plans(), replicate_plan())}


@pytest.fixture
def looked_at(tmp_path, monkeypatch):
    """`looked_at(platform, cases, edit)` -> {check: finding}, of a served world of that platform alone."""

    @contextmanager
    def world(platform, *, cases=(), edit=lambda text: text, after=timedelta(0), days=2, faults: Faults = MILD, **plan):
        built = build_world(seed=5, days=days, start=date(2026, 11, 2), scale=0.3, cases=cases, plans=[replace(PLANS[platform], **plan)])
        for name, value in built.environment().items():
            monkeypatch.setenv(name, value)
        with built.serve(tmp_path, faults=faults) as addresses:
            (tmp_path / "trial.toml").write_text(edit(built.trial_toml(addresses, tmp_path)))
            trial = config.load(tmp_path / "trial.toml")
            now = trial.calendar.window(trial.calendar.all_days()[-1]).end + after
            built.set_now(now)
            yield trial, now

    def look(platform, **kwargs):
        with world(platform, **kwargs) as (trial, now):
            found = list(doctor.look(trial, trial.endpoints[0], now=now))
        for finding in found:
            assert finding.do or finding.state == "ok" or finding.check == "provider's counts", finding
        return {finding.check: finding for finding in found}

    return look


def states(found):
    return {check: finding.state for check, finding in found.items()}


def without_setting(text: str) -> str:
    return re.sub(r"^keep_warm = .*\n", "", text, flags=re.MULTILINE)


@pytest.mark.parametrize("platform", ["aws-lambda", "cloud-run", "runpod", "replicate"])
def test_a_plain_endpoint_has_nothing_to_mend(platform, looked_at):
    found = looked_at(platform)
    wrong = {check: f.detail for check, f in found.items() if f.state != "ok"}
    # Each of these is so, and is said: no serverless platform but these two counts its requests, and Replicate logs no line.
    expected = {"replicate": {"handler line", "provider's counts"}, "runpod": {"changes"}}.get(platform, set())
    assert set(wrong) <= expected, wrong


def test_a_log_group_that_keeps_less_than_the_trial(looked_at):
    found = looked_at("aws-lambda", cases=["short-retention"], days=9)
    assert found["retention"].state == "warn" and "7 days" in found["retention"].detail
    assert "put-retention-policy" in found["retention"].do


def test_a_delivery_class_log_group(looked_at):
    assert looked_at("aws-lambda", cases=["delivery-class"])["log class"].state == "fail"


def test_system_logs_at_warn_are_told_from_a_function_without_cold_starts(looked_at):
    found = looked_at("aws-lambda", cases=["warn-level"])
    assert found["system log level"].state == "fail" and "SystemLogLevel=INFO" in found["system log level"].do


def test_another_memory_size_than_the_reports_is_named(looked_at):
    found = looked_at("aws-lambda", edit=lambda text: text.replace("memory_mb = 10240", "memory_mb = 2048"))
    assert found["memory"].state == "warn" and "10240" in found["memory"].detail


@pytest.mark.parametrize(
    ("platform", "setting"),
    [("aws-lambda", "keep_warm = { payload = 'keep\\-warm' }"), ("cloud-run", "keep_warm = { path = '^/warmup' }"),
     ("runpod", "keep_warm = { payload = 'keep\\-warm' }")],
)  # fmt: skip
def test_pings_that_do_not_say_so_are_suggested_with_the_setting_that_names_them(platform, setting, looked_at):
    found = looked_at(platform, cases=["silent-pings"], edit=without_setting)
    assert found["keep-warm pings"].state == "warn"
    assert setting in found["keep-warm pings"].do
    # With the setting taken as written nothing is left to suggest.
    assert "keep-warm pings" not in looked_at(
        platform, cases=["silent-pings"], edit=lambda text: re.sub(r"^keep_warm = .*$", lambda _: setting, text, flags=re.MULTILINE)
    )


def test_pings_that_say_so_need_no_suggestion(looked_at):
    assert "keep-warm pings" not in looked_at("aws-lambda", cases=["keep-warm"])


@pytest.mark.parametrize(("days", "state", "most"), [(1, "ok", 10), (4, "warn", 2), (8, "fail", 0)])
def test_a_quiet_runpod_endpoint_is_cut_and_doctor_says_so(days, state, most, looked_at):
    found = looked_at("runpod", after=timedelta(days=days))
    assert (found["workers"].state, found["workers"].detail.split(":")[0].split(";")[0]) == (state, f"at most {most}")
    assert ("quiet" in found) == (days >= 4)


def test_runpod_without_shipped_lines(looked_at):
    found = looked_at("runpod", edit=lambda text: re.sub(r"^handler_lines = .*\n", "", text, flags=re.MULTILINE))
    assert found["shipped lines"].state == "warn" and "fortnight serve" in found["shipped lines"].do


def test_runpod_settings_that_trial_toml_has_otherwise(looked_at):
    found = looked_at("runpod", edit=lambda text: re.sub(r"idle_timeout_s = .*", "idle_timeout_s = 77\nmin_workers = 2", text))
    assert found["idle time-out"].state == found["active workers"].state == "warn"


@pytest.mark.parametrize("platform", ["runpod", "replicate", "aws-lambda"])
def test_a_refused_key_is_one_row_that_says_what_to_do(platform, looked_at):
    found = looked_at(platform, faults=Faults(expired=True))
    wrong = [f for f in found.values() if f.state != "ok"]
    assert wrong and any(re.search(r"Set |Sign in", f.do or "") for f in wrong)
    assert found["RunPod API" if platform == "runpod" else "logs"].state in ("warn", "fail")


def test_replicate_predictions_of_other_models_alone(looked_at):
    found = looked_at("replicate", edit=lambda text: re.sub(r"^deployment = .*", 'deployment = "acme/another"', text, flags=re.MULTILINE))
    assert found["model"].state == "warn"


def export_of(tmp_path, cases=()):
    built = build_world(seed=5, days=2, start=date(2026, 11, 2), scale=0.3, cases=cases, plans=[PLANS["aws-lambda"]])
    import json

    lines = [
        {"logStreamName": e.stream, "timestamp": e.at_us // 1000, "message": e.payload, "eventId": str(n)}
        for n, e in enumerate(built.endpoints[PLANS["aws-lambda"].name].events)
    ]
    (tmp_path / "events.json").write_text(json.dumps({"events": lines}))


@pytest.mark.parametrize(
    ("start", "format", "expected"),
    [
        ("2026-11-02", "aws-lambda", {"time": "ok"}),
        ("2027-03-01", "aws-lambda", {"time": "warn"}),
        ("2026-11-02", "cloud-run", {"logs": "fail"}),
    ],
)
def test_exported_files(start, format, expected, tmp_path, looked_at):
    export_of(tmp_path)
    (tmp_path / "trial.toml").write_text(
        f'[trial]\nname = "t"\nstart = {start}\ndays = 2\n\n[[endpoints]]\nname = "old"\nplatform = "export"\n'
        f'format = "{format}"\npath = "events.json"\n'
    )
    trial = config.load(tmp_path / "trial.toml")
    now = trial.calendar.window(trial.calendar.all_days()[-1]).end
    found = {f.check: f.state for f in doctor.look(trial, trial.endpoints[0], now=now)}
    assert found | expected == found
