"""The harvest against the sandbox's RunPod: lines are kept while their worker lives."""

from datetime import UTC, date, datetime, timedelta

import pytest

from flows import collecting
from sandbox.world import build_world
from trial import config, raw
from trial.store import Store

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@pytest.fixture
def world(tmp_path, monkeypatch):
    built = build_world(seed=3, days=1, start=date(2026, 11, 2))
    for name, value in built.environment().items():
        monkeypatch.setenv(name, value)
    with built.serve(tmp_path) as addresses:
        (tmp_path / "trial.toml").write_text(built.trial_toml(addresses, tmp_path))
        yield built, config.load(tmp_path / "trial.toml")


def test_lines_of_live_workers_are_kept_once_and_counted(world):
    built, trial = world
    endpoint = next(e for e in trial.endpoints if e.platform == "runpod")
    alive = [w for w in built.endpoints[endpoint.name].history.workers if w.stopped_us - w.ready_us > 3_000_000]
    # Three workers, each looked at twice just before it stops: the second look brings nothing new.
    kept = []
    for worker in alive[10:13]:
        at = EPOCH + timedelta(microseconds=worker.stopped_us) - timedelta(milliseconds=200)
        built.set_now(at)
        kept += [collecting.harvest_workers(trial, endpoint, now=at) for _ in range(2)]
    files = Store.at(trial.store_url).files
    stored = [e for d in (1, 2, 3) for e in raw.read(files, endpoint=endpoint.name, day=date(2026, 11, d), source="handler-lines")]
    assert kept[0] > 0
    assert kept[1::2] == [0, 0, 0]
    assert sum(kept) == len(stored)
