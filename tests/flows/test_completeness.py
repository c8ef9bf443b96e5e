"""Lines that are lost, at random or in bursts, never make a confident wrong verdict: the bounds hold what would have been seen."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pytest

from analysis.verdict import judge
from flows import collecting
from sandbox.faults import NO_FAULTS
from sandbox.plans import default_plans
from sandbox.world import build_world
from trial import config
from trial.config import TrialSection
from trial.summary import DaySummary

START = date(2026, 11, 2)
TRIAL = TrialSection(name="t", start=START)
SHARES = (0.1, 0.3, 0.6)


def lost_at_random(rng, cold: np.ndarray, share: float) -> np.ndarray:
    return rng.random(len(cold)) < share


def lost_in_bursts(rng, cold: np.ndarray, share: float) -> np.ndarray:
    """Stretches of a day, as a shipper that was down leaves them."""
    gone = np.zeros(len(cold), dtype=bool)
    while gone.mean() < share:
        at, length = int(rng.integers(len(cold))), int(rng.integers(5, 80))
        gone[at : at + length] = True
    return gone


def lost_where_cold(rng, cold: np.ndarray, share: float) -> np.ndarray:
    """The worst case: what starts or ends a worker takes the lines of cold requests along."""
    return cold & (rng.random(len(cold)) < share)


def days_of(rate: float, seed: int, lose, share: float) -> list[DaySummary]:
    """A fortnight at this rate, of which part of the lines is gone and the provider's counter is not."""
    days, rng, losses = [], np.random.default_rng(seed), np.random.default_rng([seed, 1])
    for n in range(14):
        cold = rng.random(int(rng.integers(200, 500))) < rate
        kept = cold[~lose(losses, cold, share)]
        days.append(
            DaySummary(
                endpoint="e",
                platform="aws-lambda",
                days=(START + timedelta(days=n),),
                requests=len(kept),
                cold_hits=int(kept.sum()),
                noticed=int(kept.sum()),
                provider_requests=len(cold),
                first_cold=bool(kept[0]) if len(kept) else None,
            )
        )
    return days


@pytest.mark.parametrize("lose", [lost_at_random, lost_in_bursts, lost_where_cold])
@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("rate", [0.05, 0.15, 0.25, 0.5])
def test_no_loss_turns_a_verdict_that_is_decided(rate, share, lose):
    right = "evaluate-dedicated" if rate > TRIAL.cold_hit_threshold else "stay-serverless"
    for seed in range(6):
        whole, days = days_of(rate, seed, lose, 0.0), days_of(rate, seed, lose, share)
        asked, cold = sum(d.requests for d in whole), sum(d.cold_hits for d in whole)
        of = judge(days, endpoint="e", platform="aws-lambda", trial=TRIAL)
        assert of.decision in (right, "not-decided")
        low, high = of.bounds
        assert low <= cold / asked <= high
        assert high - low == pytest.approx(sum(d.unseen for d in days) / asked)
    if share >= 0.3 and lose is not lost_where_cold:
        assert "incomplete-logs" in {f.code for f in of.flags}


def test_a_whole_trial_decides_what_a_thinned_one_leaves_open():
    whole = judge(days_of(0.05, 1, lost_at_random, 0.0), endpoint="e", platform="aws-lambda", trial=TRIAL)
    thinned = judge(days_of(0.05, 1, lost_at_random, 0.6), endpoint="e", platform="aws-lambda", trial=TRIAL)
    assert (whole.decision, thinned.decision) == ("stay-serverless", "not-decided")


DAYS = 6


@pytest.fixture
def lambda_world():
    plan = next(p for p in default_plans() if p.platform == "aws-lambda")
    return build_world(seed=11, days=DAYS, start=START, scale=0.35, cases=(), plans=[plan])


@pytest.fixture
def collected(tmp_path, monkeypatch, lambda_world):
    """`collected(keep)` -> the summaries of a world of which only the events that `keep` chooses can be read."""

    def collect(keep, name):
        (endpoint_name, endpoint), *_ = lambda_world.endpoints.items()
        events = tuple(e for e, kept in zip(endpoint.events, keep(endpoint.events), strict=True) if kept)
        world = replace(lambda_world, endpoints={endpoint_name: replace(endpoint, events=events)})
        for key, value in world.environment().items():
            monkeypatch.setenv(key, value)
        folder = tmp_path / name
        folder.mkdir()
        with world.serve(folder, faults=NO_FAULTS) as addresses:
            (folder / "trial.toml").write_text(world.trial_toml(addresses, folder))
            trial = config.load(folder / "trial.toml")
            days = trial.calendar.all_days()
            now = trial.calendar.window(days[-1]).end + timedelta(hours=2)
            world.set_now(now)
            pulled = collecting.pull_days(trial, trial.endpoints[0], tuple(days), now=now)
            return trial, [collecting.compute_day(trial, trial.endpoints[0], d, pulled.usage[d], now=now) for d in days]

    return collect


def all_of(events):
    return [True] * len(events)


def some_lines(share):
    return lambda events: list(np.random.default_rng(3).random(len(events)) >= share)


def some_hours(share):
    """Whole quarters of an hour are gone."""

    def keep(events):
        rng, quarter = np.random.default_rng(4), 900_000_000
        gone = {q: bool(rng.random() < share) for q in sorted({e.at_us // quarter for e in events})}
        return [not gone[e.at_us // quarter] for e in events]

    return keep


@pytest.mark.parametrize("lose", [some_lines, some_hours])
def test_what_was_lost_on_the_way_lies_within_the_bounds(lose, collected, lambda_world):
    """Through the real client, with CloudWatch's counter whole: what the planted truth has lies between the bounds."""
    (planted,) = lambda_world.truth.values()
    asked = sum(d.requests for d in planted.values())
    cold = sum(d.cold_hits for d in planted.values())
    _, whole = collected(all_of, "whole")
    assert sum(d.requests for d in whole) == asked and sum(d.cold_hits for d in whole) == cold
    for share in (0.1, 0.6):
        trial, days = collected(lose(share), f"{share}")
        of = judge(days, endpoint="e", platform="aws-lambda", trial=trial.trial)
        full = judge(whole, endpoint="e", platform="aws-lambda", trial=trial.trial)
        low, high = of.bounds
        assert low <= cold / asked <= high
        assert of.decision in (full.decision, "not-decided")
        assert "incomplete-logs" in {f.code for f in of.flags}
        totals = [d.ledger_totals() for d in days]
        assert all(t["read"] == t["used"] + t["ignored"] + t["duplicate"] + t["rejected"] for t in totals)
