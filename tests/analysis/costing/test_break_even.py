"""Cost curves, their crossings, and the sentence a manager reads."""

from __future__ import annotations

import math
import random
from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis import prices
from analysis.costing.break_even import break_even, crossings_of
from analysis.costing.dedicated import Traffic
from analysis.costing.traffic import (
    billed_share,
    daily_estimate,
    dedicated,
    exact,
    from_points,
    linear,
    serverless,
    workers_s_per_day,
)
from trial.config import Dedicated, Resources
from trial.records import Estimate
from trial.results import DayCost, EndpointCost

BOOK = prices.load("standard")
G4DN = Dedicated(name="g4dn.xlarge", price="sagemaker-ml.g4dn.xlarge")
ARTICLE_DAY = 0.736 * 24


def endpoint_cost(totals: list[float], phase: str = "run", spread: float = 0.0) -> EndpointCost:
    days = tuple(
        DayCost(
            day=date(2026, 11, 2) + timedelta(days=i),
            usd={phase: Decimal(str(usd))},
            low=Decimal(str(usd - spread)),
            high=Decimal(str(usd + spread)),
            billed_seconds=Decimal(0),
        )
        for i, usd in enumerate(totals)
    )
    return EndpointCost(endpoint="summariser", price="x", days=days, requests=100)


@pytest.mark.parametrize(
    ("usd_per_hour", "service_s", "requests"),
    [(14.40, 0.5, 8_832), (14.40, 0.05, 88_320), (1.80, 0.5, 70_656), (1.80, 0.05, 706_560)],
    ids=["article, per ms", "article, per ms, BERT", "article, RunPod", "article, RunPod, BERT"],
)
def test_article_break_evens_of_execution_only_prices(usd_per_hour, service_s, requests):
    curve = linear("serverless", fixed_usd=0, usd_per_request=usd_per_hour / 3600 * service_s)
    option = exact("g4dn.xlarge", lambda n: ARTICLE_DAY)
    found = break_even(curve, option, at=10_000)
    assert found.crossing.best == pytest.approx(requests, rel=1e-6)
    assert found.dedicated_cheaper == (requests < 10_000)


def test_article_example_is_past_its_own_break_even():
    found = break_even(linear("lambda", fixed_usd=0, usd_per_request=0.002), exact("g4dn.xlarge", lambda n: ARTICLE_DAY), at=10_000)
    assert found.sentence == "g4dn.xlarge is cheaper than lambda above 8,832 requests a day; you are at 10,000."
    assert found.flip_factor == pytest.approx(17.664 / 20)
    assert found.sure


@pytest.mark.parametrize(
    ("per_second", "service_s", "start_s", "idle_s", "share"),
    [(10_000 / 86_400, 0.5, 10, 5, 0.6797), (10_000 / 86_400, 0.5, 10, 60, 0.9991), (0.02, 0.3, 6, 5, 0.1887)],
)
def test_billed_share_is_the_published_closed_form(per_second, service_s, start_s, idle_s, share):
    found = billed_share(per_second=per_second, service_s=service_s, start_s=start_s, idle_s=idle_s)
    assert found == pytest.approx(share, abs=5e-5)


@pytest.mark.parametrize(("rate", "service_s", "start_s", "idle_s"), [(0.05, 1.0, 8.0, 10.0), (0.2, 2.0, 5.0, 5.0)])
def test_billed_share_agrees_with_simulation(rate, service_s, start_s, idle_s):
    rng, now, free, billed, cold, n = random.Random(7), 0.0, -math.inf, 0.0, 0, 60_000
    for _ in range(n):
        now += rng.expovariate(rate)
        if now > free + idle_s:
            billed += idle_s if free > -math.inf else 0.0
            cold, free = cold + 1, now + start_s + service_s
            billed += start_s + service_s
        else:
            begin = max(now, free)
            billed += begin - free + service_s
            free = begin + service_s
    share = billed_share(per_second=rate, service_s=service_s, start_s=start_s, idle_s=idle_s)
    assert billed / now == pytest.approx(share, abs=0.01)
    assert cold / n == pytest.approx(1 - share, abs=0.01)


