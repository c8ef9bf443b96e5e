"""A measured endpoint against a dedicated option, out of its own summaries."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import pytest

from analysis import prices
from analysis.costing.compare import compare, service_interval
from trial.config import CloudRunEndpoint, Dedicated, RunpodEndpoint
from trial.results import DayCost, EndpointCost
from trial.summary import DaySummary, Sketch

BOOK = prices.load("standard")
OPTION = Dedicated(name="g4dn.xlarge", price="sagemaker-ml.g4dn.xlarge")
RUNPOD = RunpodEndpoint(name="summariser", platform="runpod", endpoint_id="x", idle_timeout_s=5.0)


def sketch(ms: float, count: int) -> Sketch:
    return Sketch(bins={1: count}, count=count, sum_us=round(ms * 1000 * count), min_ms=ms, max_ms=ms)


def day(i: int, requests: int = 700, ms: float = 1400.0) -> DaySummary:
    sketches = {"handler_ms": sketch(ms, requests), "init_ms": sketch(9000.0, 300)} if requests else {}
    return DaySummary(
        endpoint="summariser", platform="runpod", days=(date(2026, 11, 2) + timedelta(days=i),), requests=requests, sketches=sketches
    )


def cost(usd: str, days: int = 5) -> EndpointCost:
    made = [
        DayCost(day=day(i).day, usd={"run": Decimal(usd)}, low=Decimal(usd), high=Decimal(usd), billed_seconds=Decimal(0))
        for i in range(days)
    ]
    return EndpointCost(endpoint="summariser", price="runpod-flex-4090", days=tuple(made), requests=700 * days)


def test_the_trials_own_traffic_is_marked_and_both_sides_are_shown():
    found = compare(
        RUNPOD,
        BOOK.rows["runpod-flex-4090"],
        cost("3.0"),
        days=[day(i) for i in range(5)],
        option=OPTION,
        option_row=BOOK.rows[OPTION.price],
    )
    assert found is not None
    assert (found.at, found.dedicated_cheaper) == (700, False)
    assert found.serverless_usd.best == pytest.approx(3.0)
    assert found.dedicated_usd == pytest.approx(17.6736)
    assert found.flip_factor == pytest.approx(17.6736 / 3)
    assert found.crossing is not None
    assert found.crossing.best > 700
    assert found.sentence.endswith("you are at 700.")


def test_an_always_on_cloud_run_service_is_dearer_than_the_dedicated_one():
    endpoint = CloudRunEndpoint(name="summariser", platform="cloud-run", project="p", service="s", region="r")
    found = compare(
        endpoint,
        BOOK.rows["cloud-run-l4-no-zonal"],
        cost("25.1"),
        days=[day(i) for i in range(5)],
        option=OPTION,
        option_row=BOOK.rows[OPTION.price],
    )
    assert found is not None
    assert found.dedicated_cheaper
    assert found.sure


def test_without_requests_there_is_nothing_to_draw():
    row = BOOK.rows["runpod-flex-4090"]
    assert compare(RUNPOD, row, cost("0"), days=[day(0, requests=0)], option=OPTION, option_row=BOOK.rows[OPTION.price]) is None
    assert compare(RUNPOD, row, cost("0", days=0), days=[day(0)], option=OPTION, option_row=BOOK.rows[OPTION.price]) is None


def test_service_time_has_an_interval_over_days():
    found = service_interval([day(i, ms=ms) for i, ms in enumerate((1300.0, 1400.0, 1500.0))])
    assert found is not None
    assert (found.best, found.n) == (pytest.approx(1.4), 3)
    assert found.low == pytest.approx(1.4 - 4.303 * 0.1 / 3**0.5)
    assert service_interval([day(0, requests=0)]) is None
