"""Changes in the middle of a trial that the logs and the bill give away."""

from __future__ import annotations

import csv
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from analysis.costing.reconcile import DayResidual
from analysis.judging.changes import idle_timeout_changed, price_changed
from analysis.replaying.arrivals import Arrivals
from analysis.replaying.identity import ages_us

LAMBDA = Path(__file__).resolve().parents[3].parent / "shared" / "data" / "lambda-2020"
FIRST = date(2026, 11, 2)
DAY_MS = 86_400_000


def arrivals(at_ms, took_ms, cold) -> Arrivals:
    at, took, every = np.asarray(at_ms), np.asarray(took_ms), np.ones(len(at_ms), dtype=bool)
    day = (at // DAY_MS).astype(np.int64)
    return Arrivals(
        arrival_ms=at, service_ms=took, cold_extra_ms=None, synthetic=~every, day=day, days=int(day.max()) + 1,
        cold=np.asarray(cold), known=every, telling=every, ended_ms=at + took,
    )  # fmt: skip


def planted(rng, *, timeouts_s, per_day=200, noise=0.0) -> Arrivals:
    """One idle time-out a day; a share of the flags is wrong."""
    at = np.sort(rng.uniform(0, len(timeouts_s) * DAY_MS, rng.poisson(per_day * len(timeouts_s))))
    took = rng.exponential(2_000, len(at))
    idle = ages_us((at * 1000).astype(np.int64), (took * 1000).astype(np.int64)).idle_us
    cold = idle >= np.asarray(timeouts_s)[(at // DAY_MS).astype(int)] * 1e6
    return arrivals(at, took, cold ^ (rng.random(len(at)) < noise))


@pytest.mark.parametrize(("before", "after", "days"), [(600, 300, 7), (300, 600, 2), (60, 120, 12), (600, 450, 10)])
def test_a_change_is_found_on_its_day(before, after, days):
    seen = planted(np.random.default_rng([days, before]), timeouts_s=[before] * days + [after] * (14 - days))
    told = idle_timeout_changed(seen, first=FIRST)
    assert told is not None and told.endswith(f"on {FIRST + timedelta(days=days)}")
    named = [float(word) for word in told.split() if word.isdigit()]
    assert named == pytest.approx([before, after], rel=0.1)


@pytest.mark.parametrize("noise", [0, 0.02, 0.2])
@pytest.mark.parametrize("per_day", [15, 100, 600])
def test_one_time_out_all_along_is_no_change_however_noisy(noise, per_day):
    rng = np.random.default_rng([per_day, int(100 * noise)])
    told = [idle_timeout_changed(planted(rng, timeouts_s=[600] * 14, per_day=per_day, noise=noise), first=FIRST) for _ in range(20)]
    assert told == [None] * 20


def test_a_drift_of_a_few_per_cent_is_none():
    assert idle_timeout_changed(planted(np.random.default_rng(4), timeouts_s=[600] * 7 + [640] * 7), first=FIRST) is None


@pytest.mark.parametrize("cold", [np.zeros(40, dtype=bool), np.ones(40, dtype=bool)])
def test_all_warm_and_all_cold_show_no_change(cold):
    assert idle_timeout_changed(arrivals(np.arange(40) * DAY_MS / 4, np.full(40, 100.0), cold), first=FIRST) is None


def test_nothing_observed_and_a_single_day_show_no_change():
    one = planted(np.random.default_rng(5), timeouts_s=[600])
    assert idle_timeout_changed(one, first=FIRST) is None
    bare = Arrivals(arrival_ms=one.arrival_ms, service_ms=one.service_ms, cold_extra_ms=None, synthetic=one.synthetic, day=one.day, days=1)
    assert idle_timeout_changed(bare, first=FIRST) is None


@pytest.mark.skipif(not LAMBDA.exists(), reason="the Lambda logs are not on this machine")
def test_the_real_lambda_logs_of_a_fortnight_show_none():
    rows = []
    for name in sorted(LAMBDA.glob("*.csv")):
        with name.open() as file:
            rows += [(float(r["client_start_time"]), float(r["client_end_time"]), r["is_cold"] == "True") for r in csv.DictReader(file)]
    start, end, cold = (np.array(column) for column in zip(*sorted(rows), strict=True))
    at = (start - start[0]) * 1000
    assert at[-1] > 13 * DAY_MS
    assert idle_timeout_changed(arrivals(at, (end - start) * 1000, cold), first=FIRST) is None


def bills(*ratios) -> list[DayResidual]:
    return [
        DayResidual(day=FIRST + timedelta(days=i), modelled=Decimal(2), low=Decimal(2), high=Decimal(2), billed=Decimal(str(2 * r)), other=Decimal(0))
        for i, r in enumerate(ratios)
    ]  # fmt: skip


def test_a_bill_that_leaves_the_model_on_a_day_is_another_price():
    told = price_changed(bills(1, 0.99, 1.01, 1, 1.2, 1.19, 1.21), tolerance=0.05)
    assert told == "the bill from 1.00 to 1.20 times the model on 2026-11-06: another price, or another machine"
    assert "1.00 to 0.80" in price_changed(bills(1, 1, 1, 0.8, 0.8, 0.8), tolerance=0.05)


@pytest.mark.parametrize(
    "ratios",
    [(), (1, 1.2), (1, 1, 1.2, 1.2, 1.2), (1, 1.3, 1, 1.2, 1.3, 1.25), (1, 1, 1, 1.04, 1.04, 1.04), (1.3,) * 14, (0, 0, 0, 1, 1, 1)],
)
def test_too_few_days_overlap_and_a_constant_difference_are_none(ratios):
    assert price_changed(bills(*ratios), tolerance=0.05) is None