def test_the_articles_day_on_a_runpod_4090():
    seconds = workers_s_per_day(10_000, service_s=0.5, start_s=10, idle_s=5)
    assert seconds / 3600 == pytest.approx(16.31, abs=0.01)
    assert seconds * 0.00031 == pytest.approx(18.20, abs=0.01)


@given(st.floats(1, 1e6), st.floats(0.01, 20), st.floats(0, 60), st.floats(1, 900), st.floats(0.05, 1))
def test_billed_time_lies_between_the_work_and_the_clock(n, service_s, start_s, idle_s, burst):
    workers = max(1, math.ceil(n * service_s / 86_400 / 0.8))
    seconds = workers_s_per_day(n, service_s=service_s, start_s=start_s, idle_s=idle_s, burst=burst)
    assert n * service_s * (1 - 1e-9) <= seconds <= workers * 86_400 * (1 + 1e-9)


@pytest.mark.parametrize("usd", [0.5, 4.0, 9.0, 20.0])
def test_the_curve_goes_through_the_trials_own_point(usd):
    traffic = Traffic(requests_per_day=700, service_ms=1400.0)
    curve = serverless(endpoint_cost([usd] * 14), BOOK.rows["runpod-flex-4090"], Resources(), traffic=traffic, start_s=9.0, idle_s=5.0)
    assert curve.best(700) == pytest.approx(usd, rel=1e-6)
    assert curve.best(350) < curve.best(700) < curve.best(7000)


def test_minimum_instances_stand_on_top_of_a_curve_that_still_flattens():
    day = {"run": Decimal(1), "idle": Decimal(3), "min_instances": Decimal(2)}
    days = tuple(
        DayCost(day=date(2026, 11, 2) + timedelta(days=i), usd=day, low=Decimal(6), high=Decimal(6), billed_seconds=Decimal(0))
        for i in range(5)
    )
    cost = EndpointCost(endpoint="summariser", price="x", days=days, requests=3500)
    traffic = Traffic(requests_per_day=700, service_ms=1400.0)
    curve = serverless(cost, BOOK.rows["runpod-flex-4090"], Resources(), traffic=traffic, start_s=9.0, idle_s=5.0)
    assert curve.best(700) == pytest.approx(6.0)
    assert curve.best(0) == pytest.approx(2.0)
    # A worker that never rests costs 86,400 s * 0.00031: no traffic that one can carry costs more than that and the minimum.
    assert curve.best(20_000) <= 2.0 + 86_400 * 0.00031 < 2.0 + 4.0 * 20_000 / 700


def test_burstier_traffic_costs_less_at_the_same_volume_and_the_same_when_never_idle():
    low, high = (workers_s_per_day(700, service_s=1.4, start_s=9, idle_s=5, burst=b) for b in (0.2, 1.0))
    assert low < high
    full = [workers_s_per_day(45_000, service_s=1.4, start_s=9, idle_s=300, burst=b) for b in (0.9, 1.0)]
    assert full[0] == pytest.approx(full[1], rel=1e-3) == pytest.approx(86_400, rel=1e-2)


def test_the_band_holds_the_crossing_and_widens_with_the_days():
    traffic = Traffic(requests_per_day=700, service_ms=1400.0)
    option = dedicated(G4DN, BOOK.rows[G4DN.price], traffic=traffic)
    bands = []
    for totals in ([4.0, 4.1, 3.9] * 4, [4.0, 6.5, 1.5] * 4):
        curve = serverless(
            endpoint_cost(totals, spread=0.1), BOOK.rows["runpod-flex-4090"], Resources(), traffic=traffic, start_s=9, idle_s=5
        )
        found = break_even(curve, option, at=700, days=12)
        assert found.crossing.low < found.crossing.best < found.crossing.high
        assert not found.dedicated_cheaper
        assert found.sentence.startswith("g4dn.xlarge becomes cheaper than summariser above ")
        assert found.sentence.endswith("; you are at 700.")
        bands.append(found.crossing.high - found.crossing.low)
    assert bands[0] < bands[1]


