"""Every case the sandbox can plant, together, collected by the real clients into a store: each day has exactly what was planted."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import date, timedelta

import pytest

from flows import collecting
from sandbox import cases
from sandbox.exports import write_export
from sandbox.faults import NO_FAULTS, Faults
from sandbox.instants import to_datetime
from sandbox.logs_runpod import HARVEST_EVERY
from sandbox.plans import default_plans, replicate_plan
from sandbox.world import build_world
from trial import config
from trial.store import Store
from trial.summary import Sketch

PLANS = {plan.platform: plan for plan in (*default_plans(), replicate_plan())}
# Logs that are gone, or switched off, or another kind of function altogether; and events that a daily run no longer waits for.
NOT_AMONG_OTHERS = {"short-retention", "delivery-class", "warn-level", "managed-instances", "very-late", "webhook-only", "harvest-only"}
CHANGES = {"silent-pings", "job-objects", "webhook-again", "json-only", "json-snapstart"}
# Of the ledger's reasons for a line that is passed over, those whose number the truth knows.
PASSED_OVER = {
    "health": ("head", "options", "health_check"),
    "forbidden": ("forbidden",),
    "neighbours": ("other_function", "other_deployment"),
}
ALONE = {
    "aws-lambda": [{"managed-instances", "shared-group"}, {"very-late", "across-midnight"}],
    "cloud-run": [{"very-late", "across-midnight"}],
    "runpod": [
        {"very-late", "across-midnight"},
        {"webhook-only", "webhook-again", "failed", "lazy-load", "flashboot", "late", "across-midnight", "at-midnight"},
    ],
}


def zoo():
    for platform in PLANS:
        every = cases.of_platform(platform) - NOT_AMONG_OTHERS
        yield pytest.param(platform, every - CHANGES, id=platform)
        # What changes an endpoint as a whole hides nothing else: once with, once without.
        if every & CHANGES:
            yield pytest.param(platform, every, id=f"{platform}-changed")
        for chosen in ALONE.get(platform, []):
            yield pytest.param(platform, frozenset(chosen), id="-".join([platform, *sorted(chosen)]))


def measured(summary, usage) -> dict[str, object]:
    ledger = summary.ledger_totals()
    gpu, billed = (summary.sketches.get(name, Sketch()) for name in ("gpu_ms", "billed_ms"))
    found = {
        name: getattr(summary, name)
        for name in ("requests", "cold_hits", "cold_unwaited", "unknown", "synthetic", "aborted", "incomplete", "provider_requests")
    }
    ignored = Counter[str]()
    for part in summary.ledgers:
        ignored.update(part.ignored)
    hours = [b for b in usage or () if b.source == "triton-statistics"]
    return {
        **found,
        # Where the provider counts the requests itself, Triton's count is none of theirs.
        "triton": {b.start: (b.requests, round(b.gpu_ms * 1000)) for b in hours if b.gpu_ms},
        **{name: sum(ignored[reason] for reason in reasons) for name, reasons in PASSED_OVER.items()},
        "cold_reasons": dict(summary.cold_reasons),
        "gpu_us": gpu.sum_us,
        "billed_ms": billed.sum_us // 1000,
        "usd": round(sum(b.total_usd or 0 for b in usage or ()), 6),
        "quarantined": summary.quarantined,
        **{name: ledger[name] for name in ("read", "duplicate", "rejected")},
    }


def planted(platform, truth) -> dict[str, object]:
    found = {
        name: getattr(truth, name)
        for name in (
            *("requests", "cold_hits", "cold_unwaited", "unknown", "synthetic", "aborted", "incomplete", "provider_requests"),
            *("gpu_us", "billed_ms", "rejected", *PASSED_OVER),
        )
    }
    # Of these platforms RunPod alone tells its bill by an API.
    found["usd"] = round(truth.billed_usd, 6) if platform == "runpod" else 0
    found["triton"] = {hour: (n if platform == "runpod" else None, gpu_us) for hour, (n, gpu_us) in truth.triton.items()}
    found["cold_reasons"] = dict(sorted(truth.cold_reasons.items()))
    return {**found, "quarantined": 0, "read": truth.lines + truth.duplicates, "duplicate": truth.duplicates}


def collected(folder, now) -> dict[date, dict[str, object]]:
    """What each day of the one endpoint in trial.toml comes to."""
    trial = config.load(folder / "trial.toml")
    (endpoint,) = trial.endpoints
    found = {}
    for span in collecting.plan(trial, Store.at(trial.store_url), endpoint, now=now, days=trial.calendar.all_days()):
        pulled = collecting.pull_days(trial, endpoint, span, now=now)
        for day in span:
            found[day] = measured(collecting.compute_day(trial, endpoint, day, pulled.usage[day], now=now), pulled.usage[day])
    return found


def hold(found, world, *, least_cold=1):
    """Each day has what was planted."""
    ((name, truth),) = world.truth.items()
    platform = world.endpoints[name].plan.platform
    wanted = {day: planted(platform, t) for day, t in truth.items()}
    if platform == "replicate":
        # A prediction says how long it waited and not for what: the planted share lies between the bounds.
        for day, row in found.items():
            del row["cold_reasons"], wanted[day]["cold_reasons"]
            cold, unknown = row.pop("cold_hits"), row.pop("unknown")
            assert wanted[day].pop("unknown") == 0
            assert least_cold <= cold <= wanted[day].pop("cold_hits") <= cold + unknown
    assert found.keys() == wanted.keys()
    for day, row in wanted.items():
        assert found[day] == row, day


def built(platform, chosen, monkeypatch, *, until, days=4):
    world = build_world(seed=7, days=days, start=date(2026, 11, 2), scale=0.6, cases=chosen, plans=[PLANS[platform]])
    for name, value in world.environment().items():
        monkeypatch.setenv(name, value)
    world.set_now(world.clock.now + until)
    return world


@pytest.mark.parametrize(("platform", "chosen"), list(zoo()))
def test_measured_is_planted(platform, chosen, tmp_path, monkeypatch):
    # Whatever is late has come by then: the look-back's last run sees all of it, or days that are asked for again.
    world = built(platform, chosen, monkeypatch, until=timedelta(days=14 if "very-late" in chosen else 3))
    with world.serve(tmp_path, faults=Faults(empty_page=0.2)) as addresses:
        (tmp_path / "trial.toml").write_text(world.trial_toml(addresses, tmp_path))
        hold(collected(tmp_path, world.clock.now), world)


def test_what_a_harvest_brings_is_planted(tmp_path, monkeypatch):
    """Nothing is shipped: what workers printed after the last harvest that saw them is lost, and nobody claims otherwise."""
    chosen = {"harvest-only", "failed", "lazy-load", "flashboot", "keep-warm", "across-midnight", "at-midnight"}
    world = built("runpod", chosen, monkeypatch, until=timedelta(hours=1), days=2)
    ((_, lives),) = world.endpoints.items()
    with world.serve(tmp_path, faults=NO_FAULTS) as addresses:
        (tmp_path / "trial.toml").write_text(world.trial_toml(addresses, tmp_path))
        trial = config.load(tmp_path / "trial.toml")
        now, end = world.calendar.window(world.calendar.start).start, world.clock.now
        while now <= end - timedelta(hours=1):
            world.set_now(now)
            collecting.harvest_workers(trial, trial.endpoints[0], now=now)
            now += timedelta(microseconds=HARVEST_EVERY)
        world.set_now(end)
        hold(collected(tmp_path, end), world)
    requests = sum(day.requests for day in lives.truth.values())
    assert 0 < requests < len(lives.history.requests) and sum(day.incomplete for day in lives.truth.values())


# An export names no function or deployment, so all lines are its own; and Triton's files are none of its lines.
NOT_IN_EXPORTS = {"shared-group", "other-model", "triton-statistics"}
EXPORT_KEYS = ("name", "model", "idle_timeout_s", "concurrency", "keep_warm", "fields")


@pytest.mark.parametrize(
    ("platform", "double_escaped"),
    [("aws-lambda", False), ("aws-lambda", True), ("cloud-run", False), ("runpod", False), ("replicate", False)],
)
def test_measured_in_an_export_is_planted(platform, double_escaped, tmp_path, monkeypatch):
    chosen = cases.of_platform(platform) - NOT_AMONG_OTHERS - NOT_IN_EXPORTS
    world = built(platform, chosen, monkeypatch, until=timedelta(days=3))
    ((name, endpoint),) = world.endpoints.items()
    path = write_export(endpoint, tmp_path / "exports", double_escaped=double_escaped)
    with world.serve(tmp_path, faults=NO_FAULTS) as addresses:
        text = world.trial_toml(addresses, tmp_path)
    head, table = text.split("[[endpoints]]")
    kept = [line for line in table.split("[[dedicated]]")[0].splitlines() if line.startswith(EXPORT_KEYS)]
    own = [f'platform = "export"\nformat = "{platform}"\npath = "{path}"', *kept]
    (tmp_path / "trial.toml").write_text(head + "\n".join(["[[endpoints]]", *own]))
    # A file tells no provider's counter or bill, and holds each stored copy.
    truth = {day: replace(t, provider_requests=None, billed_usd=0) for day, t in endpoint.truth.items()}
    if platform == "cloud-run":
        copies = Counter(world.calendar.day_of(to_datetime(e.at_us)) for e in endpoint.events for _ in range(e.copies - 1))
        truth = {day: replace(t, duplicates=copies[day]) for day, t in truth.items()}
    # Nor does it say that the predictions are of a deployment, where a wait is a start.
    hold(collected(tmp_path, world.clock.now), replace(world, endpoints={name: replace(endpoint, truth=truth)}), least_cold=0)
