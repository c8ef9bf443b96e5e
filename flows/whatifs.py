"""The trial's arrivals under other settings, priced by the same billing rules as the trial itself."""

from __future__ import annotations

import logging
from decimal import Decimal
from typing import Any

import numpy as np

from analysis import arrivals, dedicated, whatif
from analysis.billing.lives import WorkerLife, lives_cost
from analysis.break_even import BreakEven
from analysis.compare import compare
from analysis.price_rows import PriceRow
from analysis.prices import PriceBook
from analysis.replay_result import US_PER_S, ReplayResult
from analysis.settings import Setting
from analysis.whatif import Price, WhatIfTable
from trial.calendar import Window
from trial.config import Trial
from trial.errors import ConfigError
from trial.results import EndpointResult
from trial.store import Store

log = logging.getLogger("fortnight")

SERVERLESS = ("aws-lambda", "cloud-run", "runpod", "replicate", "export")


def table_of(trial: Trial, store: Store, endpoint: Any, book: PriceBook, *, cold_start_ms: float | None = None) -> WhatIfTable | None:
    """One endpoint's standard settings; None where it has no day yet, or cannot be replayed, which is said."""
    days = store.days(endpoint.name)
    if endpoint.platform not in SERVERLESS or not days:
        return None
    window = Window(start=trial.calendar.window(days[0]).start, end=trial.calendar.window(days[-1]).end)
    row = book.row(endpoint.price) if endpoint.price else None
    try:
        return whatif.what_if(
            arrivals.from_invocations(store.table("invocations", endpoint.name), window=window),
            endpoint,
            dedicated=trial.dedicated,
            slo_ms=trial.trial.latency_slo_ms,
            noticed_share=trial.trial.noticed_share,
            confidence=trial.trial.confidence,
            price=_pricing(endpoint, row, book),
            default_idle_timeout_s=float(row.idle.best) if row and row.idle else None,
            cold_start_ms=cold_start_ms,
        )
    except ConfigError as exc:
        log.warning("%s: no what-if: %s", endpoint.name, exc)
        return None


def break_evens_of(trial: Trial, result: EndpointResult, book: PriceBook) -> tuple[BreakEven, ...]:
    """One serverless endpoint's cost against traffic beside every dedicated option."""
    if result.cost is None or result.platform not in SERVERLESS:
        return ()
    endpoint = trial.endpoint(result.endpoint)
    found = (
        compare(endpoint, book.row(endpoint.price), result.cost, days=result.days, option=option, option_row=book.row(option.price))
        for option in trial.dedicated
    )
    return tuple(one for one in found if one is not None)


def _pricing(endpoint: Any, row: PriceRow | None, book: PriceBook) -> Price:
    def price(result: ReplayResult, setting: Setting) -> Decimal | None:
        start, end = result.horizon_us
        span_s = (end - start) / US_PER_S
        if setting.dedicated is not None:
            return dedicated.usd_per_day(book.row(setting.dedicated.price), instances=setting.dedicated.instances)
        if row is None or not span_s:
            return None
        usd = lives_cost(row, endpoint.resources, _lives(result), len(result.arrival_us), span_s)
        return sum(usd.values(), Decimal(0)) * Decimal(86_400) / Decimal(str(span_s))

    return price


def _lives(result: ReplayResult) -> list[WorkerLife]:
    w = result.workers
    # A worker that min_workers keeps is one that still runs at the end; provisioned and dedicated ones are pinned.
    kept = w.pinned | ((w.ended_us >= result.horizon_us[1]) & (result.policy.most_floor > 0))
    starting = w.ready_us - w.started_us
    columns = (w.started_us, np.maximum(0, w.busy_us - starting), w.ended_us, starting)
    seconds = ((c / US_PER_S).tolist() for c in columns)
    return [WorkerLife(*life) for life in zip(*seconds, kept.tolist(), strict=True)]
