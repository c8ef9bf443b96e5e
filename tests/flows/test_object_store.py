"""Collections into a bucket: what it is asked for does not grow with the trial, and two at once end as one does."""

import subprocess
import sys
from datetime import UTC, date, datetime, timedelta

import pytest

from flows import collecting
from flows.commands import status
from trial import config
from trial.store import Store
from trial.summary import DaySummary

START, DAYS = date(2026, 11, 2), 14
ENDPOINTS = ("rp", "rp-1", "rp-2")
NOW = datetime(2026, 11, 5, 4, tzinfo=UTC)


def trial_in(folder, url, *, endpoints=ENDPOINTS):
    path = folder / "trial.toml"
    head, rest = path.read_text().split("[[endpoints]]")
    table, dedicated = rest.split("[[dedicated]]")
    tables = "".join("[[endpoints]]" + table.replace('name = "rp"', f'name = "{name}"') for name in endpoints)
    path.write_text(f'{head.replace("days = 3", f"days = {DAYS}")}[store]\nurl = "{url}"\n{tables}[[dedicated]]{dedicated}')
    return config.load(path)


def collect(trial, now, *, days=None):
    store = Store.at(trial.store_url)
    for endpoint in trial.endpoints:
        for span in collecting.plan(trial, store, endpoint, now=now, days=days):
            pulled = collecting.pull_days(trial, endpoint, span, now=now)
            for day in span:
                collecting.compute_day(trial, endpoint, day, pulled.usage[day], now=now)


def stored_before(trial, days):
    """Days that were collected some time ago, without what they were computed from."""
    store = Store.at(trial.store_url)
    for endpoint in trial.endpoints:
        for n in range(days):
            day = START + timedelta(days=n)
            with store.day_writer(endpoint.name, day) as writer:
                writer.commit(DaySummary(endpoint=endpoint.name, platform="runpod", days=(day,), requests=n))


def test_status_lists_three_folders_an_endpoint_however_many_days(trial_folder, s3):
    trial = trial_in(trial_folder, s3.url)
    store = Store.at(trial.store_url)
    stored_before(trial, DAYS)
    s3.calls.clear()
    found = status.document(trial, store, list(ENDPOINTS))
    assert [len(e["days"]) for e in found["endpoints"]] == [DAYS] * 3
    assert 0 < s3.calls["LIST"] <= 3 * len(ENDPOINTS)
    assert s3.calls["GET"] <= DAYS * len(ENDPOINTS)


def test_a_collection_lists_no_more_in_a_store_of_many_days(trial_folder, s3):
    """Two days, in an empty store and in one that holds all others."""
    trial = trial_in(trial_folder, s3.url, endpoints=("rp",))
    days, asked = [START, START + timedelta(days=1)], []
    for others in (0, DAYS):
        stored_before(trial, others)
        s3.calls.clear()
        collect(trial, NOW, days=days)
        asked.append(s3.calls["LIST"])
    empty, full = asked
    assert 0 < full <= empty <= 25 * len(days)


COLLECTOR = """
import sys
from datetime import datetime
from pathlib import Path
from flows import collecting
from trial import config
from trial.store import Store
trial, now = config.load(Path(sys.argv[1])), datetime.fromisoformat(sys.argv[2])
for endpoint in trial.endpoints:
    for span in collecting.plan(trial, Store.at(trial.store_url), endpoint, now=now):
        pulled = collecting.pull_days(trial, endpoint, span, now=now)
        for day in span:
            collecting.compute_day(trial, endpoint, day, pulled.usage[day], now=now)
"""


def results(trial):
    files = Store.at(trial.store_url).files
    return {name: files.read(name) for kind in ("raw", "invocations", "instances", "days") for name in files.list(kind)}


@pytest.mark.timeout(180)
def test_two_collectors_at_once_end_as_one_does(trial_folder, bucket, tmp_path_factory):
    original = (trial_folder / "trial.toml").read_text()
    alone = trial_in(trial_folder, str(tmp_path_factory.mktemp("alone")), endpoints=("rp",))
    collect(alone, NOW)
    (trial_folder / "trial.toml").write_text(original)
    trial = trial_in(trial_folder, bucket, endpoints=("rp",))
    command = [sys.executable, "-c", COLLECTOR, str(trial_folder / "trial.toml"), NOW.isoformat()]
    running = [subprocess.Popen(command) for _ in range(2)]
    assert [process.wait(150) for process in running] == [0, 0]
    assert len(Store.at(trial.store_url).days("rp")) == 3
    assert results(trial) == results(alone)
