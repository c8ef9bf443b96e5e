"""The bill beside the model, costs by model, and what collecting cost, as the report shows them."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal

import pytest

from analysis.costing.reconcile import reconcile
from reports import price_tables
from reports.extras import ReportExtras
from reports.report_json import report_json
from trial.config import Trial
from trial.results import EndpointCost, TrialResult

HOSTILE = "<script>alert('model')</script>"


def plain(cells: object) -> list[str]:
    return [str(cell).replace("\u00a0", " ") for cell in cells]  # type: ignore[union-attr]


def test_only_endpoints_with_a_bill_are_reconciled(result: TrialResult) -> None:
    (row,) = price_tables.reconciliation(result.endpoints).rows
    cells = dict(zip(price_tables.reconciliation(result.endpoints).columns, plain(row), strict=True))
    assert (cells["Endpoint"], cells["Days with a bill"]) == ("summariser-runpod", "14")
    assert cells["Billed above the model"] == "2.0 %"
    assert cells["Days within the model's bounds"] == "14 of 14"
    assert cells["Would be explained by"].split(" % ")[1] in ("more start", "more idle", "more run")
    assert cells["Also billed, not modelled"] == "nothing"


def test_a_bill_within_the_tolerance_needs_no_explanation(result: TrialResult) -> None:
    ends = [replace(e, reconciliation=reconcile(e.cost, tolerance=0.05)) for e in result.endpoints if e.cost is not None]
    (row,) = price_tables.reconciliation(ends).rows
    assert plain(row)[-2] == "within the tolerance of 5 %"


def test_the_residual_is_shown_for_each_day_with_its_phases(result: TrialResult) -> None:
    table = price_tables.bill_days(result.endpoints)
    assert len(table.rows) == 14
    assert plain(table.rows[0])[:2] == ["summariser-runpod", "Mon 2 Nov"]
    assert "idle $" in table.rows[0][2] and "start $" in table.rows[0][2]
    assert all(plain(row)[-1].startswith("$0.") for row in table.rows)
    (said,) = price_tables.bill_sentences(result.endpoints)
    assert said.about == "summariser-runpod"
    assert said.text.startswith("billed $") and said.text.endswith("would explain it.")


def test_without_a_bill_nothing_is_claimed(result: TrialResult) -> None:
    bare = [replace(e, reconciliation=None) for e in result.endpoints]
    assert price_tables.reconciliation(bare).rows == [] == price_tables.bill_days(bare).rows
    assert "No bill was read" in price_tables.reconciliation(bare).empty


def test_models_share_out_the_whole_bill(result: TrialResult) -> None:
    rows = [plain(row) for row in price_tables.model_costs(result.endpoints).rows if row[0] == "summariser-run"]
    assert {row[1] for row in rows} == {HOSTILE, "summariser-7b"}
    run = next(e for e in result.endpoints if e.endpoint == "summariser-run")
    assert isinstance(run.cost, EndpointCost)
    assert sum((m.usd for m in run.by_model), Decimal(0)) == pytest.approx(run.cost.total_usd)
    assert rows[0][3] != rows[0][2], "a month is not the trial"
    assert rows[0][5] == "no tokens logged"


def test_what_the_tracker_cost_says_when_it_does_not_know(extras: ReportExtras) -> None:
    first, second = (plain(row) for row in price_tables.tracker(extras).rows)
    assert first == ["summariser-fn", "42", "310", "61,200", "21.4", "3", "$0.00126", "126 metrics read (cloudwatch-get-metric-data)"]
    assert second[6] == "not known"
    assert price_tables.tracker(ReportExtras()).empty == "Not recorded for this report."


def test_the_json_holds_the_same(result: TrialResult, config: Trial, extras: ReportExtras) -> None:
    document = json.loads(report_json(result, config=config, extras=extras))
    fn, run, runpod = document["endpoints"]
    found = runpod["reconciliation"]
    assert (len(found["days"]), found["within_tolerance"], found["culprit"] is not None) == (14, False, True)
    assert found["share"] == pytest.approx(0.0196, abs=1e-4)
    assert found["billed_usd"] == pytest.approx(sum(d["billed"] for d in found["days"]), abs=1e-4)
    assert found["residual_usd"] == pytest.approx(sum(d["residual_usd"] for d in found["days"]), abs=1e-4)
    assert fn["reconciliation"]["share"] is None and fn["reconciliation"]["days"] == []
    assert run["cost"]["hours_per_month"] == 730
    assert sum(m["usd"] for m in run["cost"]["by_model"]) == pytest.approx(run["cost"]["usd_total"], abs=1e-4)
    assert document["extras"]["tracker"]["summariser-fn"]["usd"] == 0.00126
