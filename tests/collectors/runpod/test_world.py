from __future__ import annotations

from collections import Counter
from datetime import timedelta
from functools import partial

import httpx
import pytest

from collectors import runpod
from collectors.files import open_lines
from collectors.runpod.harvest import harvest
from sandbox.faults import NO_FAULTS
from sandbox.plans import default_plans
from sandbox.world import build_world
from trial import config
from trial.calendar import Window
from trial.meter import Meter
from trial.records import Ignored, Incomplete, Invocation, Rejected


@pytest.fixture(scope="module")
def world():
    plans = [plan for plan in default_plans() if plan.platform == "runpod"]
    return build_world(seed=11, days=4, scale=0.4, plans=plans)


@pytest.fixture
def trial(world, tmp_path, monkeypatch):
    for name, value in world.environment().items():
        monkeypatch.setenv(name, value)
    # Two days on, the last late line has been shipped.
    end = world.calendar.window(world.calendar.all_days()[-1]).end
    world.set_now(end + timedelta(days=2))
    with world.serve(tmp_path, faults=NO_FAULTS) as addresses:
        (tmp_path / "trial.toml").write_text(world.trial_toml(addresses, tmp_path))
        found = config.load(tmp_path / "trial.toml")
        (endpoint,) = found.endpoints
        key = world.environment()["RUNPOD_API_KEY"]
        with httpx.Client(base_url=endpoint.api_endpoint, headers={"Authorization": f"Bearer {key}"}) as http:
            yield found, endpoint, runpod.Clients(http=http, files=partial(open_lines, folder=tmp_path), now=lambda: world.clock.now)


def whole(calendar) -> Window:
    days = calendar.all_days()
    return Window(start=calendar.window(days[0]).start, end=calendar.window(days[-1]).end)


def test_what_was_planted_is_what_is_read(world, trial):
    """Every case the sandbox knows for RunPod, day by day: requests, cold hits, GPU time, and the account of every line."""
    found, endpoint, clients = trial
    calendar = found.calendar
    window = whole(calendar).widened(before=timedelta(days=1), after=timedelta(hours=1))
    events = list(runpod.fetch(clients, endpoint, window, meter=Meter()))
    copies = Counter((calendar.day_of(e.at), e.identity) for e in events)
    once = {(e.at, *e.identity): e for e in events}
    outcomes = [(calendar.day_of(key[0]), runpod.parse(once[key], endpoint)) for key in sorted(once)]
    facts = [o for _, o in outcomes if not isinstance(o, (Ignored, Rejected))]
    records = list(runpod.assemble(facts, endpoint, calendar))
    for day, planted in world.truth[endpoint.name].items():
        rows = [r for r in records if isinstance(r, Invocation) and r.day == day]
        asked = [r for r in rows if not r.synthetic and r.status != "aborted"]
        seen = {
            "requests": len(asked),
            "cold_hits": sum(r.cold == "cold" and r.waited is True for r in asked),
            "unknown": sum(r.cold == "unknown" for r in asked),
            "synthetic": sum(r.synthetic for r in rows),
            "incomplete": sum(isinstance(r, Incomplete) and r.day == day for r in records),
            "gpu_us": sum(round((r.gpu_ms or 0) * 1000) for r in asked),
            "lines": sum(d == day for d, _ in copies),
            "duplicates": sum(n - 1 for (d, _), n in copies.items() if d == day),
            "rejected": sum(d == day and isinstance(o, Rejected) for d, o in outcomes),
        }
        assert seen == {name: getattr(planted, name) for name in seen}, day


def test_the_bill_is_the_planted_bill_to_the_cent(world, trial):
    found, endpoint, clients = trial
    buckets = list(runpod.fetch_usage(clients, endpoint, whole(found.calendar), meter=Meter()))
    planted = world.bills[endpoint.name]
    for day in found.calendar:
        billed = sum(b.total_usd for b in buckets if found.calendar.day_of(b.start) == day)
        assert abs(billed - planted[day]) < 0.01, day
    assert all(b.final for b in buckets)


def test_harvested_lines_are_the_shipped_ones(world, trial):
    found, endpoint, clients = trial
    window = whole(found.calendar)
    shipped = {e.identity for e in runpod.fetch(clients, endpoint, window, meter=Meter())}
    noon, lines = window.start + timedelta(hours=12), []
    for minute in range(240):
        world.set_now(noon + timedelta(minutes=minute))
        lines = list(harvest(clients, endpoint, since=noon, meter=Meter(), silence_s=0.5))
        if any(e.stream == endpoint.name for e in lines):
            break
    harvested = {e.identity for e in lines if e.stream == endpoint.name}
    assert harvested and harvested <= shipped
    assert {type(runpod.parse(e, endpoint)) for e in lines}.isdisjoint({Rejected})
