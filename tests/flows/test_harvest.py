"""The harvest against the sandbox's RunPod: lines are kept while their worker lives, and what was missed is said."""

import logging
from datetime import UTC, date, datetime, timedelta

import pytest

from flows import collecting, telling
from flows.commands import status
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


def test_what_was_lost_is_said_by_the_harvest_by_status_and_in_the_news(world, caplog, capsys):
    built, trial = world
    endpoint = next(e for e in trial.endpoints if e.platform == "runpod")
    name, day = endpoint.name, datetime(2026, 11, 2, tzinfo=UTC)
    at = [day + timedelta(minutes=m) for m in (5, 10, 35, 36, 200, 205)]
    with caplog.at_level(logging.WARNING, logger="fortnight"):
        for one in at:
            built.set_now(one)
            collecting.harvest_workers(trial, endpoint, now=one)
    lost = "the logs of RunPod workers that ended in between are lost for ever, but for lines that were shipped"
    assert [r.getMessage() for r in caplog.records if r.name == "fortnight"] == [
        f"{name}: no harvest from 2026-11-02 00:36 to 2026-11-02 03:20 UTC: {lost}"
    ]
    store = Store.at(trial.store_url)

    def gaps(now):
        (found,) = status.document(trial, store, [name], now=now)["endpoints"]
        return found["harvest_gaps"]

    missed = [at[3].isoformat(), at[4].isoformat()]
    assert gaps(at[-1] + timedelta(minutes=20)) == [missed]
    assert gaps(at[-1] + timedelta(hours=1)) == [missed, [at[-1].isoformat(), None]]
    # After the trial nothing more is lost.
    assert gaps(day + timedelta(days=5)) == [missed, [at[-1].isoformat(), (day + timedelta(days=1)).isoformat()]]
    assert [(n.endpoint, n.body) for n in telling.lost_news(trial, store)] == [
        (name, f"no harvest from 2026-11-02 00:36 to 2026-11-02 03:20 UTC: {lost}")
    ]
    status.run(trial.folder / "trial.toml", endpoint=name, rejected=False, as_json=False)
    assert f"no harvest from 2026-11-02 00:36 to 2026-11-02 03:20 UTC: {lost}" in " ".join(capsys.readouterr().out.split())


def test_a_trial_that_was_harvested_too_late_lost_its_beginning(world):
    _, trial = world
    endpoint = next(e for e in trial.endpoints if e.platform == "runpod")
    store, now = Store.at(trial.store_url), datetime(2026, 11, 2, 9, tzinfo=UTC)
    assert collecting.harvest_gaps(store, endpoint.name, calendar=trial.calendar, now=now) == []
    collecting.harvest_workers(trial, endpoint, now=now)
    assert collecting.harvest_gaps(store, endpoint.name, calendar=trial.calendar, now=now) == [(now.replace(hour=0), now)]
    assert "Is `fortnight serve` running?" in collecting.lost_logs(now, None)
