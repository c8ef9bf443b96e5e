"""The billing exports hold each day's planted bill once, among charges of others."""

from __future__ import annotations

import csv
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from sandbox import focus
from sandbox.world import build_world
from trial import config

SUFFIX = {"summariser-lambda": "function:summariser", "summariser-run": "services/summariser"}


@pytest.fixture(scope="module")
def world():
    return build_world(days=3, cases=[], scale=0.2)


def test_each_days_bill_is_one_row_among_others(world, tmp_path):
    focus.write(world.endpoints.values(), tmp_path, calendar=world.calendar)
    assert {p.stem for p in (tmp_path / "bills").iterdir()} == set(SUFFIX), "RunPod's bill is in its API"
    for name, suffix in SUFFIX.items():
        file = tmp_path / "bills" / f"{name}.csv"
        with file.open(newline="") as text:
            rows = list(csv.DictReader(text))
        own = [row for row in rows if row["ResourceId"].endswith(suffix)]
        assert len(own) == 3 and len(rows) == 9
        planted = world.endpoints[name].bill
        assert [Decimal(row["BilledCost"]) for row in own] == [planted.get(day, Decimal(0)) for day in world.calendar]
        window = world.calendar.window(world.calendar.all_days()[0])
        assert own[0]["ChargePeriodStart"] == window.start.strftime("%Y-%m-%dT%H:%M:%SZ")
        assert datetime.fromtimestamp(file.stat().st_mtime, UTC) > world.calendar.window(world.calendar.all_days()[-1]).end


def test_the_trial_names_the_exports_that_serving_writes(world, tmp_path):
    with world.serve(tmp_path) as addresses:
        trial = config.parse(world.trial_toml(addresses, tmp_path), path=tmp_path / "trial.toml")
    named = {e.name: e.bill for e in trial.endpoints}
    assert named["summariser-runpod"] is None
    assert all((tmp_path / "bills" / f"{name}.csv").samefile(named[name]) for name in SUFFIX)


def test_the_model_finds_its_own_charges_and_no_others(world, tmp_path):
    from flows import bills

    with world.serve(tmp_path) as addresses:
        trial = config.parse(world.trial_toml(addresses, tmp_path), path=tmp_path / "trial.toml")
    for name in SUFFIX:
        found = bills.read(trial, trial.endpoint(name))
        assert {day: sum(kinds.values()) for day, kinds in found.items()} == {
            day: world.endpoints[name].bill.get(day, Decimal(0)) for day in world.calendar
        }
