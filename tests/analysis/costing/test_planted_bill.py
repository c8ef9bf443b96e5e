"""The sandbox's planted bills, found again from its planted lives: the one witness that shares no code with the model."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from analysis import prices
from analysis.billing.rounding import cents
from analysis.cost import endpoint_cost
from sandbox.world import build_world
from trial.config import CloudRunEndpoint, PricesSection, RunpodEndpoint
from trial.records import Instance, Invocation
from trial.schema import invocations_table
from trial.summary import DaySummary

BOOK = prices.load("standard")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ENDPOINTS = {
    "cloud-run": (CloudRunEndpoint(name="e", platform="cloud-run", project="p", service="s", region="r"), "cloud-run-l4-no-zonal"),
    "runpod": (RunpodEndpoint(name="e", platform="runpod", endpoint_id="x"), "runpod-flex-4090"),
}


def at(us: int) -> datetime:
    return EPOCH + timedelta(microseconds=us)


@pytest.fixture(scope="module")
def world():
    return build_world(days=3, cases=[], scale=0.5)


@pytest.mark.parametrize("platform", ENDPOINTS)
def test_known_lives_give_the_planted_bill(world, platform):
    """With starts and time-outs known, the whole trial's bill agrees to the cent and every day's within the bounds."""
    (planted,) = (e for e in world.endpoints.values() if e.plan.platform == platform)
    endpoint, row = ENDPOINTS[platform]
    endpoint = endpoint.model_copy(update={"idle_timeout_s": planted.plan.idle_timeout_s})
    ends: dict[int, int] = {}
    invocations = []
    for request in planted.history.requests:
        ends[request.worker] = max(ends.get(request.worker, 0), request.ended_us)
        invocations.append(
            Invocation(
                platform=platform,
                endpoint="e",
                day=world.calendar.day_of(at(request.taken_us)),
                request_id=request.request_id,
                instance_id=planted.history.workers[request.worker].id,
                started_at=at(request.taken_us),
                handler_ms=request.handler_us / 1000,
            )
        )
    instances = [
        Instance(
            endpoint="e",
            id=worker.id,
            started_at=at(worker.started_us),
            ready_at=at(worker.ready_us),
            first_seen_at=at(worker.started_us),
            last_seen_at=at(ends.get(worker.number, worker.ready_us)),
        )
        for worker in planted.history.workers
    ]
    days = [DaySummary(endpoint="e", platform=platform, days=(day,)) for day in world.calendar]
    found = endpoint_cost(
        endpoint,
        BOOK.rows[row],
        days=days,
        invocations=invocations_table(invocations),
        instances=instances,
        calendar=world.calendar,
        prices=PricesSection(),
    )
    bill = planted.bill
    inside = {day: bill.get(day, Decimal(0)) for day in world.calendar}
    assert cents(found.total_usd) == cents(sum(inside.values(), Decimal(0)))
    step = Decimal("0.00031") if platform == "runpod" else Decimal("0.0002907") / 10
    for day in found.days:
        # A life over midnight is rounded where it ends here, where it began there.
        assert abs(day.total_usd - inside[day.day]) <= 2 * step
    assert found.total_usd > 0


@pytest.mark.parametrize(("jobs", "off"), [(False, 0.08), (True, 0.04)])
def test_a_bill_whose_container_starts_are_in_no_log_lies_within_the_bounds(world, jobs, off):
    """RunPod's handler lines tell when the process began; job objects, where there are any, when the job came."""
    (planted,) = (e for e in world.endpoints.values() if e.plan.platform == "runpod")
    endpoint, row = ENDPOINTS["runpod"]
    invocations, served = [], {}
    for request in planted.history.requests:
        served[request.worker] = [*served.get(request.worker, ()), request]
        queue_ms = (request.taken_us - request.arrival.at_us) / 1000 if jobs else None
        invocations.append(
            Invocation(
                platform="runpod",
                endpoint="e",
                day=world.calendar.day_of(at(request.taken_us)),
                request_id=request.request_id,
                instance_id=planted.history.workers[request.worker].id,
                started_at=at(request.arrival.at_us if jobs else request.taken_us),
                queue_ms=queue_ms,
                handler_ms=request.handler_us / 1000,
            )
        )
    instances = [
        Instance(
            endpoint="e",
            id=worker.id,
            started_at=at(worker.process_us),
            init_ms=(served[worker.number][0].taken_us - worker.process_us) / 1000 if worker.reason != "resumed" else None,
            first_seen_at=at(worker.process_us if worker.reason != "resumed" else worker.started_us),
            last_seen_at=at(max(r.ended_us for r in served[worker.number])),
        )
        for worker in planted.history.workers
        if worker.number in served
    ]
    found = endpoint_cost(
        endpoint.model_copy(update={"idle_timeout_s": planted.plan.idle_timeout_s}),
        BOOK.rows[row],
        days=[DaySummary(endpoint="e", platform="runpod", days=(day,)) for day in world.calendar],
        invocations=invocations_table(invocations),
        instances=instances,
        calendar=world.calendar,
        prices=PricesSection(),
    )
    billed = sum((planted.bill.get(day, Decimal(0)) for day in world.calendar), Decimal(0))
    assert all(day.low <= planted.bill.get(day.day, Decimal(0)) <= day.high for day in found.days)
    assert 0 < (billed - found.total_usd) / billed < Decimal(str(off))
    narrower = sum(day.high - day.low for day in found.days) / billed
    assert narrower < (Decimal("0.1") if jobs else Decimal("0.6"))
