"""Events that arrive after the look-back are found by asking for their days again, or by a longer look-back."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from flows import collecting
from sandbox.faults import NO_FAULTS
from sandbox.plans import default_plans
from sandbox.world import build_world
from trial import config
from trial.store import Store

DAYS = 3


@pytest.fixture
def world(tmp_path, monkeypatch):
    """Lambda for three days, some of whose events arrive up to 13 days late; `collect(now, days)` as a daily run does it."""
    plan = next(p for p in default_plans() if p.platform == "aws-lambda")
    built = build_world(seed=2, days=DAYS, start=date(2026, 11, 2), scale=0.2, cases=["very-late"], plans=[plan])
    for name, value in built.environment().items():
        monkeypatch.setenv(name, value)
    with built.serve(tmp_path, faults=NO_FAULTS) as addresses:
        text = built.trial_toml(addresses, tmp_path)

        def trial_with(lookback_hours: int):
            (tmp_path / "trial.toml").write_text(f"{text}\n[collect]\nlookback_hours = {lookback_hours}\n")
            return config.load(tmp_path / "trial.toml")

        yield built, trial_with


def collect(built, trial, now, days=None) -> int:
    """One run; how many pulls it made."""
    built.set_now(now)
    endpoint, store = trial.endpoints[0], Store.at(trial.store_url)
    spans = collecting.plan(trial, store, endpoint, now=now, days=days)
    for span in spans:
        pulled = collecting.pull_days(trial, endpoint, span, now=now)
        for day in span:
            collecting.compute_day(trial, endpoint, day, pulled.usage[day], now=now)
    return len(spans)


def seen(trial) -> tuple[int, int]:
    """Requests seen, and requests that CloudWatch counted and no line tells of."""
    days = [m.summary for m in Store.at(trial.store_url).manifests(trial.endpoints[0].name)]
    return sum(d.requests for d in days), sum(d.untold for d in days)


def planted(built) -> int:
    (truth,) = built.truth.values()
    return sum(day.requests for day in truth.values())


def test_what_comes_after_the_look_back_is_missed_said_and_found_when_its_days_are_asked_for(world):
    built, trial_with = world
    trial = trial_with(48)
    days = trial.calendar.all_days()
    for n in range(1, DAYS + 3):
        collect(built, trial, trial.calendar.window(days[0]).start + timedelta(days=n, hours=3))
    requests, untold = seen(trial)
    assert requests < planted(built) and untold >= planted(built) - requests

    # A fortnight on all has arrived, and every day has had its look-back.
    later = trial.calendar.window(days[-1]).end + timedelta(days=14)
    assert collect(built, trial, later) == 0
    assert seen(trial) == (requests, untold)
    assert collect(built, trial, later, days=days) == DAYS
    assert seen(trial) == (planted(built), 0)


def test_a_longer_look_back_finds_them_by_itself(world):
    built, trial_with = world
    trial = trial_with(336)
    for hours in (3, 13 * 24 + 3):
        collect(built, trial, trial.calendar.window(trial.calendar.all_days()[-1]).end + timedelta(hours=hours))
    assert seen(trial) == (planted(built), 0)
