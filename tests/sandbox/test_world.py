from __future__ import annotations

import hashlib
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from sandbox import cases
from sandbox.instants import HOUR, SECOND, to_datetime, to_us
from sandbox.lines import has_line
from sandbox.world import build_world
from trial import config
from trial.handler_line import read


def digest(world) -> str:
    """Of every event as delivered and every day's truth."""
    sha = hashlib.sha256()
    for endpoint in world.endpoints.values():
        for event in endpoint.events:
            sha.update(repr(event).encode("utf-8", "surrogatepass"))
        sha.update(repr(sorted(endpoint.truth.items())).encode())
        sha.update(repr(endpoint.history.workers).encode())
    return sha.hexdigest()


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(small_world):
    again = build_world(days=3, scale=0.35, start=small_world.calendar.start)
    assert digest(again) == digest(small_world)
    other = build_world(days=3, scale=0.35, start=small_world.calendar.start, seed=8)
    assert digest(other) != digest(small_world)


def test_switching_a_case_on_leaves_the_traffic_as_it_was(one_platform):
    plain = one_platform("runpod").endpoints["summariser-runpod"].history
    late = one_platform("runpod", cases=["late", "duplicate"]).endpoints["summariser-runpod"].history
    assert plain == late


def test_an_unknown_case_is_refused():
    with pytest.raises(ValueError, match="no such case: frobnicate"):
        build_world(days=1, cases=["frobnicate"])


def test_three_outcomes_that_differ():
    world = build_world()
    rates = {
        name: sum(day.cold_hits for day in days.values()) / sum(day.requests for day in days.values()) for name, days in world.truth.items()
    }
    assert 0.05 < rates["summariser-lambda"] < 0.12
    assert 0.20 < rates["summariser-run"] < 0.28
    assert rates["summariser-runpod"] > 0.40


def test_truth_adds_up_to_what_happened(small_world):
    for name, endpoint in small_world.endpoints.items():
        total = {k: sum(getattr(d, k) for d in endpoint.truth.values()) for k in ("requests", "synthetic", "aborted", "incomplete")}
        assert sum(total.values()) == len(endpoint.history.requests), name
        assert total["requests"] > 100 and total["synthetic"] > 0
        for day in endpoint.truth.values():
            assert day.cold_hits + day.cold_hidden + day.cold_unwaited + day.unknown <= day.requests
        assert sum(d.lines for d in endpoint.truth.values()) <= len(endpoint.events)
        assert sum(d.duplicates for d in endpoint.truth.values()) <= sum(e.copies - 1 for e in endpoint.events)


def test_every_handler_line_is_one_the_trial_reads(small_world):
    found = 0
    for endpoint in small_world.endpoints.values():
        gpu_us = 0
        lives = {w.number: w for w in endpoint.history.workers}
        for event in endpoint.events:
            payload = event.payload
            if isinstance(payload, dict):
                line = payload.get("jsonPayload")
            elif payload.startswith('{"fortnight"') and payload.rstrip().endswith("}"):
                import json

                line = json.loads(payload)
            else:
                continue
            if line:
                gpu_us += round(read(line)["gpu_ms"] * 1000)
                found += 1
        printed = [r for r in endpoint.history.requests if r.worker is not None and has_line(r, lives[r.worker])]
        other = {"cut-line", "wrapped-line", "powertools-line", "dict-message", "emf-line", "otel-line"}
        wrapped = [r for r in printed if other & r.arrival.cases]
        whole = sum(r.gpu_us for r in printed)
        assert whole - sum(r.gpu_us for r in wrapped) <= gpu_us <= whole
    assert found > 500


def test_what_is_late_still_comes_within_the_look_back(small_world):
    late = 0
    for endpoint in small_world.endpoints.values():
        for event in endpoint.events:
            end = to_us(small_world.calendar.window(small_world.calendar.day_of(to_datetime(event.at_us))).end)
            assert event.at_us <= event.readable_us <= end + 25 * HOUR
            late += event.readable_us - event.at_us > HOUR
    assert late > 5


def test_the_bills_follow_the_platforms_rules(small_world):
    rates = small_world.rates
    lam, run, pod = small_world.endpoints.values()
    gb_seconds = sum(lam.bill.values(), Decimal(0))
    assert 0 < gb_seconds < 1
    per_second = rates.run_gpu_second + 4 * rates.run_vcpu_second + 16 * rates.run_gib_second
    tenths = sum(-(-(w.stopped_us - w.started_us) // 100_000) for w in run.history.workers)
    assert sum(run.bill.values()) == per_second * tenths / 10
    seconds = sum(-(-(w.stopped_us - w.started_us) // SECOND) for w in pod.history.workers)
    assert sum(pod.billed_seconds.values()) == seconds
    assert sum(pod.bill.values()) == rates.runpod_second * seconds


def test_rates_are_parameters(one_platform, plans):
    from dataclasses import replace

    from sandbox.bills import Rates

    dear = build_world(days=1, scale=0.2, cases=[], plans=[plans["runpod"]], rates=replace(Rates(), runpod_second=Decimal("0.00062")))
    cheap = build_world(days=1, scale=0.2, cases=[], plans=[plans["runpod"]])
    assert sum(dear.bills["summariser-runpod"].values()) == 2 * sum(cheap.bills["summariser-runpod"].values())


@pytest.mark.parametrize("start", [date(2026, 10, 24), date(2026, 3, 28)])
def test_days_of_23_and_25_hours(start):
    world = build_world(days=3, scale=0.2, start=start)
    for endpoint in world.endpoints.values():
        assert set(endpoint.truth) == {start + timedelta(days=i) for i in range(3)}
        assert all(day.requests for day in endpoint.truth.values())


def test_trial_toml_is_complete_and_valid(small_world, tmp_path: Path):
    with small_world.serve(tmp_path) as addresses:
        text = small_world.trial_toml(addresses, tmp_path)
        trial = config.parse(text, path=tmp_path / "trial.toml")
        assert [e.name for e in trial.endpoints] == list(small_world.truth)
        assert all(e.api_endpoint for e in trial.endpoints)
        assert trial.calendar == small_world.calendar
        assert list(tmp_path.glob("handler-lines/*/*.jsonl"))
    assert small_world.environment()["RUNPOD_API_KEY"].startswith("rpa_")


def test_the_catalogue_names_every_case_once_per_platform():
    assert len({(c.platform, c.name) for c in cases.CATALOGUE}) == len(cases.CATALOGUE)
    assert {c.name for c in cases.CATALOGUE} == set(cases.ALL)
