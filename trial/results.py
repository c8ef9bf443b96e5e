"""What analysis concludes and reports show: verdicts, costs and what-ifs as frozen records, with their JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any

from trial.records import Decision, Estimate
from trial.summary import DaySummary


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """Something that makes a verdict provisional: a stable code, documented in docs/flags.md, and what was seen."""

    code: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """
    One endpoint's verdict as of a day.

    Args:
        decision: what the evidence supports; not-decided until it supports something.
        rule: what the registered rule says of these days alone, evidence or not.
        evidence: "decided" without flags, else "provisional".
        as_of: last complete day it rests on; None before the first.
        realised: cold hits / requests of these days, a census; None without requests.
        bounds: the realised rate with all unknown and unseen requests warm, and all cold.
        long_run: confidence sequence of the rate of traffic like this; [0, 1] while it says nothing.
        e_value: the e-process at the threshold.
        noticed: share of requests whose cold wait broke the SLO, with its bounds.
        passed_on: first day on which the cumulative realised rate passed the threshold.
        reasons: plain sentences, the most important first.
    """

    endpoint: str
    platform: str
    decision: Decision
    rule: Decision
    evidence: str
    as_of: date | None
    days: int
    requests: int
    cold_hits: int
    unknown: int
    unseen: int
    threshold: float
    realised: float | None
    bounds: tuple[float, float]
    long_run: Estimate
    e_value: float
    noticed: Estimate | None
    users_notice: bool | None
    passed_on: date | None
    flags: tuple[Flag, ...] = ()
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DayCost:
    """
    One endpoint's modelled cost in one local day.

    Args:
        usd: by billing phase: start, run, idle, min_instances, requests, provisioned, ...; keys are the price book's.
        low, high: bounds of the total where instance lives are inferred; equal to the total where the rule is exact.
        billed_seconds: instance-seconds (or GB-seconds' wall seconds for per-request billing) the model bills.
        billed_usd: what the provider's bill says, by kind; None where there is no bill.
    """

    day: date
    usd: Mapping[str, Decimal]
    low: Decimal
    high: Decimal
    billed_seconds: Decimal
    billed_usd: Mapping[str, Decimal] | None = None

    @property
    def total_usd(self) -> Decimal:
        return sum(self.usd.values(), Decimal(0))


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointCost:
    """
    An endpoint's modelled cost, day by day, priced with one row of the price book.

    Args:
        idle_timeout_s: as estimated from the log, where the cost rests on it; None where trial.toml or the price row says it.
    """

    endpoint: str
    price: str
    days: tuple[DayCost, ...]
    requests: int
    tokens: int = 0
    hours_per_month: int = 730
    idle_timeout_s: Estimate | None = None

    @property
    def total_usd(self) -> Decimal:
        return sum((d.total_usd for d in self.days), Decimal(0))

    @property
    def usd_per_day(self) -> Decimal | None:
        return self.total_usd / len(self.days) if self.days else None

    @property
    def usd_per_1k(self) -> Decimal | None:
        return self.total_usd * 1000 / self.requests if self.requests else None

    @property
    def usd_per_million_tokens(self) -> Decimal | None:
        return self.total_usd * 1_000_000 / self.tokens if self.tokens else None

    @property
    def usd_per_month(self) -> Decimal | None:
        return self.usd_per_day * self.hours_per_month / 24 if self.usd_per_day is not None else None

    def by_phase(self) -> dict[str, Decimal]:
        phases = sorted({p for d in self.days for p in d.usd})
        return {p: sum((d.usd.get(p, Decimal(0)) for d in self.days), Decimal(0)) for p in phases}


@dataclass(frozen=True, slots=True, kw_only=True)
class DedicatedCost:
    """What one dedicated option would cost for the same traffic, and whether it would carry it."""

    name: str
    price: str
    instances: int
    usd_per_day: Decimal
    usd_per_1k: Decimal | None
    busy_share: float | None = None  # offered load / instances; above 1 it cannot carry the traffic
    break_even_requests_per_day: Mapping[str, float] = field(default_factory=dict)  # by endpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class WhatIf:
    """
    One setting replayed on the observed arrivals.

    Args:
        name: stable, shown: "as it is", "health check every 8 min", "min workers 1", "2 provisioned", a dedicated name, ...
        over_slo: share of callers who waited past the SLO.
        residual_points: replay of the current setting minus the observed rate, in percentage points.
    """

    endpoint: str
    name: str
    settings: Mapping[str, float | int | str]
    requests: int
    cold: int
    rejected: int
    cold_hit_rate: Estimate | None
    over_slo: float | None
    waited_ms: Mapping[str, float]  # p50, p95, p99
    workers: Mapping[str, float]  # alive_mean, running_mean, idle_mean, peak
    billed_seconds: float
    usd_per_day: Decimal | None
    meets_slo: bool | None
    residual_points: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointResult:
    """All there is to say about one endpoint."""

    endpoint: str
    platform: str
    days: tuple[DaySummary, ...]
    verdict: Verdict
    cost: EndpointCost | None = None
    whatifs: tuple[WhatIf, ...] = ()
    cheapest: WhatIf | None = None  # the cheapest setting that meets the SLO
    notes: tuple[str, ...] = ()  # what must be said with the what-ifs
    break_evens: tuple[Any, ...] = ()  # analysis.costing.break_even.BreakEven, one a dedicated option
    reconciliation: Any = None  # analysis.costing.reconcile.Reconciliation; None without a cost
    by_model: tuple[Any, ...] = ()  # analysis.costing.by_model.ModelCost, the dearest first

    @property
    def total(self) -> DaySummary | None:
        total: DaySummary | None = None
        for day in self.days:
            total = day if total is None else total + day
        return total


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialResult:
    """Everything a report shows; built by flows/results.py from the store alone."""

    trial: str
    as_of: date | None
    day_number: int  # complete days so far
    days_planned: int
    endpoints: tuple[EndpointResult, ...]
    dedicated: tuple[DedicatedCost, ...] = ()
    registered: Mapping[str, str] = field(default_factory=dict)  # settings hashed at the first collection
    changes: tuple[Mapping[str, str], ...] = ()  # later changes: when, key, from, to
