"""The harvest against the sandbox's RunPod: lines are kept while their worker lives."""

from datetime import date, timedelta

import pytest

from flows import collecting
from sandbox.world import build_world
from trial import config, raw
from trial.store import Store


@pytest.fixture
def world(tmp_path, monkeypatch):
    built = build_world(seed=3, days=1, start=date(2026, 11, 2))
    for name, value in built.environment().items():
        monkeypatch.setenv(name, value)
    with built.serve(tmp_path) as addresses:
        (tmp_path / "trial.toml").write_text(built.trial_toml(addresses, tmp_path))
        yield built, config.load(tmp_path / "trial.toml")


def test_lines_of_live_workers_are_kept_once(world):
    built, trial = world
    endpoint = next(e for e in trial.endpoints if e.platform == "runpod")
    noon = trial.calendar.window(date(2026, 11, 2)).start + timedelta(hours=12)
    kept = 0
    for minutes in range(0, 60, 5):
        built.set_now(noon + timedelta(minutes=minutes))
        kept += collecting.harvest_workers(trial, endpoint, now=noon + timedelta(minutes=minutes))
    files = Store.at(trial.store_url).files
    stored = list(raw.read(files, endpoint=endpoint.name, day=date(2026, 11, 2), source="handler-lines"))
    assert kept == len(stored) > 0
