"""The verdict, its reasons and its JSON."""

from __future__ import annotations

import json
from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.judging.verdict_json import verdict_json
from analysis.statistics import confidence_sequence, evidence
from analysis.verdict import judge, passed_on, whole_week
from trial.config import TrialSection
from trial.results import DayCost, DedicatedCost, EndpointCost, EndpointResult, WhatIf
from trial.summary import DaySummary

BUSY = [600, 620, 590, 610, 605, 615, 600, 595, 612, 603, 598, 611, 606, 600]
HIGH = [230, 218, 235, 219, 224, 217, 232, 226, 218, 221, 233, 219, 220, 224]
LOW = [60, 58, 65, 59, 64, 57, 62, 66, 58, 61, 63, 59, 60, 64]
NEAR = [120, 131, 115, 119, 124, 140, 101, 126, 118, 108, 133, 119, 120, 124]


@pytest.fixture
def verdict(trial_section):
    def of(days, *, platform="cloud-run", **more):
        changed = {k: more.pop(k) for k in list(more) if k in TrialSection.model_fields}
        return judge(days, endpoint="e", platform=platform, trial=trial_section.model_copy(update=changed), **more)

    return of


def test_above_and_noticed_is_evaluate(verdict, trial_days):
    of = verdict(trial_days(BUSY, HIGH))
    assert (of.decision, of.rule, of.evidence, of.flags) == ("evaluate-dedicated", "evaluate-dedicated", "decided", ())
    assert of.passed_on == date(2026, 11, 2) and of.users_notice is True
    assert (of.requests, of.cold_hits) == (sum(BUSY), sum(HIGH))
    assert of.reasons[0].startswith("Traffic like this meets a cold instance in more than 20 %")


def test_below_is_stay(verdict, trial_days):
    of = verdict(trial_days(BUSY, LOW))
    assert (of.decision, of.rule, of.evidence, of.passed_on) == ("stay-serverless", "stay-serverless", "decided", None)


def test_near_the_threshold_is_not_decided_and_says_what_would(verdict, trial_days):
    of = verdict(trial_days(BUSY, NEAR))
    assert (of.decision, of.evidence) == ("not-decided", "provisional")
    assert of.long_run.low < 0.2 < of.long_run.high
    assert "decide" in of.reasons[0]


def test_numbers_are_those_of_the_statistics(verdict, trial_days):
    of, plain = verdict(trial_days(BUSY, HIGH)), confidence_sequence(BUSY, HIGH)
    assert (of.long_run.low, of.long_run.high) == (plain.low, plain.high)
    assert of.e_value == evidence(BUSY, HIGH, 0.2)
    assert of.bounds == (of.realised, of.realised)


@pytest.mark.parametrize("days", range(5))
def test_never_before_five_days(verdict, trial_days, days):
    for cold in (BUSY, [0] * 14):
        assert verdict(trial_days(BUSY[:days], cold[:days])).decision == "not-decided"
    assert verdict(trial_days([500] * days, [500] * days), confidence=0.6).decision == "not-decided"


def test_exactly_the_threshold_has_not_passed_it(verdict, trial_days):
    of = verdict(trial_days([100] * 14, [20] * 14))
    assert (of.rule, of.passed_on, of.decision) == ("stay-serverless", None, "not-decided")
    assert verdict(trial_days([100] * 14, [20] * 13 + [21])).rule == "evaluate-dedicated"


def test_passed_on_is_the_first_day_of_the_cumulative_rate_and_stays(trial_days):
    assert passed_on(trial_days([100, 100, 100, 100], [10, 20, 40, 0]), threshold=0.2) == date(2026, 11, 4)
    assert passed_on(trial_days([0, 0], [0, 0]), threshold=0.2) is None
    assert passed_on([], threshold=0.2) is None


def test_not_user_facing_is_stay(verdict, trial_days):
    of = verdict(trial_days(BUSY, HIGH), user_facing=False)
    assert (of.decision, of.rule, of.users_notice, of.noticed) == ("stay-serverless", "stay-serverless", False, None)
    assert "nobody waits" in of.reasons[0]