def test_both_sides_of_the_crossing_are_in_the_figure():
    found = break_even(linear("s", fixed_usd=1, usd_per_request=0.001), exact("d", lambda n: 11.0), at=500)
    assert found.crossing.best == pytest.approx(10_000)
    signs = {p.best > p.dedicated for p in found.points}
    assert signs == {True, False}
    assert found.points[0].requests_per_day == pytest.approx(50)


def test_a_second_instance_can_turn_the_answer_back():
    traffic = Traffic(requests_per_day=1000, service_ms=1000.0)
    option = dedicated(G4DN, BOOK.rows[G4DN.price], traffic=traffic)
    assert option.best(69_000) == pytest.approx(17.6736)
    assert option.best(70_000) == pytest.approx(2 * 17.6736)
    found = crossings_of(linear("s", fixed_usd=0, usd_per_request=17.6736 / 50_000).best, option.best, most=1e6)
    assert [above for _, above in found[:3]] == [True, False, True]
    assert found[1][0] == pytest.approx(69_120, rel=1e-6)


def test_never_cheaper_and_always_cheaper_are_said():
    dear, cheap = exact("d", lambda n: 1e9), exact("d", lambda n: 0.0)
    curve = linear("s", fixed_usd=1, usd_per_request=1e-9)
    never = break_even(curve, dear, at=10)
    assert never.crossing is None
    assert "does not become cheaper" in never.sentence
    always = break_even(curve, cheap, at=10)
    assert always.crossing.best == 0
    assert "from the first request on" in always.sentence


def test_per_request_bills_are_straight_and_keep_their_fixed_part():
    row, traffic = BOOK.rows["aws-lambda-x86"], Traffic(requests_per_day=1000, service_ms=600.0)
    curve = serverless(endpoint_cost([2.0] * 5), row, Resources(memory_mb=1024), traffic=traffic, start_s=4, idle_s=300)
    assert [curve.best(n) for n in (0, 1000, 2000)] == pytest.approx([0, 2, 4])
    kept = serverless(endpoint_cost([3.6] * 5, phase="provisioned"), row, Resources(memory_mb=1024), traffic=traffic, start_s=4, idle_s=300)
    assert [kept.best(n) for n in (0, 2000)] == pytest.approx([3.6, 3.6])


def test_replayed_points_make_a_curve():
    curve = from_points("s", [(1000, 2.0, 3.0, 4.0), (100, 1.0, 1.5, 2.0)])
    assert [curve.best(n) for n in (10, 100, 550, 1000, 5000)] == pytest.approx([1.5, 1.5, 2.25, 3.0, 3.0])
    assert curve.low(550) == pytest.approx(1.5)


def test_a_days_estimate_is_wider_with_fewer_days():
    few, many = daily_estimate(endpoint_cost([1.0, 2.0])), daily_estimate(endpoint_cost([1.0, 2.0] * 7))
    assert few.high - few.low > many.high - many.low
    assert daily_estimate(endpoint_cost([2.0], spread=1.0)).low == 0.0
    with pytest.raises(ValueError, match="no day"):
        daily_estimate(endpoint_cost([]))


def test_the_service_times_interval_widens_the_curve():
    traffic = Traffic(requests_per_day=700, service_ms=1400.0)
    interval = Estimate(low=1.2, best=1.4, high=1.6, n=14, method="t")
    row = BOOK.rows["runpod-flex-4090"]
    plain = serverless(endpoint_cost([4.0] * 14), row, Resources(), traffic=traffic, start_s=9, idle_s=5)
    wide = serverless(endpoint_cost([4.0] * 14), row, Resources(), traffic=traffic, start_s=9, idle_s=5, service_s=interval)
    assert wide.high(50_000) > plain.high(50_000)
    assert wide.best(700) == pytest.approx(4.0)
