"""What `fortnight doctor` asks of Vertex AI."""

from __future__ import annotations

from datetime import UTC, date, datetime

from collectors import vertex_ai
from trial.config import Trial, TrialSection

NOW = datetime(2026, 11, 3, tzinfo=UTC)
ONLINE = "aiplatform.googleapis.com/prediction/online"


def metric(name: str, value: int, **labels: str) -> dict:
    interval = {"startTime": "2026-11-02T10:00:00Z", "endTime": "2026-11-02T11:00:00Z"}
    return {
        "metric": {"type": f"{ONLINE}/{name}", "labels": labels},
        "points": [{"interval": interval, "value": {"int64Value": str(value)}}],
    }


def entry(log: str) -> dict:
    return {"logName": f"projects/acme/logs/aiplatform.googleapis.com%2F{log}", "insertId": "a", "timestamp": "2026-11-02T10:00:00Z"}


def found(world) -> dict[str, str]:
    trial = Trial(trial=TrialSection(name="t", start=date(2026, 11, 1)), endpoints=[world.endpoint])
    return {f.check: f.state for f in vertex_ai.probe(world.clients, world.endpoint, trial, now=NOW)}


def test_logs_that_are_off_are_named(world):
    world.google.series = [metric("response_count", 9, response_code="2xx")]
    assert found(world) == {"prediction container log": "warn", "prediction access log": "warn"}


def test_logs_that_are_on(world):
    world.google.series = [metric("response_count", 9, response_code="2xx")]
    world.google.entries = [entry("prediction_container"), entry("prediction_access")]
    assert found(world) == {"prediction container log": "ok", "prediction access log": "ok"}


def test_errors_without_a_replica_are_cold_starts(world):
    world.google.series = [metric("error_count", 4), metric("replicas", 0)]
    assert found(world) == {"scale to zero": "warn"}


def test_nothing_to_say_of_an_endpoint_without_traffic(world):
    assert found(world) == {}
