"""Cost per day as a function of traffic: one curve per option, with the band that its inputs' intervals give."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean, stdev

from analysis.billing.bundle import usd_per_hour
from analysis.costing.dedicated import DAY_S, Traffic, usd_per_day
from analysis.pricing.rows import PriceRow
from trial.config import Dedicated, Resources
from trial.records import Estimate
from trial.results import EndpointCost

Usd = Callable[[float], float]  # requests a day -> USD a day
# An instance busier than this queues too long to be called enough; a worker pool starts another one.
MAX_BUSY = 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """low, best and high: USD a day for a number of requests a day; the three agree where nothing is uncertain."""

    name: str
    low: Usd
    best: Usd
    high: Usd


def exact(name: str, usd: Usd) -> Curve:
    return Curve(name=name, low=usd, best=usd, high=usd)


def linear(name: str, *, fixed_usd: float, usd_per_request: float) -> Curve:
    """What a per-request bill is: a fixed part (provisioned environments) and a part per request."""
    return exact(name, lambda n: fixed_usd + usd_per_request * n)


def from_points(name: str, points: Sequence[tuple[float, float, float, float]]) -> Curve:
    """A curve through replayed points (requests a day, low, best, high), straight between them and level outside."""
    points = sorted(points)
    return Curve(name=name, low=_through(points, 1), best=_through(points, 2), high=_through(points, 3))


def billed_share(*, per_second: float, service_s: float, start_s: float, idle_s: float) -> float:
    """
    Share of the clock that one scale-to-zero worker is billed for under Poisson arrivals: f = 1 - c.

        c = p (1 - rho) / (1 + p lambda C),  p = exp(-lambda T),  rho = lambda S < 1

    c is the share of requests that find the worker off, so billed share and cold share add up to 1. Renewal argument over one
    on-off cycle; docs/cost.md derives it, and tests/analysis/costing/test_break_even.py holds it to simulation.
    """
    rho = per_second * service_s
    if rho >= 1:
        return 1.0
    off = math.exp(-per_second * idle_s)
    return 1 - off * (1 - rho) / (1 + off * per_second * start_s)


def workers_s_per_day(
    n: float, *, service_s: float, start_s: float, idle_s: float, burst: float = 1.0, max_busy: float = MAX_BUSY
) -> float:
    """
    Billed worker-seconds of a day with `n` requests: as many equal workers as the load needs, each by `billed_share`.

    Args:
        burst: below 1, requests come in sessions: they act as `burst` * n arrivals that are longer in proportion.
    """
    if n <= 0:
        return 0.0
    workers = max(1, math.ceil(n * service_s / DAY_S / max_busy))
    per_second = n * burst / DAY_S / workers
    return workers * DAY_S * billed_share(per_second=per_second, service_s=service_s / burst, start_s=start_s, idle_s=idle_s)


def serverless(
    cost: EndpointCost,
    row: PriceRow,
    resources: Resources,
    *,
    traffic: Traffic,
    start_s: float,
    idle_s: float,
    service_s: Estimate | None = None,
) -> Curve:
    """
    A measured endpoint's curve, drawn through its own point.

    Billed per request: what the trial's days cost per request, and what they cost without any (provisioned environments).
    Billed by instance life: the closed form, its burstiness fitted so that the trial's traffic costs what the trial cost; what
    minimum instances cost while idle stands on top.
    The band comes from the days' spread (Student t over days), the bounds of the lives, and the interval of the service time.

    Args:
        service_s: mean stay of a request with its interval; default: the traffic's mean, exact.
        start_s, idle_s: start-up time and idle time-out of an instance.
    """
    day = daily_estimate(cost)
    n = traffic.requests_per_day
    fixed = sum((float(d.usd.get(p, 0)) for d in cost.days for p in ("provisioned", "min_instances")), 0.0) / max(1, len(cost.days))
    if row.rule in ("node-hours", "managed-instances"):
        return exact(cost.endpoint, lambda _: day.best or 0.0)
    if row.rule != "instance-life" or traffic.service_ms is None:
        return Curve(name=cost.endpoint, **{k: _line(fixed, v, n) for k, v in zip(("low", "best", "high"), _triple(day), strict=True)})
    mean = traffic.service_ms / 1000
    service = _triple(service_s) if service_s is not None else (mean, mean, mean)
    per_s = float(usd_per_hour(row, resources)) / 3600
    fitted = [
        _fit(max(0.0, usd - fixed) / per_s, n, service_s=s, start_s=start_s, idle_s=idle_s, per_s=per_s, fixed=fixed)
        for usd, s in zip(_triple(day), service, strict=True)
    ]
    return Curve(name=cost.endpoint, low=fitted[0], best=fitted[1], high=fitted[2])


def dedicated(
    option: Dedicated, row: PriceRow, *, traffic: Traffic, max_busy: float = MAX_BUSY, resources: Resources | None = None
) -> Curve:
    """A dedicated option: the configured instances, and one more whenever the load would keep them busier than `max_busy`."""
    one = float(usd_per_day(row, instances=1, resources=resources))
    fee = float(row.rates["requests"].first / row.rates["requests"].divisor) if "requests" in row.rates else 0.0
    load_s = (traffic.service_ms or 0.0) / 1000 * float(option.service_ms_scale)
    configured = float(usd_per_day(row, instances=option.instances, resources=resources))

    def usd(n: float) -> float:
        needed = max(option.instances, math.ceil(n * load_s / DAY_S / max_busy - 1e-9))
        return configured + (needed - option.instances) * one + fee * n

    return exact(option.name, usd)


def daily_estimate(cost: EndpointCost) -> Estimate:
    """USD a day: the mean of the days, with a Student t interval over days and the bounds that the lives leave open."""
    totals = [float(d.total_usd) for d in cost.days]
    if not totals:
        raise ValueError(f"{cost.endpoint}: no day to estimate a cost from")
    mean, n = fmean(totals), len(totals)
    half = T95.get(n - 1, 1.96) * stdev(totals) / math.sqrt(n) if n > 1 else mean
    low = mean - half - fmean([float(d.total_usd - d.low) for d in cost.days])
    high = mean + half + fmean([float(d.high - d.total_usd) for d in cost.days])
    return Estimate(low=max(0.0, low), best=mean, high=high, n=n, method="student-t over days, widened by the lives' bounds")


# Two-sided 95 % quantiles of Student's t by degrees of freedom.
T95 = dict(
    enumerate(
        (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101),
        start=1,
    )
)


def _fit(target_s: float, n: float, *, service_s: float, start_s: float, idle_s: float, per_s: float, fixed: float = 0.0) -> Usd:
    """
    The closed form through (n, target): burstiness by bisection, and a plain factor for what no burstiness explains.

    Args:
        fixed: USD a day whatever comes (minimum instances while nobody is there), on top.
    """

    def seconds(requests: float, burst: float) -> float:
        return workers_s_per_day(requests, service_s=service_s, start_s=start_s, idle_s=idle_s, burst=burst)

    low, high = math.log(1e-4), math.log(1e3)
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if seconds(n, math.exp(middle)) < target_s else (low, middle)
    burst = math.exp((low + high) / 2)
    reached = seconds(n, burst)
    factor = target_s / reached if reached > 0 else 1.0
    return lambda requests: fixed + seconds(requests, burst) * per_s * factor


def _line(fixed: float, usd: float, n: float) -> Usd:
    slope = max(0.0, usd - fixed) / n if n else 0.0
    return lambda requests: fixed + slope * requests


def _through(points: Sequence[tuple[float, float, float, float]], column: int) -> Usd:
    def usd(n: float) -> float:
        if n <= points[0][0]:
            return points[0][column]
        for left, right in pairwise(points):
            if n <= right[0]:
                return left[column] + (right[column] - left[column]) * (n - left[0]) / (right[0] - left[0])
        return points[-1][column]

    return usd


def _triple(estimate: Estimate) -> tuple[float, float, float]:
    best = estimate.best if estimate.best is not None else (estimate.low + estimate.high) / 2
    return estimate.low, best, estimate.high