def test_above_but_demonstrably_unnoticed_is_stay(verdict, trial_days):
    of = verdict(trial_days(BUSY, HIGH, noticed=0))
    assert (of.decision, of.rule, of.users_notice) == ("stay-serverless", "stay-serverless", False)


def test_above_with_unknown_waits_is_not_decided_and_the_rule_takes_it_for_noticed(verdict, trial_days):
    of = verdict(trial_days(BUSY, HIGH, noticed=0, noticed_unknown=HIGH))
    assert (of.decision, of.rule, of.users_notice) == ("not-decided", "evaluate-dedicated", None)
    assert "whether users notice is open" in of.reasons[0]


def test_unknown_requests_count_against_both_answers(verdict, trial_days):
    for cold in (HIGH, LOW):
        assert verdict(trial_days(BUSY, cold)).decision != "not-decided"
        widened = verdict(trial_days(BUSY, cold, unknown=[(n - c) * (c < 100) or 0 for n, c in zip(BUSY, cold, strict=True)]))
        assert widened.long_run.low <= widened.bounds[0] <= widened.bounds[1] <= widened.long_run.high
    assert widened.decision == "not-decided" and "unknown" in widened.reasons[0]
    assert "unknowns-could-flip" in {f.code for f in widened.flags}


@pytest.mark.parametrize("name", ["incomplete", "quarantined"])
def test_requests_seen_in_part_only_may_have_been_cold(name, verdict, trial_days):
    of = verdict(trial_days(BUSY, LOW, **{name: 200}))
    assert of.decision == "not-decided" and of.unseen == 14 * 200
    assert of.bounds == pytest.approx((sum(LOW) / (sum(BUSY) + 2800), (sum(LOW) + 2800) / (sum(BUSY) + 2800)))


def test_without_a_providers_count_the_verdict_says_what_it_rests_on_and_stands(verdict, trial_days):
    counted, uncounted = verdict(trial_days(BUSY, LOW)), verdict(trial_days(BUSY, LOW, provider_requests=None))
    assert {f.code for f in uncounted.flags} - {f.code for f in counted.flags} == {"completeness-unknown"}
    assert (uncounted.decision, uncounted.evidence) == (counted.decision, counted.evidence)


def test_unseen_requests_count_against_both_answers(verdict, trial_days):
    of = verdict(trial_days(BUSY, LOW, provider_requests=[n + 200 for n in BUSY]))
    assert of.decision == "not-decided" and of.unseen == 14 * 200
    assert of.bounds == pytest.approx((sum(LOW) / (sum(BUSY) + 2800), (sum(LOW) + 2800) / (sum(BUSY) + 2800)))


def test_the_first_request_of_the_trial_is_left_out_of_the_evidence_only(verdict, trial_days):
    days = trial_days(BUSY, HIGH, first_cold=[True] + [False] * 13)
    of = verdict(days)
    assert (of.requests, of.cold_hits) == (sum(BUSY), sum(HIGH))
    assert of.e_value == evidence([BUSY[0] - 1, *BUSY[1:]], [HIGH[0] - 1, *HIGH[1:]], 0.2)
    warm = verdict(trial_days(BUSY, HIGH, first_cold=False))
    assert warm.e_value == evidence([BUSY[0] - 1, *BUSY[1:]], HIGH, 0.2)
    late = verdict(trial_days([0, *BUSY[1:]], [0, *HIGH[1:]], first_cold=[None, True] + [False] * 12))
    assert late.e_value == evidence([0, BUSY[1] - 1, *BUSY[2:]], [0, HIGH[1] - 1, *HIGH[2:]], 0.2)


