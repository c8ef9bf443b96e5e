"""A bill shared out between the models it was run up by."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from analysis.costing.by_model import by_model
from trial.results import DayCost, EndpointCost
from trial.summary import DaySummary

DAY = date(2026, 11, 2)
COST = EndpointCost(
    endpoint="e",
    price="p",
    days=(DayCost(day=DAY, usd={"run": Decimal(1), "idle": Decimal(8)}, low=Decimal(9), high=Decimal(9), billed_seconds=Decimal(0)),),
    requests=400,
)


def total(**models: dict[str, int]) -> DaySummary:
    return DaySummary(endpoint="e", platform="x", days=(DAY,), requests=400, by_model=models)


def test_gpu_time_shares_the_whole_bill_out():
    found = by_model(
        COST,
        total(
            small={"requests": 300, "gpu_us": 1_000}, large={"requests": 100, "gpu_us": 2_000, "input_tokens": 600, "output_tokens": 400}
        ),
    )
    assert [(m.model, m.usd, m.basis) for m in found] == [("large", Decimal(6), "gpu_ms"), ("small", Decimal(3), "gpu_ms")]
    assert found[0].usd_per_1k == 60
    assert found[0].usd_per_million_tokens == 6000
    assert found[1].usd_per_million_tokens is None


def test_requests_stand_in_where_a_model_has_no_gpu_time():
    found = by_model(COST, total(a={"requests": 300, "gpu_us": 5}, b={"requests": 100}))
    assert [(m.model, m.basis) for m in found] == [("a", "requests"), ("b", "requests")]
    assert sum(m.usd for m in found) == pytest.approx(COST.total_usd)


def test_without_models_there_is_nothing_to_share():
    assert by_model(COST, total()) == ()
    assert by_model(COST, total(a={"requests": 0, "gpu_us": 0})) == ()
