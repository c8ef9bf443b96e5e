"""Periodicity found where there is one, and nowhere else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from analysis.pings import find_pings

T0 = datetime(2026, 11, 2, tzinfo=UTC)


def at(seconds) -> list[datetime]:
    return [T0 + timedelta(seconds=float(s)) for s in seconds]


def traffic(rng, *, per_day: int, days: float = 1.0) -> list[float]:
    """Poisson arrivals with a daily wave."""
    draws = rng.uniform(0, 86_400 * days, size=3 * per_day)
    kept = draws[rng.random(draws.size) < (1 + np.sin(2 * np.pi * draws / 86_400)) / 2]
    return list(kept[: int(per_day * days)])


@pytest.mark.parametrize("minutes", [1, 5, 15, 60])
@pytest.mark.parametrize("per_day", [0, 100, 2_000])
def test_a_train_is_found_among_traffic_and_its_members_are_named(minutes, per_day):
    rng = np.random.default_rng(minutes + per_day)
    period_s = minutes * 60
    pings = np.arange(37, 86_400, period_s) + rng.uniform(0, 1.5, size=len(np.arange(37, 86_400, period_s)))
    users = traffic(rng, per_day=per_day)
    times = at([*pings, *users])
    found = find_pings(times)
    assert found is not None and found.period == timedelta(minutes=minutes)
    true = set(range(len(pings)))
    assert len(true & set(found.members)) > 0.9 * len(pings)
    assert abs(found.phase - (T0 + timedelta(seconds=37.75))) < timedelta(seconds=2)


def test_a_train_of_three_hours_is_found_in_a_day_of_traffic():
    pings = [9 * 3600 + n * 300 for n in range(36)]
    found = find_pings(at([*pings, *traffic(np.random.default_rng(3), per_day=800)]))
    assert found is not None and found.period == timedelta(minutes=5)
    assert set(range(36)) >= {m for m in found.members if m < 36} and sum(m < 36 for m in found.members) >= 32


def test_a_few_lost_pings_change_nothing():
    pings = [s for n, s in enumerate(range(0, 86_400, 300)) if n % 19]
    found = find_pings(at(pings))
    assert found is not None and found.period == timedelta(minutes=5) and len(found.members) == len(pings)


@pytest.mark.parametrize("seed", range(40))
def test_traffic_alone_is_no_train(seed):
    rng = np.random.default_rng(seed)
    assert find_pings(at(traffic(rng, per_day=int(rng.integers(8, 20_000))))) is None


@pytest.mark.parametrize("seed", range(10))
def test_bursts_on_the_hour_are_no_train(seed):
    """A job that sends a handful of requests each working hour is no ping at each of a day's hours."""
    rng = np.random.default_rng(seed)
    times = [h * 3600 + rng.uniform(0, 600) for h in range(9, 17) for _ in range(30)]
    assert find_pings(at(times)) is None


def test_one_request_a_minute_that_wanders_is_no_train():
    rng = np.random.default_rng(1)
    assert find_pings(at(np.cumsum(rng.uniform(40, 80, size=1000)))) is None


def test_too_few_to_say():
    assert find_pings([]) is None
    assert find_pings(at(range(0, 11 * 300, 300))) is None