def test_stay_waits_for_a_whole_week_where_weekends_differ(verdict, trial_days, trial_section):
    quiet = [600, 605, 598, 600, 603, 200, 210]  # a Monday to a Sunday
    cold = [20, 21, 19, 20, 22, 9, 8]
    assert verdict(trial_days(quiet[:6], cold[:6])).decision == "not-decided"
    assert "whole week" in verdict(trial_days(quiet[:6], cold[:6])).reasons[0]
    assert verdict(trial_days(quiet, cold)).decision == "stay-serverless"
    weekdays = trial_days(quiet[:5], cold[:5])
    assert not whole_week(weekdays), "no weekend was seen, so it may differ"
    assert whole_week(trial_days([600] * 5, [20] * 5, skip=3)), "a Thursday to a Monday that are all alike"
    assert not whole_week(trial_days([600, 600, 600, 600, 100, 90, 600, 600], [0] * 8, skip=1)[:-2])


def test_evaluate_does_not_wait_for_the_week(verdict, trial_days):
    assert verdict(trial_days(BUSY[:5], HIGH[:5])).decision == "evaluate-dedicated"


def test_a_flag_makes_it_provisional(verdict, trial_days):
    of = verdict(trial_days(BUSY, HIGH), changes=[{"when": "2026-11-05", "key": "trial.cold_hit_threshold", "from": "0.3", "to": "0.2"}])
    assert (of.decision, of.evidence, [f.code for f in of.flags]) == ("evaluate-dedicated", "provisional", ["threshold-changed"])
    assert of.reasons[0].startswith("The registered rule was changed")


def test_a_handful_of_requests_decides_nothing(verdict, trial_days):
    of = verdict(trial_days([1] * 14, [0] * 14))
    assert of.decision == "not-decided" and "too few" in of.reasons[0]
    assert verdict(trial_days([3] * 14, [0] * 14)).decision == "stay-serverless"


@pytest.mark.parametrize(
    ("requests", "cold", "words"),
    [([], [], "no complete day"), ([0] * 9, [0] * 9, "no request"), ([50], [50], "1 complete day of traffic")],
)
def test_nothing_to_go_by_is_not_decided_with_its_reason(verdict, trial_days, requests, cold, words):
    of = verdict(trial_days(requests, cold))
    assert of.decision == "not-decided" and words in of.reasons[0]


def test_platform_latency_that_is_not_the_callers_wait_is_said(verdict, trial_days):
    assert any("queueing before it" in r for r in verdict(trial_days(BUSY, HIGH), platform="aws-lambda").reasons)
    assert not any("not in it" in r for r in verdict(trial_days(BUSY, HIGH)).reasons)
    exported = verdict(trial_days(BUSY, HIGH), platform="export", logs_of="aws-lambda")
    assert exported.platform == "export" and any("queueing before it" in r for r in exported.reasons)


def test_two_summaries_of_one_day_are_refused(verdict, trial_days):
    with pytest.raises(ValueError, match="one day"):
        verdict(trial_days([5], [1]) * 2)


@st.composite
def any_days(draw) -> list[DaySummary]:
    days = []
    for i in sorted(draw(st.sets(st.integers(0, 20), max_size=16))):
        n = draw(st.sampled_from([0, 1, 2, 17, 600, 10**7]))
        cold = draw(st.integers(0, n))
        unknown = draw(st.integers(0, n - cold))
        noticed = draw(st.integers(0, cold))
        days.append(
            DaySummary(
                endpoint="e",
                platform="runpod",
                days=(date(2026, 3, 25) + timedelta(days=i),),  # across a change of the clocks
                requests=n,
                cold_hits=cold,
                unknown=unknown,
                noticed=noticed,
                noticed_unknown=draw(st.integers(0, cold - noticed + unknown)),
                incomplete=draw(st.integers(0, 3)),
                provider_requests=draw(st.none() | st.integers(0, 2 * n)),
                first_cold=draw(st.booleans()) if n else None,
            )
        )
    return days


