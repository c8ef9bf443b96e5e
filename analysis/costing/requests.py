"""Billed by the request: the platform's own billed milliseconds, summed per day and priced."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from analysis.billing import active_time, per_invocation, provisioned
from analysis.billing.bundle import request_fees
from analysis.billing.rounding import seconds, to_us
from analysis.costing.busy import spans, union
from analysis.costing.spend import Spend, by_day
from analysis.pricing.rows import PriceRow
from trial.calendar import Calendar
from trial.config import PricesSection, Resources
from trial.records import Instance
from trial.summary import DaySummary


@dataclass(slots=True)
class Invoked:
    """
    A day's billed requests; mutable while its tables are read.

    Args:
        billed_ms, start_ms: on demand, start-up included; provisioned_ms: executed by provisioned environments.
        unpriced: requests that say no billed time; longest_ms: the day's longest billed request.
    """

    requests: int = 0
    billed_ms: int = 0
    start_ms: int = 0
    provisioned_ms: int = 0
    unpriced: int = 0
    longest_ms: int = 0


def invoked(tables: Iterable[pa.Table], *, provisioned_ids: frozenset[str] | None) -> dict[date, Invoked]:
    """
    Requests per day, pings and failures included: they are billed; throttled ones never ran.

    Args:
        provisioned_ids: environments of provisioned concurrency; None: all are.
    """
    days: dict[date, Invoked] = defaultdict(Invoked)
    for day, table in by_day(tables):
        table = table.filter(pc.invert(pc.is_in(table.column("status"), pa.array(["throttled", "aborted"]))))
        billed = _ms(table, "billed_ms")
        known = ~np.isnan(billed)
        whole = np.rint(np.nan_to_num(billed)).astype(np.int64)
        mine = np.ones(len(whole), dtype=bool) if provisioned_ids is None else _is_in(table, provisioned_ids)
        start = np.where(known & ~mine, _start_ms(table, whole), 0)
        entry = days[day]
        entry.requests += len(whole)
        entry.unpriced += int((~known).sum())
        entry.billed_ms += int(whole[~mine].sum())
        entry.provisioned_ms += int(whole[mine].sum())
        entry.start_ms += int(start.sum())
        entry.longest_ms = max(entry.longest_ms, int(whole.max(initial=0)))
    return days


def by_invocation(
    endpoint: Any,
    row: PriceRow,
    *,
    days: Sequence[DaySummary],
    tables: Iterable[pa.Table],
    instances: Sequence[Instance],
    calendar: Calendar,
    prices: PricesSection,
) -> dict[date, Spend]:
    """
    Lambda, on demand and provisioned.

    Exact as long as every request's billed time is in the logs. Requests without it (incomplete, quarantined, unseen) cost
    nothing at best guess and the day's longest request in the upper bound.
    """
    count = getattr(endpoint, "provisioned_concurrency", 0) or endpoint.min_workers
    count = max(count, 1) if row.rule == "provisioned-concurrency" else count
    ids = frozenset(i.id for i in instances if "provisioned" in (i.start_reason or "").lower())
    sums = invoked(tables, provisioned_ids=(ids or None) if count else frozenset())
    out: dict[date, Spend] = {}
    month: dict[tuple[int, int], tuple[int, int]] = defaultdict(lambda: (0, 0))
    for summary in days:
        day, use = summary.day, sums.get(summary.day, Invoked())
        ms, fees = month[day.year, day.month]
        usd = _on_demand(row, endpoint.resources, use, already=(ms, fees), free_tier=prices.free_tier, provisioned=count > 0)
        if count:
            on_us = to_us(calendar.window(day).seconds)
            part = provisioned.usd(row, endpoint.resources, environments=count, on_us=on_us, billed_ms=use.provisioned_ms, requests=0)
            usd = {phase: usd.get(phase, Decimal(0)) + part.get(phase, Decimal(0)) for phase in {**usd, **part}}
        month[day.year, day.month] = (ms + use.billed_ms, fees + use.requests)
        hidden = use.unpriced + summary.incomplete + summary.quarantined + summary.unseen
        out[day] = Spend(
            usd=usd,
            billed_seconds=Decimal(use.billed_ms + use.provisioned_ms) / 1000,
            more=_hidden(row, endpoint.resources, hidden, use.longest_ms)
            + _overflow(row, endpoint.resources, use, unknown=bool(count and not ids)),
        )
    return out


def by_activity(endpoint: Any, row: PriceRow, *, days: Sequence[DaySummary], tables: Iterable[pa.Table]) -> dict[date, Spend]:
    """Replicate's public models (each request's own time) and Cloud Run on request-based billing (each instance's busy time)."""
    billed: dict[date, int] = defaultdict(int)
    requests: dict[date, int] = defaultdict(int)
    for day, table in by_day(tables):
        table = table.filter(pc.invert(pc.is_in(table.column("status"), pa.array(["throttled", "aborted"]))))
        arrival, stay = spans(table)
        if row.rule == "request-time":
            # A start-up for a waiting request is billed, so the whole wait counts; overlapping requests share the instance.
            wait = np.nan_to_num(_ms(table, "latency_ms")) * 1000
            stay = np.column_stack((arrival, np.maximum(stay[:, 1], arrival + np.rint(wait).astype(np.int64))))
            names = table.column("instance_id").to_numpy(zero_copy_only=False).astype(str)
            stay = np.concatenate([union(stay[names == name]) for name in np.unique(names)]) if len(names) else stay
        billed[day] += active_time.billed_us(row, (stay[:, 1] - stay[:, 0]).tolist())
        requests[day] += table.num_rows
    out = {}
    for day in (summary.day for summary in days):
        usd = active_time.usd(row, endpoint.resources, billed_us=billed[day], requests=requests[day])
        out[day] = Spend(usd=usd, billed_seconds=seconds(billed[day]))
    return out


def _on_demand(
    row: PriceRow, resources: Resources, use: Invoked, *, already: tuple[int, int], free_tier: bool, provisioned: bool
) -> dict[str, Decimal]:
    if row.rule == "provisioned-concurrency":
        return {"requests": request_fees(row, use.requests)}
    return per_invocation.usd(
        row,
        resources,
        billed_ms=use.billed_ms,
        start_ms=use.start_ms,
        requests=use.requests,
        already_ms=already[0],
        already_requests=already[1],
        free_tier=free_tier and not provisioned,
    )


def _hidden(row: PriceRow, resources: Resources, requests: int, longest_ms: int) -> Decimal:
    if requests == 0 or row.rule == "provisioned-concurrency":
        return Decimal(0)
    return sum(per_invocation.usd(row, resources, billed_ms=requests * longest_ms, requests=requests).values(), Decimal(0))


def _overflow(row: PriceRow, resources: Resources, use: Invoked, *, unknown: bool) -> Decimal:
    """Without the environments' kind in the logs all requests are taken for provisioned; at most they all were not."""
    if not unknown or "duration" not in row.rates:
        return Decimal(0)
    dear = per_invocation.usd(row, resources, billed_ms=use.provisioned_ms, requests=0)["run"]
    cheap = provisioned.usd(row, resources, environments=0, on_us=0, billed_ms=use.provisioned_ms, requests=0)["run"]
    return max(Decimal(0), dear - cheap)


def _start_ms(table: pa.Table, billed: np.ndarray) -> np.ndarray:
    """The INIT part of each bill: what is billed beyond the handler, at most the reported start-up."""
    init, handler = _ms(table, "init_ms"), np.nan_to_num(_ms(table, "handler_ms"))
    beyond = np.maximum(billed - np.ceil(handler), 0)
    return np.where(np.isnan(init), 0, np.minimum(np.rint(np.nan_to_num(init)), beyond)).astype(np.int64)


def _is_in(table: pa.Table, ids: frozenset[str]) -> np.ndarray:
    return pc.is_in(table.column("instance_id"), pa.array(sorted(ids), pa.string())).to_numpy(zero_copy_only=False).astype(bool)


def _ms(table: pa.Table, name: str) -> np.ndarray:
    return table.column(name).to_numpy(zero_copy_only=False).astype(float)
