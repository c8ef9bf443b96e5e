"""What a pull took is noted beside the days, whether or not it succeeds, and `status` adds it up."""

import gzip
import json
import subprocess
import sys
from datetime import UTC, date, datetime

import pytest

from flows import collecting
from trial import config, pulls
from trial.errors import ConfigError, Malformed
from trial.store import Store

NOW = datetime(2026, 11, 6, 4, tzinfo=UTC)
SPAN = (date(2026, 11, 2), date(2026, 11, 3), date(2026, 11, 4))


@pytest.fixture
def trial(trial_folder):
    return config.load(trial_folder / "trial.toml")


def noted(trial):
    return pulls.read(Store.at(trial.store_url).files, endpoint="rp")


def test_a_pull_is_noted_with_what_its_meter_says(trial):
    pulled = collecting.pull_days(trial, trial.endpoint("rp"), SPAN, now=NOW)
    (pull,) = noted(trial)
    assert (pull.at, pull.what, pull.first, pull.last, pull.failed) == (NOW, "days", SPAN[0], SPAN[-1], False)
    assert (pull.calls, pull.bytes, pull.events) == (pulled.meter.calls, pulled.meter.bytes, pulled.meter.events)
    assert pull.events == pulled.new_events > 0


def test_a_pull_that_breaks_off_is_noted_as_failed(trial, trial_folder):
    whole = gzip.compress((trial_folder / "lines" / "a.jsonl").read_bytes() * 20)
    (trial_folder / "lines" / "b.jsonl").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(Malformed):
        collecting.pull_days(trial, trial.endpoint("rp"), SPAN, now=NOW)
    (pull,) = noted(trial)
    assert pull.failed and pull.events > 0


def test_what_called_nothing_is_no_pull(trial, monkeypatch):
    monkeypatch.delenv("FORTNIGHT_TEST_KEY")
    with pytest.raises(ConfigError):
        collecting.pull_days(trial, trial.endpoint("rp"), SPAN, now=NOW)
    assert noted(trial) == []


def test_status_says_what_collecting_took(trial, trial_folder):
    for _ in range(2):
        pulled = collecting.pull_days(trial, trial.endpoint("rp"), SPAN, now=NOW)
    command = [sys.executable, "-c", "from flows.cli import main; main()", "status"]
    done = subprocess.run([*command, "--json"], cwd=trial_folder, capture_output=True, text=True, timeout=60, check=True)
    found = json.loads(done.stdout)["endpoints"][0]["collecting"]
    assert (found["pulls"], found["failed"], found["events"]) == (2, 0, 2 * pulled.meter.events)
    assert (found["usd"], found["charged_for"]) == (0, "no fee for API calls is published")
    shown = subprocess.run(command, cwd=trial_folder, capture_output=True, text=True, timeout=60, check=True).stdout
    assert "collecting it took" in shown and "in 2 pulls" in shown