@given(any_days(), st.booleans(), st.sampled_from([0.5001, 0.95, 0.999]), st.sampled_from([0.001, 0.2, 0.999]))
@settings(max_examples=150, deadline=None)
def test_whatever_the_days_there_is_an_answer_and_no_nan(days, user_facing, confidence, threshold):
    trial = TrialSection(
        name="t",
        start=date(2026, 3, 25),
        timezone="Europe/London",
        user_facing=user_facing,
        confidence=confidence,
        cold_hit_threshold=threshold,
    )
    of = judge(days, endpoint="e", platform="runpod", trial=trial)
    assert of.decision in ("stay-serverless", "evaluate-dedicated", "not-decided")
    assert 0 <= of.long_run.low <= of.long_run.high <= 1 and of.reasons
    assert 0 <= of.bounds[0] <= of.bounds[1] <= 1
    if of.decision == "evaluate-dedicated":
        assert of.bounds[0] > threshold or (days[0].first_cold and of.long_run.low >= threshold)
    result = EndpointResult(endpoint="e", platform="runpod", days=tuple(days), verdict=of)
    text = json.dumps(verdict_json("t", of.as_of, [result]), allow_nan=False)
    assert json.loads(text)["endpoints"][0]["decision"] == of.decision


def test_json_has_the_agreed_keys(verdict, trial_days):
    days = trial_days(BUSY, HIGH)
    cost = EndpointCost(
        endpoint="e",
        price="cloud-run-l4-no-zonal",
        requests=sum(BUSY),
        days=(
            DayCost(day=days[0].day, usd={"run": Decimal("12.82")}, low=Decimal("12.82"), high=Decimal("12.82"), billed_seconds=Decimal(1)),
        ),
    )
    cheapest = WhatIf(
        endpoint="e", name="min workers 1", settings={"min_workers": 1}, requests=8, cold=1, rejected=0, cold_hit_rate=None, over_slo=0.0,
        waited_ms={}, workers={}, billed_seconds=1.0, usd_per_day=Decimal("9.5"), meets_slo=True,
    )  # fmt: skip
    dedicated = [
        DedicatedCost(name="small", price="p", instances=1, usd_per_day=Decimal(5), usd_per_1k=None, busy_share=1.4),
        DedicatedCost(name="g4dn.xlarge", price="p", instances=1, usd_per_day=Decimal("17.67"), usd_per_1k=None, busy_share=0.2),
        DedicatedCost(name="large", price="p", instances=1, usd_per_day=Decimal(99), usd_per_1k=None),
    ]
    result = EndpointResult(endpoint="e", platform="cloud-run", days=tuple(days), verdict=verdict(days), cost=cost, cheapest=cheapest)
    document = verdict_json("summariser", date(2026, 11, 15), [result], dedicated=dedicated)
    (row,) = document["endpoints"]
    assert (document["trial"], document["as_of"]) == ("summariser", "2026-11-15")
    assert {"endpoint", "platform", "decision", "rule", "evidence", "days", "requests", "cold_hits", "unknown", "cold_hit_rate", "noticed_share",
            "users_notice", "passed_on", "flags", "reasons", "cost", "cheapest_setting_meeting_slo"} <= row.keys()  # fmt: skip
    assert row["cold_hit_rate"].keys() == {"realised", "bounds", "long_run"}
    assert row["passed_on"] == "2026-11-02" and row["flags"] == []
    assert row["cost"]["usd_per_day"] == 12.82
    assert row["diagnostics"]["effective_requests"] == sum(BUSY) / max(1, row["diagnostics"]["design_effect"])
    assert row["cost"]["cheapest_dedicated"] == {"name": "g4dn.xlarge", "usd_per_day": 17.67}, (
        "one that cannot carry the traffic is no option"
    )
    assert row["cheapest_setting_meeting_slo"]["name"] == "min workers 1"


def test_json_without_anything_is_null_not_nan(verdict):
    document = verdict_json("t", None, [EndpointResult(endpoint="e", platform="runpod", days=(), verdict=verdict([]))])
    assert document["as_of"] is None
    (row,) = document["endpoints"]
    assert row["cold_hit_rate"] == {"realised": None, "bounds": [0.0, 1.0], "long_run": [0.0, 1.0]}
    assert row["cost"] is row["cheapest_setting_meeting_slo"] is row["noticed_share"] is row["users_notice"] is row["passed_on"] is None
    assert verdict_json("t", None, [])["endpoints"] == []
