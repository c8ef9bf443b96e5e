"""Each flag goes up where it should, and stays down on a plain trial."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from analysis.costing.reconcile import Reconciliation
from analysis.judging import diagnostics
from analysis.judging.flags import CODES, flags, traffic_flags, with_bill, with_changes
from analysis.verdict import judge

STEADY = [600, 620, 590, 610, 605, 615, 600, 595, 612, 603, 598, 611, 606, 600]
COLD = [120, 118, 125, 119, 124, 117, 122, 126, 118, 121, 123, 119, 120, 124]


def codes(days, trial, **more):
    return {flag.code for flag in flags(days, **{"endpoint": "e", "trial": trial, "through": None, **more})}


def test_a_plain_trial_raises_none(trial_days, trial_section):
    assert codes(trial_days(STEADY, COLD), trial_section) == set()


@pytest.mark.parametrize(
    ("code", "requests", "cold", "more"),
    [
        ("few-days", STEADY[:11], COLD[:11], {}),
        ("trend", [int(300 * 1.1**i) for i in range(14)], [int(60 * 1.1**i) for i in range(14)], {}),
        ("trend", STEADY, [60 + 10 * i for i in range(14)], {}),
        ("heavy-day", [*STEADY[:13], 6000], [*COLD[:13], 1200], {}),
        ("autocorrelation", STEADY, [90, 95, 100, 110, 130, 150, 160, 160, 150, 140, 120, 105, 95, 90], {}),
        ("design-effect", [6000] * 14, [900, 1500] * 7, {}),
        ("incomplete-logs", STEADY, COLD, {"provider_requests": 640}),
        ("incomplete-logs", STEADY, COLD, {"incomplete": 10}),
        ("incomplete-logs", STEADY, COLD, {"quarantined": 10}),
        ("unknowns-could-flip", STEADY, [110] * 14, {"unknown": 20}),
    ],
)
def test_a_flag_goes_up(trial_days, trial_section, code, requests, cold, more):
    assert code in codes(trial_days(requests, cold, **more), trial_section)


def test_unknowns_that_cannot_flip_it_raise_no_flag(trial_days, trial_section):
    assert "unknowns-could-flip" not in codes(trial_days(STEADY, [30] * 14, unknown=20), trial_section)
    assert "unknowns-could-flip" not in codes(trial_days(STEADY, [200] * 14, unknown=20), trial_section)


def test_missing_days_are_named(trial_days, trial_section):
    days = [d for d in trial_days(STEADY, COLD) if d.day.day not in (5, 9)]
    (flag,) = [f for f in flags(days, endpoint="e", trial=trial_section, through=None) if f.code == "missing-days"]
    assert "2026-11-05" in flag.detail and "2026-11-09" in flag.detail and "2 of 14" in flag.detail
    early = trial_days(STEADY[:7], COLD[:7])
    assert "missing-days" not in codes(early, trial_section)
    assert "missing-days" in codes(early, trial_section, through=trial_section.start + timedelta(days=8))
    assert "missing-days" in codes([], trial_section, through=trial_section.start)
    assert "missing-days" not in codes(trial_days(STEADY, COLD), trial_section, through=trial_section.start + timedelta(days=40))


@pytest.mark.parametrize(
    ("key", "code"),
    [
        ("endpoints.e.region", "settings-changed"),
        ("endpoints.e.resources.vcpu", "settings-changed"),
        ("endpoints.other.region", None),
        ("prices.book", "settings-changed"),
        ("store.url", None),
        ("prices.tolerance", None),
        ("dedicated.big.price", None),
        ("trial.timezone", "settings-changed"),
        ("trial.days", None),
        ("trial.cold_hit_threshold", "threshold-changed"),
        ("trial.latency_slo_ms", "threshold-changed"),
    ],
)
def test_changes_concern_the_endpoint_or_the_rule(trial_days, trial_section, key, code):
    change = {"when": "2026-11-06", "key": key, "from": "a", "to": "b"}
    assert codes(trial_days(STEADY, COLD), trial_section, changes=[change]) == ({code} if code else set())


def test_a_change_is_told_plainly(trial_days, trial_section):
    changes = [
        {"when": "2026-11-06T03:30:00+00:00", "key": "endpoints.e.region", "from": '"us-east-1"', "to": '"eu-west-1"'},
        {"when": "2026-11-07T03:30:00+00:00", "key": "prices.sha256", "from": '"ab12"', "to": '"cd34"'},
    ]
    (flag,) = flags(trial_days(STEADY, COLD), endpoint="e", trial=trial_section, through=None, changes=changes)
    assert flag.detail == "endpoints.e.region from us-east-1 to eu-west-1 on 2026-11-06; the price book on 2026-11-07"


def test_a_model_that_changes_is_found_in_the_logs(trial_days, trial_section):
    models = [{"a": {"requests": 600}}] * 7 + [{"a": {"requests": 20}, "b": {"requests": 580}}] * 7
    (flag,) = flags(trial_days(STEADY, COLD, by_model=models), endpoint="e", trial=trial_section, through=None)
    assert flag.code == "settings-changed" and "from a to b on 2026-11-09" in flag.detail


def test_a_region_that_changes_is_found_in_the_logs(trial_days, trial_section):
    regions = [{"us-east-1": 40}] * 5 + [{}] * 2 + [{"us-east-1": 3, "eu-west-1": 38}] * 7
    (flag,) = flags(trial_days(STEADY, COLD, regions=regions), endpoint="e", trial=trial_section, through=None)
    assert (flag.code, flag.detail) == ("settings-changed", "the logs' region from us-east-1 to eu-west-1 on 2026-11-09")


def test_a_change_read_off_the_rows_joins_those_known_and_leaves_the_decision(trial_days, trial_section):
    decided = judge(trial_days(STEADY, [20] * 14), endpoint="e", platform="cloud-run", trial=trial_section)
    found = with_changes(decided, ["the idle time-out from 600 s to 300 s"])
    assert (found.decision, found.evidence) == ("stay-serverless", "provisional")
    again = with_changes(found, ["the bill"])
    (flag,) = again.flags
    assert (flag.code, flag.detail) == ("settings-changed", "the idle time-out from 600 s to 300 s; the bill")
    assert again.reasons[-1] == "settings-changed: the bill"
    assert with_changes(decided, []) == decided


def test_every_code_is_documented():
    page = (Path(__file__).resolve().parents[3] / "docs" / "flags.md").read_text(encoding="utf-8")
    headings = [line[3:].strip().strip("`") for line in page.splitlines() if line.startswith("## ")]
    assert headings == list(CODES)


@pytest.mark.parametrize("days", range(15))
def test_diagnostics_are_numbers_whatever_the_days(days):
    for requests, cold in (([0] * days, [0] * days), ([5] * days, [5] * days), ([7] * days, [0] * days), (range(days), [0] * days)):
        if days == 0:
            continue
        n, c = np.array(requests, dtype=float), np.array(cold, dtype=float)
        values = [
            diagnostics.design_effect(n, c),
            diagnostics.lag_1(n),
            diagnostics.largest_share(n),
            *diagnostics.trend(n),
            *diagnostics.trend(c, n),
        ]
        assert np.isfinite(values).all()
        assert set(traffic_flags(n, c, np.zeros(days, dtype=bool))) <= set(CODES)


def test_many_trials_at_once_are_judged_as_one_by_one():
    rng = np.random.default_rng(3)
    requests = rng.poisson(rng.gamma(3, 50, size=(40, 9))).astype(float)
    cold = rng.binomial(requests.astype(int), 0.3).astype(float)
    weekend = np.arange(9) % 7 >= 5
    together = traffic_flags(requests, cold, weekend)
    for i in range(len(requests)):
        assert {code: bool(up[i]) for code, up in together.items()} == {
            k: bool(v) for k, v in traffic_flags(requests[i], cold[i], weekend).items()
        }


def test_the_design_effect_of_independent_requests_is_one():
    rng = np.random.default_rng(5)
    requests = np.full((2000, 14), 500.0)
    assert diagnostics.design_effect(requests, rng.binomial(500, 0.2, size=requests.shape).astype(float)).mean() == pytest.approx(
        1, abs=0.05
    )


@pytest.mark.parametrize(
    ("df", "t", "p"), [(1, 12.706, 0.05), (3, 3.182, 0.05), (5, 2.571, 0.05), (8, 1.860, 0.10), (12, 2.179, 0.05), (12, 0, 1)]
)
def test_p_values_are_those_of_the_tables(df, t, p):
    assert float(diagnostics.p_value(np.float64(t), df)) == pytest.approx(p, abs=2e-4)


def test_a_trend_is_the_least_squares_line():
    slope, p = diagnostics.trend(np.array([1.0, 3.0, 2.0, 5.0, 4.0]))
    assert float(slope) == pytest.approx(0.8) and float(p) == pytest.approx(0.1041, abs=1e-3)
    assert [float(v) for v in diagnostics.trend(np.arange(5.0))] == pytest.approx([1, 0], abs=1e-6)
    assert [float(v) for v in diagnostics.trend(np.full(6, 0.1))] == [0, 1]
    assert float(diagnostics.trend(np.array([1.0, 2.0]))[1]) == 1


def test_the_rhythm_of_the_week_is_no_trend(trial_days, trial_section):
    requests = [600 - 300 * (i % 7 >= 5) + i % 3 for i in range(14)]
    assert codes(trial_days(requests, [n // 5 for n in requests]), trial_section) == set()


def test_a_trend_too_small_to_matter_raises_no_flag(trial_days, trial_section):
    assert codes(trial_days([1000 + 5 * i for i in range(14)], [200 + i for i in range(14)]), trial_section) == set()


def bill(share, *, within):
    sentence = "e: billed $10.00 over 5 days, modelled $9.00; beyond the tolerance of 5%: 13% more start would explain it."
    return Reconciliation(
        endpoint="e", days=(), share=share, trend_usd_per_day=None, tolerance=0.05, within_tolerance=within, culprit="start", growth=0.13,
        sentence=sentence,
    )  # fmt: skip


def test_a_bill_beyond_the_tolerance_makes_a_decision_provisional_and_leaves_it(trial_days, trial_section):
    decided = judge(trial_days(STEADY, [20] * 14), endpoint="e", platform="cloud-run", trial=trial_section)
    assert (decided.decision, decided.evidence) == ("stay-serverless", "decided")
    found = with_bill(decided, bill(0.10, within=False))
    assert (found.decision, found.evidence) == ("stay-serverless", "provisional")
    (flag,) = found.flags
    assert flag.code == "bill-differs"
    assert flag.detail.startswith("billed $10.00") and flag.detail.endswith("13% more start would explain it")
    assert found.reasons == (*decided.reasons, f"bill-differs: {flag.detail}")


@pytest.mark.parametrize("found", [None, bill(None, within=None), bill(0.01, within=True)])
def test_no_bill_or_one_that_agrees_changes_nothing(trial_days, trial_section, found):
    decided = judge(trial_days(STEADY, [20] * 14), endpoint="e", platform="cloud-run", trial=trial_section)
    assert with_bill(decided, found) == decided
