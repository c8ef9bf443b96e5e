"""What a measured endpoint cost, day by day and phase by phase, with the rule of its row of the price book."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

import pyarrow as pa

from analysis.costing.busy import busy
from analysis.costing.instances import by_life, estimated, idle_of
from analysis.costing.lives import lives
from analysis.costing.nodes import by_node
from analysis.costing.reconcile import billed_by_day
from analysis.costing.requests import by_activity, by_invocation
from analysis.costing.spend import Spend
from analysis.pricing.rows import PriceRow
from trial.calendar import Calendar
from trial.config import PricesSection
from trial.errors import ConfigError
from trial.records import Estimate, Instance, UsageBucket
from trial.results import DayCost, EndpointCost
from trial.summary import DaySummary


def endpoint_cost(
    endpoint: Any,
    row: PriceRow,
    *,
    days: Sequence[DaySummary],
    invocations: pa.Table | Iterable[pa.Table],
    calendar: Calendar,
    prices: PricesSection,
    instances: Sequence[Instance] = (),
    usage: Sequence[UsageBucket] = (),
    idle_timeout_s: Estimate | None = None,
) -> EndpointCost:
    """
    One endpoint's modelled cost.

    Args:
        endpoint: its table of trial.toml (trial.config.Endpoint).
        days: its complete days, one summary each; only these are costed.
        invocations: tables of trial.schema.INVOCATIONS, in any order, together or day by day; read once.
        instances: of all days; the same instance may appear on each day it was seen.
        usage: the provider's counts and bills; put beside the model, never mixed into it, except metered instance-time.
        idle_timeout_s: the idle time-out estimated from the log, used where trial.toml gives none; its bounds are the lives'.

    Raises:
        ConfigError: the row is closed, lacks a rate, or needs resources or an idle time-out that trial.toml does not give.
    """
    days = sorted(days, key=lambda s: s.day)
    tables = [invocations] if isinstance(invocations, pa.Table) else invocations
    spends = _spends(endpoint, row, days, tables, instances, usage, calendar, prices, idle_timeout_s)
    billed = billed_by_day(usage, calendar, asked={s.day for s in days})
    return EndpointCost(
        endpoint=endpoint.name,
        price=row.name,
        days=tuple(_day_cost(summary.day, spends[summary.day], billed.get(summary.day)) for summary in days),
        requests=sum(s.requests for s in days),
        tokens=sum(m.get("input_tokens", 0) + m.get("output_tokens", 0) for s in days for m in s.by_model.values()),
        hours_per_month=prices.hours_per_month,
        idle_timeout_s=idle_timeout_s if estimated(endpoint, row, idle_timeout_s) else None,
    )


def _spends(
    endpoint: Any,
    row: PriceRow,
    days: Sequence[DaySummary],
    tables: Iterable[pa.Table],
    instances: Sequence[Instance],
    usage: Sequence[UsageBucket],
    calendar: Calendar,
    prices: PricesSection,
    idle_timeout_s: Estimate | None,
) -> dict[date, Spend]:
    if row.rule == "api-calls":
        raise ConfigError("prices the tracker's own API calls, not an endpoint", where=f"endpoint {endpoint.name}, price row {row.name}")
    if row.rule in ("per-invocation", "provisioned-concurrency"):
        return by_invocation(endpoint, row, days=days, tables=tables, instances=instances, calendar=calendar, prices=prices)
    if row.rule in ("active-time", "request-time"):
        return by_activity(endpoint, row, days=days, tables=tables)
    if row.rule in ("node-hours", "managed-instances"):
        return by_node(endpoint, row, days=days, usage=usage, calendar=calendar)
    found = lives(instances, busy(tables), idle=idle_of(endpoint, row, idle_timeout_s), resumes=row.resumes)
    return by_life(endpoint, row, days=[s.day for s in days], lives=found, usage=usage, calendar=calendar, prices=prices)


def _day_cost(day: date, spend: Spend, billed: Mapping[str, Decimal] | None) -> DayCost:
    return DayCost(
        day=day,
        usd=dict(spend.usd),
        low=spend.total - spend.less,
        high=spend.total + spend.more,
        billed_seconds=spend.billed_seconds,
        billed_usd=billed,
    )
