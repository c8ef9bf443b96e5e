"""What a dedicated endpoint would cost for the trial's traffic, and whether it would carry it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from analysis.billing.lives import WorkerLife, lives_cost
from analysis.pricing.rows import PriceRow
from trial.config import Dedicated, Resources
from trial.results import DedicatedCost
from trial.summary import DaySummary

DAY_S = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """
    The load a dedicated option is asked to carry.

    Args:
        requests_per_day: real requests, pings left out: nobody pings a dedicated endpoint.
        service_ms: mean time a request occupies a warm instance; None where the logs do not say.
    """

    requests_per_day: float
    service_ms: float | None


def traffic_of(total: DaySummary) -> Traffic:
    """The trial's own traffic: its days added up."""
    sketch = next(
        (s for s in (total.sketches.get(name) for name in ("handler_ms", "gpu_ms", "latency_ms.warm")) if s is not None and s.count), None
    )
    return Traffic(requests_per_day=total.requests / len(total.days) if total.days else 0.0, service_ms=sketch.mean_ms if sketch else None)


def usd_per_day(row: PriceRow, *, instances: int, requests: float = 0.0, resources: Resources | None = None) -> Decimal:
    """
    `instances` that run all day, whatever the row's rule, and the fees of that day's requests.

    Raises:
        ConfigError: the row is closed or lacks a rate.
    """
    lives = [WorkerLife(0, 0, DAY_S, kept=True)] * instances
    return sum(lives_cost(row, resources or Resources(), lives, round(requests), DAY_S).values(), Decimal(0))


def dedicated_cost(
    option: Dedicated,
    row: PriceRow,
    *,
    traffic: Traffic,
    break_even: Mapping[str, float] | None = None,
    resources: Resources | None = None,
) -> DedicatedCost:
    """
    One [[dedicated]] option under the trial's traffic.

    busy_share is the offered load (requests * service time * scale) over the instances' time, a day's mean: above 1 the
    option cannot carry the traffic, and well below it a busy hour may still queue, which the replay shows.

    Args:
        break_even: requests a day from which on this option is cheaper, by endpoint (analysis.costing.break_even).
    """
    usd = usd_per_day(row, instances=option.instances, requests=traffic.requests_per_day, resources=resources)
    return DedicatedCost(
        name=option.name,
        price=row.name,
        instances=option.instances,
        usd_per_day=usd,
        usd_per_1k=usd * 1000 / Decimal(str(traffic.requests_per_day)) if traffic.requests_per_day else None,
        busy_share=busy_share(traffic, instances=option.instances, scale=float(option.service_ms_scale)),
        break_even_requests_per_day=dict(break_even or {}),
    )


def busy_share(traffic: Traffic, *, instances: int, scale: float = 1.0) -> float | None:
    """Offered load per instance; None where the service time is not known."""
    if traffic.service_ms is None:
        return None
    return traffic.requests_per_day * traffic.service_ms / 1000 * scale / (DAY_S * instances)
