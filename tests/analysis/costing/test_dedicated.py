"""What a dedicated option would cost for the trial's traffic."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from analysis import prices
from analysis.billing.rounding import cents
from analysis.costing.dedicated import Traffic, busy_share, dedicated_cost, traffic_of, usd_per_day
from trial.config import Dedicated
from trial.errors import ConfigError
from trial.summary import DaySummary, Sketch

BOOK = prices.load("standard")
BERT = Traffic(requests_per_day=500_000, service_ms=50.0)

# The article's workload at list prices, 24 h a day.
BERT_BILLS = {
    "sagemaker-ml.g4dn.xlarge": "17.67",
    "sagemaker-ml.g5.xlarge": "33.79",
    "vertex-n1-standard-4-t4": "14.90",
    "vertex-g2-standard-4": "19.51",
    "hf-t4": "12.00",
    "cloud-run-l4-no-zonal": "25.12",
    "runpod-active-4090": "26.78",
    "aws-lambda-managed-g4dn.xlarge": "43.65",
    "aws-lambda-managed-g4dn.xlarge-single": "14.62",
}


@pytest.mark.parametrize(("row", "usd"), BERT_BILLS.items())
def test_a_day_costs_what_the_list_price_says(row, usd):
    option = Dedicated(name="d", price=row)
    found = dedicated_cost(option, BOOK.rows[row], traffic=BERT)
    assert cents(found.usd_per_day) == Decimal(usd)
    assert found.usd_per_1k == found.usd_per_day / 500


def test_busy_share_scales_with_the_gpu_and_the_instances():
    option = Dedicated(name="d", price="sagemaker-ml.g4dn.xlarge", instances=2, service_ms_scale=1.5)
    found = dedicated_cost(option, BOOK.rows[option.price], traffic=BERT, break_even={"e": 1200.0})
    assert found.busy_share == pytest.approx(25_000 / 86_400 * 1.5 / 2)
    assert found.usd_per_day == 2 * 24 * Decimal("0.7364")
    assert found.break_even_requests_per_day == {"e": 1200.0}
    assert busy_share(Traffic(requests_per_day=10**7, service_ms=50.0), instances=1) > 1


def test_what_is_not_known_is_none_not_zero():
    option = Dedicated(name="d", price="sagemaker-ml.g4dn.xlarge")
    found = dedicated_cost(option, BOOK.rows[option.price], traffic=Traffic(requests_per_day=0.0, service_ms=None))
    assert (found.usd_per_1k, found.busy_share) == (None, None)


def test_traffic_is_the_trials_own():
    handler = Sketch(bins={1: 4}, count=4, sum_us=4_000_000, min_ms=1000.0, max_ms=1000.0)
    days = (date(2026, 11, 2), date(2026, 11, 3))
    total = DaySummary(endpoint="e", platform="x", days=days, requests=4, synthetic=100, sketches={"handler_ms": handler})
    assert traffic_of(total) == Traffic(requests_per_day=2.0, service_ms=1000.0)
    assert traffic_of(DaySummary(endpoint="e", platform="x", days=days, requests=4)).service_ms is None


def test_a_closed_platform_cannot_be_moved_to():
    with pytest.raises(ConfigError, match="closed"):
        usd_per_day(BOOK.rows["banana"], instances=1)
