"""The bill of each local day and of each hour, exact, by the platforms' own rules; the rates are the caller's."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from sandbox.happened import History, Worker
from sandbox.instants import HOUR, SECOND, to_datetime
from sandbox.lambda_report import Report
from trial.calendar import Calendar


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """
    USD, as public price pages of November 2026 have them.

    Args:
        lambda_gb_second, lambda_request: x86, first tier, us-east-1.
        run_*: us-central1, instance-based billing, an L4 without zonal redundancy.
        runpod_second: flex, a 4090 PRO.
        replicate_second: a deployment's T4.
    """

    lambda_gb_second: Decimal = Decimal("0.0000166667")
    lambda_request: Decimal = Decimal("0.0000002")
    run_gpu_second: Decimal = Decimal("0.0001867")
    run_vcpu_second: Decimal = Decimal("0.000018")
    run_gib_second: Decimal = Decimal("0.000002")
    runpod_second: Decimal = Decimal("0.00031")
    replicate_second: Decimal = Decimal("0.000225")


def lambda_bill(
    history: History, reports: Mapping[int, Report], *, days: Mapping[int, date], rates: Rates, memory_mb: int
) -> dict[date, Decimal]:
    """Billed milliseconds times memory, plus the request fee, on the days given. Attempts without a report are billed too."""
    billed_ms: dict[date, int] = defaultdict(int)
    requests: dict[date, int] = defaultdict(int)
    for request in history.requests:
        if request.number in reports:
            billed_ms[days[request.number]] += reports[request.number].billed_ms
            requests[days[request.number]] += 1
    gb = Decimal(memory_mb) / 1024
    return {day: rates.lambda_gb_second * gb * billed_ms[day] / 1000 + rates.lambda_request * requests[day] for day in sorted(requests)}


def cloud_run_bill(
    workers: Iterable[Worker], *, calendar: Calendar, rates: Rates, vcpu: Decimal = Decimal(4), gib: Decimal = Decimal(16)
) -> dict[date, Decimal]:
    """Each instance's life from start to stop, rounded up to 100 ms, on the days it touches."""
    per_second = rates.run_gpu_second + rates.run_vcpu_second * vcpu + rates.run_gib_second * gib
    us: dict[date, int] = defaultdict(int)
    for worker in workers:
        life = worker.stopped_us - worker.started_us
        end = worker.started_us + -(-life // 100_000) * 100_000
        for day, part in _by_day(worker.started_us, end, calendar):
            us[day] += part
    return {day: per_second * us[day] / SECOND for day in sorted(us)}


def billed_seconds(workers: Iterable[Worker]) -> dict[int, int]:
    """RunPod's billed seconds by the hour they begin in: each life rounded up to whole seconds."""
    hours: dict[int, int] = defaultdict(int)
    for worker in workers:
        at = worker.started_us
        left = -(-(worker.stopped_us - at) // SECOND)
        while left:
            hour = at // HOUR * HOUR
            fit = min(left, -(-(hour + HOUR - at) // SECOND))
            hours[hour] += fit
            left, at = left - fit, at + fit * SECOND
    return dict(sorted(hours.items()))


def seconds_bill(hours: Mapping[int, int], *, calendar: Calendar, rate: Decimal) -> dict[date, Decimal]:
    """Whole billed seconds by hour, at one rate, on the local day each hour begins in."""
    seconds: dict[date, int] = defaultdict(int)
    for hour, count in hours.items():
        seconds[calendar.day_of(to_datetime(hour))] += count
    return {day: rate * seconds[day] for day in sorted(seconds)}


def _by_day(start: int, end: int, calendar: Calendar) -> Iterable[tuple[date, int]]:
    from sandbox.instants import to_us

    while start < end:
        day = calendar.day_of(to_datetime(start))
        edge = min(end, to_us(calendar.window(day).end))
        yield day, edge - start
        start = edge
