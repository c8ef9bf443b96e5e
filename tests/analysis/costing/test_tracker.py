"""The tracker's own bill, from its pulls."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from analysis import prices
from analysis.costing.tracker import CHARGED, FREE, tracker_cost
from trial.config import EndpointBase
from trial.pulls import Pull

BOOK = prices.load("standard")


def pull(month: int = 11, **kwargs) -> Pull:
    return Pull(at=datetime(2026, month, 6, 4, tzinfo=UTC), what="days", **{"calls": 2, "bytes": 500, "events": 10, "metrics": 3, **kwargs})


def test_a_fortnight_of_lambda_costs_a_tenth_of_a_cent():
    found = tracker_cost("aws-lambda", [pull()] * 42, BOOK)
    assert (found.pulls, found.calls, found.bytes, found.events, found.metrics) == (42, 84, 21_000, 420, 126)
    assert found.usd == Decimal("0.00126")
    assert found.charged_for == "126 metrics read (cloudwatch-get-metric-data)"


def test_googles_free_million_is_taken_off_each_month_and_only_where_asked():
    made = [pull(11, metrics=1_200_000), pull(12, metrics=900_000)]
    assert tracker_cost("cloud-run", made, BOOK).usd == Decimal("1.05")
    assert tracker_cost("cloud-run", made, BOOK, free_tier=True).usd == Decimal("0.1")


def test_a_pull_that_failed_was_paid_for_too():
    found = tracker_cost("sagemaker", [pull(failed=True)], BOOK)
    assert (found.failed, found.usd) == (1, Decimal("0.00003"))


@pytest.mark.parametrize("platform", ["runpod", "replicate", "export"])
def test_where_nothing_is_charged_it_says_why(platform):
    found = tracker_cost(platform, [pull()], BOOK)
    assert (found.usd, found.charged_for) == (Decimal(0), FREE[platform])


def test_a_book_without_the_price_leaves_it_unknown():
    text = Path(prices.__file__).with_name("prices.toml").read_text(encoding="utf-8")
    own = prices.parse(text.split("# What the tracker's own reading costs")[0].encode(), name="own", path=Path("own.toml"))
    found = tracker_cost("aws-lambda", [pull()], own)
    assert found.usd is None
    assert found.charged_for == "3 metrics read; the own price book has no price cloudwatch-get-metric-data"


def test_every_platform_is_accounted_for():
    platforms = {p for model in EndpointBase.__subclasses__() for p in model.model_fields["platform"].annotation.__args__}
    assert set(CHARGED) | set(FREE) == platforms
