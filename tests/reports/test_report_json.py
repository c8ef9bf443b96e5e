from __future__ import annotations

import json
import math
from dataclasses import replace
from decimal import Decimal

import pytest

from reports.extras import ReportExtras
from reports.report_json import plain, report_json
from trial.config import Trial
from trial.results import TrialResult
from trial.summary import DaySummary


def refuse(name: str) -> None:
    raise AssertionError(f"{name} is not JSON")


def load(text: str) -> dict:
    return json.loads(text, parse_constant=refuse)


def test_summaries_come_back_as_they_went_in(result: TrialResult, config: Trial, extras: ReportExtras) -> None:
    document = load(report_json(result, config=config, extras=extras))
    for before, after in zip(result.endpoints, document["endpoints"], strict=True):
        assert tuple(DaySummary.from_json(day) for day in after["days"]) == before.days


def test_the_numbers_are_those_of_the_result(result: TrialResult, config: Trial, extras: ReportExtras) -> None:
    document = load(report_json(result, config=config, extras=extras))
    run = document["endpoints"][1]
    verdict, cost = result.endpoints[1].verdict, result.endpoints[1].cost
    assert run["verdict"]["decision"] == "evaluate-dedicated"
    assert run["verdict"]["long_run"] == {
        "low": 0.262,
        "best": verdict.realised,
        "high": 0.371,
        "n": 14,
        "method": "t-mixture confidence sequence",
    }
    assert run["cost"]["usd_total"] == pytest.approx(float(cost.total_usd), abs=1e-6)
    assert run["series"][-1]["cumulative"] == verdict.realised
    assert run["scenario"]["kind"] == "diurnal"
    assert document["headline"].startswith("Evaluate dedicated endpoints for summariser-run.")
    assert document["extras"]["prices"]["runpod-flex-4090"]["usd"] == "0.00031"


def test_no_number_is_lost_to_nan_or_infinity(result: TrialResult, config: Trial) -> None:
    first = result.endpoints[0]
    sure = replace(result, endpoints=(replace(first, verdict=replace(first.verdict, e_value=math.inf)),))
    document = load(report_json(sure, config=config, extras=ReportExtras()))
    assert document["endpoints"][0]["verdict"]["e_value"] > 1e300
    assert plain(math.nan) is None and plain(Decimal("NaN")) is None
    assert plain(Decimal("0.1234567")) == 0.123457


def test_before_the_first_day_there_is_still_a_document(empty: TrialResult, config: Trial) -> None:
    document = load(report_json(empty, config=config, extras=ReportExtras()))
    assert document["as_of"] is None and [e["days"] for e in document["endpoints"]] == [[], [], []]
