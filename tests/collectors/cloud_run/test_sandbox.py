"""The sandbox's planted truth found again, through the real clients, day by day with late and doubled entries."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from collectors import cloud_run
from collectors.cloud_run import Clients, connect
from collectors.google_api import Pace
from collectors.google_entry import to_event
from sandbox.cases import ALL
from sandbox.plans import default_plans
from sandbox.world import World, build_world
from trial.calendar import Window
from trial.config import CloudRunEndpoint
from trial.meter import Meter
from trial.records import Ignored, Invocation, RawEvent, Rejected

PLANS = [plan for plan in default_plans() if plan.platform == "cloud-run"]


def collected(world: World, folder: Path) -> tuple[dict[date, list[Invocation]], dict[str, int], dict[date, int]]:
    """Invocations by day, reasons of what was not used, and the provider's own count by day, long after the trial."""
    (name,) = world.endpoints
    by_day: dict[date, list[Invocation]] = {day: [] for day in world.calendar.all_days()}
    with world.serve(folder) as addresses:
        plain = connect(addresses.google)
        pace = Pace(calls=10_000, base_s=0.001, cap_s=0.01, attempts=12)
        clients = Clients(logging=plain.logging, monitoring=plain.monitoring, logging_pace=pace, monitoring_pace=pace)
        endpoint = CloudRunEndpoint(platform="cloud-run", name=name, project="acme", service="summariser", region="us-central1")
        days = world.calendar.all_days()
        span = Window(start=world.calendar.window(days[0]).start, end=world.calendar.window(days[-1]).end)
        events = {e.identity: e for e in cloud_run.fetch(clients, endpoint, span, meter=Meter())}
        usage = {
            day: sum(b.requests or 0 for b in cloud_run.fetch_usage(clients, endpoint, world.calendar.window(day), meter=Meter()))
            for day in days
        }
        plain.logging.transport.close()
    ordered = sorted(events.values(), key=lambda e: (e.at, e.stream, e.event_id))
    outcomes = [cloud_run.parse(event, endpoint) for event in ordered]
    unused: dict[str, int] = {}
    for outcome in outcomes:
        if isinstance(outcome, (Ignored, Rejected)):
            key = f"{type(outcome).__name__.lower()}:{outcome.reason}"
            unused[key] = unused.get(key, 0) + 1
    facts = [o for o in outcomes if not isinstance(o, (Ignored, Rejected))]
    for day in days:
        window = world.calendar.window(day).widened(before=timedelta(days=1), after=timedelta(minutes=15))
        for record in cloud_run.assemble([f for f in facts if f.at in window], endpoint, world.calendar):
            if isinstance(record, Invocation) and record.day == day:
                by_day[day].append(record)
    return by_day, unused, usage


@pytest.mark.parametrize("seed", [7, 8])
def test_the_planted_truth_is_found(seed, tmp_path):
    world = build_world(seed=seed, days=4, cases=ALL, plans=PLANS, scale=0.5)
    world.set_now(world.calendar.window(world.calendar.all_days()[-1]).end + timedelta(days=3))
    by_day, unused, usage = collected(world, tmp_path)
    (truth,) = world.truth.values()
    for day, planted in truth.items():
        rows = by_day[day]
        counted = [i for i in rows if not i.synthetic and i.status != "aborted"]
        found = {
            "requests": len(counted),
            "cold_hits": sum(i.cold == "cold" and bool(i.waited) for i in counted),
            "cold_unwaited": sum(i.cold == "cold" and i.waited is False for i in counted),
            "unknown": sum(i.cold == "unknown" for i in counted),
            "synthetic": sum(i.synthetic for i in rows),
            "aborted": sum(i.status == "aborted" and not i.synthetic for i in rows),
            "gpu_us": sum(round(i.gpu_ms * 1000) for i in counted if i.gpu_ms is not None),
        }
        assert found == {name: getattr(planted, name) for name in found}, day
    assert sum(unused.get(f"ignored:{r}", 0) for r in cloud_run.COUNTED_BY_PROVIDER) == sum(t.health for t in truth.values())
    assert unused.get("ignored:forbidden", 0) == sum(t.forbidden for t in truth.values())
    assert sum(n for r, n in unused.items() if r.startswith("rejected:")) == sum(t.rejected for t in truth.values())
    assert sum(usage.values()) == pytest.approx(sum(t.provider_requests for t in truth.values()), abs=2)


# Logs that a sink excludes, a retention that cut them, an export that lost some.
LOST: dict[str, Callable[[RawEvent, random.Random], bool]] = {
    "instance log": lambda event, rng: "system" not in event.stream,
    "start entries": lambda event, rng: "Starting new" not in str(event.payload),
    "probe entries": lambda event, rng: "probe succeeded" not in str(event.payload),
    "everything before the third day": lambda event, rng: event.at >= datetime(2026, 11, 4, 12, tzinfo=UTC),
    "two entries in five": lambda event, rng: rng.random() < 0.6,
}


@pytest.mark.parametrize("lost", LOST)
def test_what_is_lost_makes_requests_unknown_and_never_wrong(lost):
    world = build_world(seed=4, days=4, cases=ALL, plans=PLANS, scale=0.5)
    ((name, made),) = world.endpoints.items()
    endpoint = CloudRunEndpoint(platform="cloud-run", name=name, project="acme", service="summariser", region="us-central1")
    rng = random.Random(5)
    events = {e.identity: e for e in (to_event(event.payload) for event in made.events) if LOST[lost](e, rng)}
    facts = [cloud_run.parse(e, endpoint) for e in sorted(events.values(), key=lambda e: (e.at, e.stream, e.event_id))]
    kept = [fact for fact in facts if not isinstance(fact, (Ignored, Rejected))]
    truth = {r.request_id: r.cold and r.waited for r in made.history.requests if r.worker is not None and r.arrival.kind != "ping"}
    lazy = {r.request_id for r in made.history.requests if r.reason == "lazy_load"}
    judged = 0
    for record in cloud_run.assemble(kept, endpoint, world.calendar):
        # A lazily loaded model shows in the handler's line alone, which may be lost too.
        if isinstance(record, Invocation) and record.request_id in truth and record.request_id not in lazy and record.cold != "unknown":
            assert (record.cold == "cold" and record.waited) == truth[record.request_id], record
            judged += 1
    assert judged > 0.3 * len(truth)
