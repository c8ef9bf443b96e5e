"""The trial's arrivals under other settings, priced by the same billing rules as the trial itself."""

from __future__ import annotations

import logging
from typing import Any

from analysis import whatif
from analysis.costing.break_even import BreakEven
from analysis.costing.compare import compare
from analysis.prices import PriceBook
from analysis.replaying import arrivals
from analysis.replaying.price import pricing
from analysis.whatif import WhatIfTable
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
            price=pricing(book, endpoint),
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
    endpoint: Any = trial.endpoint(result.endpoint)
    found = (
        compare(endpoint, book.row(endpoint.price), result.cost, days=result.days, option=option, option_row=book.row(option.price))
        for option in trial.dedicated
    )
    return tuple(one for one in found if one is not None)
