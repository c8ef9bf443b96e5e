"""What `fortnight doctor` asks of Cloud Run."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from collectors import cloud_run
from trial.config import Trial, TrialSection

NOW = datetime(2026, 11, 3, tzinfo=UTC)
HOUR = {"startTime": "2026-11-02T10:00:00Z", "endTime": "2026-11-02T11:00:00Z"}


def trial_of(endpoint, *, days: int = 14) -> Trial:
    return Trial(trial=TrialSection(name="t", start=date(2026, 11, 1), days=days), endpoints=[endpoint])


def entry(log: str) -> dict:
    return {
        "logName": f"projects/acme/logs/run.googleapis.com%2F{log}",
        "insertId": "a",
        "timestamp": "2026-11-02T10:00:00Z",
        "textPayload": "x",
    }


def found(world, **kwargs) -> dict[str, str]:
    findings = list(cloud_run.probe(world.clients, world.endpoint, trial_of(world.endpoint, **kwargs), now=NOW))
    assert all((f.do is None) == (f.state == "ok") for f in findings)
    return {f.check: f.state for f in findings}


@pytest.fixture
def counted(world):
    starts = {"distributionValue": {"count": "3", "mean": 1.0}}
    world.google.series = [
        {"metric": {"type": "run.googleapis.com/request_count"}, "points": [{"interval": HOUR, "value": {"int64Value": "9"}}]},
        {"metric": {"type": "run.googleapis.com/container/startup_latencies"}, "points": [{"interval": HOUR, "value": starts}]},
    ]
    return world


def test_logs_that_hold_what_the_counters_count(counted):
    counted.google.entries = [entry("requests"), entry("varlog%2Fsystem")]
    assert found(counted) == {"requests logged": "ok", "instance starts logged": "ok", "retention": "ok"}


def test_excluded_logs_are_named(counted):
    counted.google.entries = [entry("stdout")]
    assert found(counted) == {"requests logged": "warn", "instance starts logged": "warn", "retention": "ok"}


def test_nothing_counted_is_nothing_missed_and_a_long_trial_outlives_its_logs(world):
    assert found(world, days=30) == {"retention": "warn"}
