"""The what-if table on a planted trial: calibration, named rows, cost, and the warning when the replay does not fit."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest

from analysis.replay import replay
from analysis.replaying.arrivals import Arrivals, from_invocations
from analysis.replaying.policies import Policy, QueueDelay
from analysis.replaying.settings import scaling
from analysis.replaying.whatif_json import whatif_json
from analysis.whatif import WhatIfTable, cheapest_meeting_slo, what_if
from trial.calendar import Window
from trial.config import AwsLambdaEndpoint, Dedicated, RunpodEndpoint, SagemakerEndpoint
from trial.errors import ConfigError
from trial.records import Invocation
from trial.schema import invocations_table

START = datetime(2026, 11, 2, tzinfo=UTC)
DAYS = 14
TIMEOUT_S = 300.0
LOAD_MS = 6000.0
LAMBDA = AwsLambdaEndpoint(name="summariser", platform="aws-lambda", function="f", region="eu-west-1")
T4 = Dedicated(name="g4dn.xlarge", price="sagemaker-ml.g4dn.xlarge")


def planted(policy: Policy, *, seed: int = 1, per_day: int = 150, service_ms: float = 300, spoilt: float = 0.0) -> Arrivals:
    """A fortnight of diurnal requests served under `policy`, as its invocations would be stored; some of them cold for no reason."""
    rng = np.random.default_rng(seed)
    days = np.arange(DAYS)
    hours = rng.normal(14, 4, (DAYS, per_day)) % 24
    at = np.sort(((days[:, None] * 24 + hours) * 3_600_000).ravel())
    service = rng.lognormal(np.log(service_ms), 0.3, len(at))
    result = replay(at, service, policy, cold_extra_ms=LOAD_MS)
    cold = result.cold | (rng.random(len(at)) < spoilt)
    rows = [
        Invocation(
            platform="x",
            endpoint="summariser",
            day=(START + timedelta(milliseconds=float(ms))).date(),
            request_id=str(i),
            instance_id=None,
            started_at=START + timedelta(milliseconds=float(ms)),
            handler_ms=float(s),
            latency_ms=float(s + wait / 1000),
            cold="cold" if c else "warm",
            waited=bool(c),
        )
        for i, (ms, s, wait, c) in enumerate(zip(at, service, result.waited_us, cold, strict=True))
    ]
    return from_invocations(invocations_table(rows), window=Window(start=START, end=START + timedelta(days=DAYS)))


def usd_per_day(result, setting) -> Decimal:
    """$1 an hour for every instance alive, half of that for dedicated ones."""
    rate = Decimal("0.5") if setting.dedicated is not None else Decimal(1)
    return rate * Decimal(result.billed_seconds) / 3600 / DAYS


@pytest.fixture(scope="module")
def table() -> WhatIfTable:
    return what_if(planted(Policy(idle_timeout_s=TIMEOUT_S)), LAMBDA, dedicated=[T4], slo_ms=2000, price=usd_per_day)


def test_rows_carry_the_names_people_look_for(table):
    assert [row.name for row in table.rows] == [
        "as it is",
        "idle 10 min",
        "idle 15 min",
        "health check every 8 min",
        "min workers 1",
        "2 provisioned",
        "g4dn.xlarge",
    ]


def test_the_trial_replayed_as_it_was_is_the_trial(table):
    calibration = table.calibration
    assert calibration.idle_timeout_s == pytest.approx(TIMEOUT_S, rel=0.03)
    assert calibration.idle_timeout.misfits == 0
    assert abs(calibration.residual_points) < 0.3
    assert calibration.agreement > 0.99
    assert calibration.trusted
    assert all(row.residual_points == calibration.residual_points for row in table.rows)


def test_every_rate_has_an_interval_over_days_around_it(table):
    for row in table.rows:
        assert row.cold_hit_rate.low <= row.cold_hit_rate.best <= row.cold_hit_rate.high
        assert row.cold_hit_rate.n == DAYS
        assert row.cold_hit_rate.best == row.cold / row.requests
    as_it_is = table.rows[0].cold_hit_rate
    assert 0 < as_it_is.low < as_it_is.high < 1


def test_settings_order_as_they_must(table):
    cold = {row.name: row.cold for row in table.rows}
    assert cold["as it is"] > cold["idle 10 min"] > cold["idle 15 min"] > cold["min workers 1"] > cold["g4dn.xlarge"] == 0
    cost = {row.name: row.usd_per_day for row in table.rows}
    assert cost["as it is"] < cost["idle 10 min"] < cost["idle 15 min"] < cost["2 provisioned"]
    assert cost["g4dn.xlarge"] == pytest.approx(Decimal(12), rel=Decimal("0.001"))


def test_a_ping_longer_than_the_timeout_keeps_nothing_warm_and_one_inside_costs_a_worker():
    arrivals = planted(Policy(idle_timeout_s=30.0))
    short = {row.name: row for row in what_if(arrivals, LAMBDA, slo_ms=2000).rows}
    assert short["health check every 8 min"].cold > 0.9 * short["as it is"].cold
    long = what_if(planted(Policy(idle_timeout_s=640.0)), LAMBDA, slo_ms=2000)
    by_name = {row.name: row for row in long.rows}
    assert by_name["health check every 8 min"].billed_seconds == pytest.approx(by_name["min workers 1"].billed_seconds, rel=0.05)
    assert abs(by_name["health check every 8 min"].cold - by_name["min workers 1"].cold) <= 3


def test_cheapest_meets_the_slo_and_nothing_cheaper_does(table):
    best = table.cheapest
    assert best == cheapest_meeting_slo(table.rows)
    assert best.meets_slo and best.over_slo <= 0.01
    assert all(row.usd_per_day >= best.usd_per_day for row in table.rows if row.meets_slo)
    assert cheapest_meeting_slo([row for row in table.rows if not row.meets_slo]) is None


def test_json_is_plain_and_complete(table):
    data = whatif_json(table)
    assert json.loads(json.dumps(data, allow_nan=False)) == data
    assert data["cheapest_setting_meeting_slo"] == table.cheapest.name
    assert [row["name"] for row in data["settings"]] == [row.name for row in table.rows]
    assert data["trusted"] is True
    open_bracket = whatif_json(what_if(planted(Policy(idle_timeout_s=None)), LAMBDA, slo_ms=2000))
    assert open_bracket["idle_timeout"]["high_s"] is None
    json.dumps(open_bracket, allow_nan=False)


def test_a_replay_that_does_not_fit_says_that_it_should_not_be_trusted():
    table = what_if(planted(Policy(idle_timeout_s=TIMEOUT_S), spoilt=0.10), LAMBDA, slo_ms=2000)
    assert abs(table.calibration.residual_points) > 2
    assert not table.calibration.trusted
    assert any("should not be trusted" in note for note in table.notes)


def test_the_scaling_rule_is_found_in_the_trial():
    runpod = RunpodEndpoint(name="summariser", platform="runpod", endpoint_id="x")
    base = Policy(idle_timeout_s=60.0)
    for planted_rule in (base, replace(base, load_queueing=True), replace(base, scaler=QueueDelay(seconds=4.0))):
        arrivals = planted(planted_rule, per_day=1000, service_ms=15_000)
        table = what_if(arrivals, runpod, slo_ms=30_000)
        assert table.rows[0].settings["scaling"] == scaling(planted_rule)
        assert abs(table.calibration.residual_points) < 1


def test_an_endpoint_that_is_always_on_has_no_timeout_to_vary():
    endpoint = SagemakerEndpoint(name="summariser", platform="sagemaker", endpoint_name="e", region="eu-west-1")
    arrivals = planted(Policy(dedicated=1))
    table = what_if(arrivals, endpoint, dedicated=[T4], slo_ms=2000, default_idle_timeout_s=600)
    assert [row.name for row in table.rows] == ["as it is", "g4dn.xlarge"]
    assert table.rows[0].cold == 0


def test_a_slower_dedicated_gpu_is_slower_in_the_replay():
    slow = Dedicated(name="slow", price="p", service_ms_scale=Decimal(10))
    rows = what_if(planted(Policy(idle_timeout_s=TIMEOUT_S)), LAMBDA, dedicated=[T4, slow], slo_ms=2000).rows
    assert rows[-1].over_slo > 0.5 > rows[-2].over_slo


def test_an_slo_below_the_warm_time_is_said_to_need_a_faster_instance():
    table = what_if(planted(Policy(idle_timeout_s=TIMEOUT_S)), LAMBDA, slo_ms=100)
    assert table.cheapest is None
    assert any("only a faster instance can meet the SLO" in note for note in table.notes)


def test_without_a_measured_cold_start_one_must_be_given():
    arrivals = planted(Policy(min_workers=60))
    assert arrivals.cold_extra_ms is None
    with pytest.raises(ConfigError, match="cold-start-ms"):
        what_if(arrivals, LAMBDA, slo_ms=2000, default_idle_timeout_s=600)
    endpoint = LAMBDA.model_copy(update={"min_workers": 60, "idle_timeout_s": 600.0})
    table = what_if(arrivals, endpoint, slo_ms=2000, cold_start_ms=5000)
    assert table.rows[0].cold == 0
    with pytest.raises(ConfigError, match="idle_timeout_s in trial.toml"):
        what_if(arrivals, LAMBDA.model_copy(update={"min_workers": 60}), slo_ms=2000, cold_start_ms=5000)


def test_day_of_the_trial_is_what_the_interval_counts():
    arrivals = planted(Policy(idle_timeout_s=TIMEOUT_S))
    assert arrivals.days == DAYS
    assert date(2026, 11, 2) == START.date()
    assert arrivals.horizon_ms[1] - arrivals.horizon_ms[0] == DAYS * 86_400_000
