"""The cost of a stored trial rests on the idle time-out that its own log shows, where trial.toml names none."""

import math
import random
from datetime import UTC, date, datetime, timedelta

import pytest

from flows import costs, results
from flows.seen import Seen
from trial import config, schema
from trial.records import Instance, Invocation
from trial.store import Store
from trial.summary import DaySummary

DAY = date(2026, 11, 2)
NOW = datetime(2026, 11, 10, tzinfo=UTC)
TIMEOUT_S, HANDLER_S = 60, 1.0

TOML = """
[trial]
name = "try"
start = 2026-11-02

[[endpoints]]
name = "rp"
platform = "runpod"
endpoint_id = "x"
price = "runpod-flex-4090"
{idle}

[[dedicated]]
name = "g4dn.xlarge"
price = "sagemaker-ml.g4dn.xlarge"
"""


@pytest.fixture
def make(tmp_path):
    """A day on one worker at a time, stopped 60 s after its last request; `odd`: the share of requests whose flag is wrong."""

    def build(*, idle="", odd=0.0):
        (tmp_path / "trial.toml").write_text(TOML.format(idle=idle))
        trial = config.load(tmp_path / "trial.toml")
        store = Store.at(trial.store_url)
        rng = random.Random(3)
        at, free, worker, served, lives = datetime(2026, 11, 2, tzinfo=UTC), None, 0, [], {}
        while (at := at + timedelta(seconds=HANDLER_S + rng.expovariate(1 / 50))).date() == DAY:
            cold = free is None or (at - free).total_seconds() > TIMEOUT_S
            worker += cold
            free = at + timedelta(seconds=HANDLER_S)
            born, _ = lives.get(worker, (at, at))
            lives[worker] = (born, free)
            told = cold ^ (rng.random() < odd)
            served.append(
                Invocation(
                    platform="runpod", endpoint="rp", day=DAY, request_id=f"{len(served)}", instance_id=f"w{worker}", started_at=at,
                    handler_ms=HANDLER_S * 1000, latency_ms=HANDLER_S * 1000, cold="cold" if told else "warm", waited=told,
                )
            )  # fmt: skip
        with store.day_writer("rp", DAY) as writer:
            writer.add("invocations", schema.invocations_table(served))
            seen = [
                Instance(endpoint="rp", id=f"w{n}", started_at=born, ready_at=born, first_seen_at=born, last_seen_at=end)
                for n, (born, end) in lives.items()
            ]
            writer.add("instances", schema.instances_table(seen))
            writer.commit(DaySummary(endpoint="rp", platform="runpod", days=(DAY,), requests=len(served), cold_hits=worker))
        alive_s = sum(math.ceil((end - born).total_seconds() + TIMEOUT_S) for born, end in lives.values())
        return trial, store, alive_s * 0.00031

    return build


def cost_of(trial, store):
    (result,) = results.verdicts(trial, store, now=NOW)
    return costs.cost_of(trial, store, trial.endpoint("rp"), result, costs.book_of(trial), Seen(trial, store))


@pytest.mark.parametrize("odd", [0.0, 0.03])
def test_the_time_out_of_the_log_prices_idle_time_and_its_range_bounds_it(make, odd):
    trial, store, planted = make(odd=odd)
    found = cost_of(trial, store)
    assert found.idle_timeout_s.low <= TIMEOUT_S <= found.idle_timeout_s.high
    assert float(found.total_usd) == pytest.approx(planted, rel=0.03)  # the default of 5 s would be two thirds under it
    (day,) = found.days
    assert float(day.low) <= planted <= float(day.high)
    wider = found.idle_timeout_s.high - found.idle_timeout_s.low
    assert wider < 2 if not odd else 2 < wider < 30
    assert float(day.high - day.low) >= 0.9 * wider * 0.00031 * len(found.days)


def test_a_time_out_that_trial_toml_names_stands(make):
    trial, store, planted = make(idle="idle_timeout_s = 60", odd=0.03)
    found = cost_of(trial, store)
    assert found.idle_timeout_s is None
    assert float(found.total_usd) == pytest.approx(planted, rel=0.005)


def test_a_log_that_contradicts_itself_tells_no_time_out(make):
    trial, store, planted = make(odd=0.5)
    found = cost_of(trial, store)
    assert found.idle_timeout_s is None
    assert float(found.total_usd) < planted / 2
