"""Billed by the node while it is deployed: SageMaker, Vertex AI, Lambda Managed Instances."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from analysis.billing import managed_instances, node_hours
from analysis.billing.rounding import seconds, to_us
from analysis.costing.spend import Spend
from analysis.pricing.rows import PriceRow
from trial.calendar import Calendar, Window
from trial.records import UsageBucket
from trial.summary import DaySummary


def by_node(
    endpoint: Any, row: PriceRow, *, days: Sequence[DaySummary], usage: Sequence[UsageBucket], calendar: Calendar
) -> dict[date, Spend]:
    """
    Nodes times the day's length; a day is 23 or 25 hours long where the clocks change.

    Where the provider says how many nodes were up (UsageBucket.instances), that counts; elsewhere the configured number.
    """
    out: dict[date, Spend] = {}
    for summary in days:
        window = calendar.window(summary.day)
        up = [to_us(s) for s in _deployed_s(endpoint, row, usage, window)]
        if row.rule == "managed-instances":
            usd = managed_instances.usd(row, instance_us=sum(up), requests=summary.seen + summary.unseen)
        else:
            usd = node_hours.usd(row, endpoint.resources, deployed_us=up)
        out[summary.day] = Spend(usd=usd, billed_seconds=seconds(sum(up)))
    return out


def nodes_of(endpoint: Any, row: PriceRow) -> int:
    """How many nodes the configuration says are up."""
    configured = next((n for n in (getattr(endpoint, k, None) for k in ("instances", "replicas")) if n is not None), None)
    return max(int(row.minimums.get("instances", Decimal(0))), configured if configured is not None else max(1, endpoint.min_workers))


def _deployed_s(endpoint: Any, row: PriceRow, usage: Sequence[UsageBucket], window: Window) -> list[Decimal]:
    """Node-seconds: one entry per configured node where nothing was measured, else their sum as one."""
    count, measured, covered = nodes_of(endpoint, row), Decimal(0), Decimal(0)
    for bucket in usage:
        overlap = _overlap_s(bucket.start, bucket.end, window)
        if bucket.instances is not None and overlap > 0:
            measured += Decimal(str(bucket.instances)) * overlap
            covered += overlap
    length = Decimal(str(window.seconds))
    if covered == 0:
        return [length] * count
    return [measured + max(Decimal(0), length - covered) * count]


def _overlap_s(start: datetime, end: datetime, window: Window) -> Decimal:
    return max(Decimal(0), Decimal(str((min(end, window.end) - max(start, window.start)).total_seconds())))
