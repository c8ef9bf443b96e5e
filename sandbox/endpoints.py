"""One endpoint of the sandbox, made from its plan: what happened, what was logged about it, what it cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal

from sandbox import bills, logs_cloud_run, logs_lambda, logs_replicate, logs_runpod
from sandbox.emitted import Event, deliver
from sandbox.happened import History
from sandbox.logs_runpod import Job
from sandbox.plans import Plan
from sandbox.planting import plant, versions
from sandbox.pool import Pool
from sandbox.seeds import generator
from sandbox.traffic import arrivals
from sandbox.triton import Statistics, statistics
from sandbox.truth import DayTruth, day_of_request, day_truths
from trial.calendar import Calendar

LAMBDA_MEMORY_MB = 10_240


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """
    Args:
        events: as delivered, ascending by their own time.
        health: times of requests beside the history that reached an instance.
        statistics: readings of Triton's counters, whose stream is their file's name; none where Triton does not serve the model.
        console, jobs, billed_seconds: RunPod's.
    """

    plan: Plan
    cases: frozenset[str]
    history: History
    events: tuple[Event, ...]
    truth: Mapping[date, DayTruth]
    bill: Mapping[date, Decimal]
    health: tuple[int, ...] = ()
    statistics: tuple[Event, ...] = ()
    console: Mapping[str, tuple[tuple[int, str], ...]] = field(default_factory=dict)
    jobs: Mapping[str, Job] = field(default_factory=dict)
    billed_seconds: Mapping[int, int] = field(default_factory=dict)


def build(plan: Plan, *, seed: int, calendar: Calendar, cases: frozenset[str], scale: float, rates: bills.Rates) -> Endpoint:
    def rng(purpose: str):
        return generator(seed, plan.name, purpose)

    if "managed-instances" in cases:
        plan = replace(plan, concurrency=10, max_life_s=1e9)
    if "harvest-only" in cases:
        plan = replace(plan, idle_timeout_s=60)  # of workers that are kept for five seconds a harvest sees next to none
    times = arrivals(plan, calendar=calendar, rng=rng("traffic"), scale=scale)
    planted = plant(plan, times, calendar=calendar, cases=cases, rng=rng("planting"))
    history = Pool(plan, rng=rng("pool"), cases=cases).serve(planted.arrivals, planted.prestarts)
    if plan.platform == "aws-lambda":
        return _lambda(plan, history, calendar, cases, rates, rng)
    if plan.platform == "cloud-run":
        return _cloud_run(plan, history, calendar, cases, rates, rng)
    if plan.platform == "replicate":
        return _replicate(plan, history, calendar, cases, rates, rng)
    return _runpod(plan, history, calendar, cases, rates, rng)


def _lambda(plan, history, calendar, cases, rates, rng) -> Endpoint:
    written = logs_lambda.write(
        plan, history, versions=versions(plan, calendar, cases), cases=cases, memory_mb=LAMBDA_MEMORY_MB, rng=rng("logs")
    )
    events = deliver(written.events, calendar=calendar, cases=cases, rng=rng("delivery"))
    workers = {r.number: history.workers[r.worker] if r.worker is not None else None for r in history.requests}
    days = {r.number: day_of_request(plan, r, calendar, workers[r.number]) for r in history.requests}
    bill = bills.lambda_bill(history, written.reports, days=days, rates=rates, memory_mb=LAMBDA_MEMORY_MB)
    # Managed Instances report no billed duration.
    billed_ms = {} if "managed-instances" in cases else {n: report.billed_ms for n, report in written.reports.items()}
    truth = day_truths(plan, history, events, calendar=calendar, bill=bill, billed_ms=billed_ms)
    return Endpoint(plan=plan, cases=cases, history=history, events=events, truth=truth, bill=bill)


def _cloud_run(plan, history, calendar, cases, rates, rng) -> Endpoint:
    written = logs_cloud_run.write(plan, history, calendar=calendar, cases=cases, rng=rng("logs"))
    stored = cases | {"duplicate"} if "stored-twice" in cases else cases
    events = deliver(written.events, calendar=calendar, cases=stored, rng=rng("delivery"))
    bill = bills.cloud_run_bill(history.workers, calendar=calendar, rates=rates)
    counted = statistics(plan, history) if "triton-statistics" in cases else Statistics()
    truth = day_truths(
        plan, history, events, calendar=calendar, bill=bill, health=written.health, forbidden=written.forbidden, triton=counted.hours
    )
    return Endpoint(
        plan=plan,
        cases=cases,
        history=history,
        events=events,
        truth=truth,
        bill=bill,
        health=written.health,
        statistics=counted.readings,
    )


def _replicate(plan, history, calendar, cases, rates, rng) -> Endpoint:
    events = logs_replicate.write(plan, history, rng=rng("logs"))
    hours = bills.billed_seconds(history.workers)
    bill = bills.seconds_bill(hours, calendar=calendar, rate=rates.replicate_second)
    truth = day_truths(plan, history, events, calendar=calendar, bill=bill)
    return Endpoint(plan=plan, cases=cases, history=history, events=events, truth=truth, bill=bill, billed_seconds=hours)


def _runpod(plan, history, calendar, cases, rates, rng) -> Endpoint:
    written = logs_runpod.write(plan, history, calendar=calendar, cases=cases, rng=rng("logs"))
    events = deliver(written.events, calendar=calendar, cases=cases, rng=rng("delivery"))
    seen = None
    if "harvest-only" in cases:
        events, seen = logs_runpod.harvested(history, written, calendar=calendar)
    hours = bills.billed_seconds(history.workers)
    bill = bills.seconds_bill(hours, calendar=calendar, rate=rates.runpod_second)
    counted = statistics(plan, history) if "triton-statistics" in cases else Statistics()
    truth = day_truths(plan, history, events, calendar=calendar, bill=bill, seen=seen, triton=counted.hours, cases=cases)
    return Endpoint(
        plan=plan,
        cases=cases,
        history=history,
        events=events,
        truth=truth,
        bill=bill,
        statistics=counted.readings,
        console=written.console,
        jobs=written.jobs,
        billed_seconds=hours,
    )
