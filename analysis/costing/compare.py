"""One measured endpoint against one dedicated option, from what the trial itself measured: traffic, service, start-up, cost."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean, stdev
from typing import Any

from analysis.costing.break_even import BreakEven, break_even
from analysis.costing.dedicated import traffic_of
from analysis.costing.instances import idle_of
from analysis.costing.traffic import T95, dedicated, serverless
from analysis.pricing.rows import PriceRow
from trial.config import Dedicated
from trial.records import Estimate
from trial.results import EndpointCost
from trial.summary import DaySummary

_SERVICE = ("handler_ms", "gpu_ms", "latency_ms.warm")


def compare(
    endpoint: Any,
    row: PriceRow,
    cost: EndpointCost,
    *,
    days: Sequence[DaySummary],
    option: Dedicated,
    option_row: PriceRow,
    idle_timeout_s: Estimate | None = None,
) -> BreakEven | None:
    """
    Where `option` becomes cheaper than `endpoint`; None without a request or a day of cost to draw a curve through.

    Args:
        days: the endpoint's complete days, those of `cost`.
        idle_timeout_s: where trial.toml gives none; default: the one the cost rests on.

    Raises:
        ConfigError: a row that cannot price its side.
    """
    if not cost.days or not any(d.requests for d in days):
        return None
    total = days[0]
    for day in days[1:]:
        total = total + day
    traffic = traffic_of(total)
    start = total.sketches.get("init_ms")
    idle = idle_of(endpoint, row, idle_timeout_s or cost.idle_timeout_s).best_us / 1e6 if row.rule == "instance-life" else 0.0
    curve = serverless(
        cost,
        row,
        endpoint.resources,
        traffic=traffic,
        start_s=(start.mean_ms or 0.0) / 1000 if start is not None else 0.0,
        idle_s=idle,
        service_s=service_interval(days),
    )
    return break_even(curve, dedicated(option, option_row, traffic=traffic), at=traffic.requests_per_day, days=len(days))


def service_interval(days: Sequence[DaySummary]) -> Estimate | None:
    """Mean service time in s with a Student t interval over the days' own means; None where no day tells one."""
    for name in _SERVICE:
        sketches = [s for d in days if (s := d.sketches.get(name)) is not None and s.count]
        if sketches:
            break
    else:
        return None
    means = [(s.mean_ms or 0.0) / 1000 for s in sketches]
    best = sum(s.sum_us for s in sketches) / 1e6 / sum(s.count for s in sketches)
    half = T95.get(len(means) - 1, 1.96) * stdev(means) / math.sqrt(len(means)) if len(means) > 1 else best
    middle = fmean(means)
    return Estimate(
        low=max(0.0, min(best, middle - half)), best=best, high=max(best, middle + half), n=len(means), method="student-t over days"
    )
