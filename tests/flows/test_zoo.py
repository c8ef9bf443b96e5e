"""Every case the sandbox can plant, together, collected by the real clients into a store: each day has exactly what was planted."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from flows import collecting
from sandbox import cases
from sandbox.faults import NO_FAULTS
from sandbox.plans import default_plans, replicate_plan
from sandbox.world import build_world
from trial import config
from trial.store import Store

PLANS = {plan.platform: plan for plan in (*default_plans(), replicate_plan())}
# Logs that are gone, or switched off, or another kind of function altogether; and events nobody waits for, which test_late has.
NOT_AMONG_OTHERS = {"short-retention", "delivery-class", "warn-level", "managed-instances", "very-late"}
ALONE = {"aws-lambda": [{"managed-instances", "shared-group"}]}


def zoo():
    for platform in PLANS:
        every = cases.of_platform(platform) - NOT_AMONG_OTHERS
        yield pytest.param(platform, every - {"silent-pings", "job-objects"}, id=platform)
        # What changes an endpoint as a whole hides nothing else: once with, once without.
        if every & {"silent-pings", "job-objects"}:
            yield pytest.param(platform, every, id=f"{platform}-changed")
        for chosen in ALONE.get(platform, []):
            yield pytest.param(platform, frozenset(chosen), id="-".join([platform, *sorted(chosen)]))


def measured(summary) -> dict[str, object]:
    ledger = summary.ledger_totals()
    gpu = summary.sketches.get("gpu_ms")
    found = {
        name: getattr(summary, name)
        for name in ("requests", "cold_hits", "cold_unwaited", "unknown", "synthetic", "aborted", "incomplete", "provider_requests")
    }
    return {
        **found,
        "gpu_us": gpu.sum_us if gpu else 0,
        "quarantined": summary.quarantined,
        **{name: ledger[name] for name in ("read", "duplicate", "rejected")},
    }


def planted(truth) -> dict[str, object]:
    found = {
        name: getattr(truth, name)
        for name in (
            *("requests", "cold_hits", "cold_unwaited", "unknown", "synthetic", "aborted", "incomplete", "provider_requests"),
            *("gpu_us", "rejected"),
        )
    }
    return {**found, "quarantined": 0, "read": truth.lines + truth.duplicates, "duplicate": truth.duplicates}


@pytest.mark.parametrize(("platform", "chosen"), list(zoo()))
def test_measured_is_planted(platform, chosen, tmp_path, monkeypatch):
    world = build_world(seed=7, days=4, start=date(2026, 11, 2), scale=0.6, cases=chosen, plans=[PLANS[platform]])
    for name, value in world.environment().items():
        monkeypatch.setenv(name, value)
    now = world.calendar.window(world.calendar.all_days()[-1]).end + timedelta(days=3)
    world.set_now(now)
    with world.serve(tmp_path, faults=NO_FAULTS) as addresses:
        (tmp_path / "trial.toml").write_text(world.trial_toml(addresses, tmp_path))
        trial = config.load(tmp_path / "trial.toml")
        (endpoint,) = trial.endpoints
        found = {}
        for span in collecting.plan(trial, Store.at(trial.store_url), endpoint, now=now):
            pulled = collecting.pull_days(trial, endpoint, span, now=now)
            for day in span:
                found[day] = measured(collecting.compute_day(trial, endpoint, day, pulled.usage[day], now=now))
    (truth,) = world.truth.values()
    wanted = {day: planted(t) for day, t in truth.items()}
    if platform == "replicate":
        # A prediction says how long it waited and not for what: the planted share lies between the bounds.
        for day, row in found.items():
            cold, unknown = row.pop("cold_hits"), row.pop("unknown")
            assert wanted[day].pop("unknown") == 0 < cold <= wanted[day].pop("cold_hits") <= cold + unknown
    assert found == wanted
