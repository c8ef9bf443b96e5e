"""Replayed settings priced with the standard book, against the same arithmetic done by hand."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest

from analysis import prices
from analysis.replay import replay
from analysis.replaying.policies import Policy
from analysis.replaying.price import pricing, worker_lives
from analysis.replaying.settings import Setting
from trial.config import AwsLambdaEndpoint, Dedicated, Resources, RunpodEndpoint

BOOK = prices.load("standard")
DAY_MS = 86_400_000
RUNPOD = RunpodEndpoint(name="e", platform="runpod", endpoint_id="x", price="runpod-flex-4090")
LAMBDA = AwsLambdaEndpoint(
    name="e", platform="aws-lambda", function="f", region="us-east-1", price="aws-lambda-x86", resources=Resources(memory_mb=1024)
)


def day_of_requests(policy: Policy, *, every_s: int = 600, service_ms: float = 1000, load_ms: float = 9000):
    at = np.arange(0, DAY_MS, every_s * 1000)
    return replay(at, np.full(len(at), service_ms), policy, cold_extra_ms=load_ms, horizon_ms=(0, DAY_MS))


def test_a_flex_worker_is_billed_for_its_whole_life():
    result = day_of_requests(Policy(idle_timeout_s=5))
    usd = pricing(BOOK, RUNPOD)(result, Setting(name="as it is", policy=result.policy))
    # 144 requests, each cold: 9 s of start-up, 1 s of work, 5 s of idle time, at the book's rate per second.
    second = BOOK.row("runpod-flex-4090").rates["instance"]
    assert usd == second.usd(Decimal(144 * 15))


def test_lambda_bills_start_and_run_but_not_idle():
    result = day_of_requests(Policy(idle_timeout_s=300))
    usd = pricing(BOOK, LAMBDA)(result, Setting(name="as it is", policy=result.policy))
    row = BOOK.row("aws-lambda-x86")
    assert usd == pytest.approx(row.rates["duration"].usd(Decimal(144 * 10)) + row.rates["requests"].usd(Decimal(144)), rel=Decimal("1e-9"))


def test_one_minimum_worker_costs_the_day_and_what_overflows_comes_on_top():
    result = day_of_requests(Policy(idle_timeout_s=5, min_workers=1))
    lives = worker_lives(result)
    assert [(life.end_s - life.start_s, life.busy_s, life.kept) for life in lives] == [(86_400, 144, True)]
    two_at_once = replay([0, 100], [1000, 1000], Policy(idle_timeout_s=5, min_workers=1), cold_extra_ms=9000, horizon_ms=(0, DAY_MS))
    kept, extra = worker_lives(two_at_once)
    assert (kept.kept, extra.kept) == (True, False)
    # The second worker is billed at least for its start-up, although the first one stopped meanwhile in its place.
    assert kept.end_s - kept.start_s == 86_400
    assert extra.end_s - extra.start_s == 9.0
    assert kept.busy_s + extra.busy_s == pytest.approx(2.0)


def test_provisioned_workers_are_kept_and_so_are_dedicated_ones():
    assert [life.kept for life in worker_lives(day_of_requests(Policy(provisioned=2)))] == [True, True]
    option = Dedicated(name="g4dn.xlarge", price="sagemaker-ml.g4dn.xlarge")
    result = day_of_requests(Policy(dedicated=1))
    usd = pricing(BOOK, RUNPOD)(result, Setting(name=option.name, policy=result.policy, dedicated=option))
    assert usd == BOOK.row(option.price).rates["instance"].usd(Decimal(86_400))
    assert usd.quantize(Decimal("0.01")) == Decimal("17.67")


def test_without_a_price_row_there_is_no_cost():
    result = day_of_requests(Policy(idle_timeout_s=5))
    assert pricing(BOOK, RUNPOD.model_copy(update={"price": None}))(result, Setting(name="as it is", policy=result.policy)) is None
