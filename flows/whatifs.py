"""The trial's arrivals under other settings, priced by the same billing rules as the trial itself."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from analysis import whatif
from analysis.costing.break_even import BreakEven
from analysis.costing.compare import compare
from analysis.prices import PriceBook
from analysis.replaying.arrivals import Arrivals
from analysis.replaying.policies import Policy
from analysis.replaying.price import pricing
from analysis.replaying.result import ReplayResult
from analysis.replaying.settings import Setting
from analysis.whatif import Calibration, WhatIfTable
from flows.seen import Seen
from trial.config import Trial
from trial.errors import ConfigError
from trial.results import EndpointResult, WhatIf
from trial.store import Store

log = logging.getLogger("fortnight")

SERVERLESS = ("aws-lambda", "cloud-run", "runpod", "replicate", "export")
KEEPS_WARM = {"ping_every_s", "min_workers", "provisioned", "dedicated"}


def table_of(
    trial: Trial, store: Store, endpoint: Any, book: PriceBook, *, seen: Seen, cold_start_ms: float | None = None
) -> WhatIfTable | None:
    """One endpoint's standard settings; None where it has no day yet, or cannot be replayed, which is said."""
    if endpoint.platform not in SERVERLESS or not store.days(endpoint.name):
        return None
    try:
        return whatif.what_if(
            seen.arrivals(endpoint),
            endpoint,
            dedicated=trial.dedicated,
            slo_ms=trial.trial.latency_slo_ms,
            noticed_share=trial.trial.noticed_share,
            confidence=trial.trial.confidence,
            price=pricing(book, endpoint),
            default_idle_timeout_s=_default_idle_timeout_s(endpoint, book),
            cold_start_ms=cold_start_ms,
        )
    except ConfigError as exc:
        log.warning("%s: no what-if: %s", endpoint.name, exc)
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class OneSetting:
    """A setting of the user's own, replayed on the trial: what came out, as a row of the table, and how far to trust it."""

    result: ReplayResult
    row: WhatIf
    calibration: Calibration


def one_setting(
    trial: Trial, store: Store, endpoint: Any, book: PriceBook, *, changes: Mapping[str, Any], cold_start_ms: float | None = None
) -> OneSetting:
    """
    The trial's setting, as its log tells it, with some fields of its policy changed.

    Raises:
        ConfigError: no day is collected yet, or any contradiction of the policy.
    """
    if not store.days(endpoint.name):
        raise ConfigError("no day is collected yet", where=f"endpoint {endpoint.name}", do="Run `fortnight collect` first")
    seen = Seen(trial, store).arrivals(endpoint)
    calibration = whatif.calibrate(
        seen, endpoint, default_idle_timeout_s=_default_idle_timeout_s(endpoint, book), cold_start_ms=cold_start_ms
    )
    own: dict[str, Any] = {
        "midnight_ms": _midnight_ms(trial, store, endpoint, seen),
        "ping_service_ms": whatif.ping_service_ms(seen),
    } | dict(changes)
    if "dedicated" in changes:
        policy = Policy(**({"concurrency": calibration.policy.concurrency, "idle_timeout_s": None} | own))
    else:
        policy = replace(calibration.policy, **own)
    # As in the table: what keeps workers warm itself takes the place of the trial's own pings.
    setting = Setting(name="as given", policy=policy, keep_pings=not KEEPS_WARM & changes.keys())
    result = whatif.run_setting(seen, setting, cold_start_ms=cold_start_ms)
    row = whatif.row(
        result,
        seen,
        setting,
        endpoint=endpoint.name,
        slo_ms=trial.trial.latency_slo_ms,
        noticed_share=trial.trial.noticed_share,
        confidence=trial.trial.confidence,
        # Instances without a name have no price of their own.
        price=None if policy.dedicated is not None else pricing(book, endpoint),
        residual_points=calibration.residual_points,
    )
    return OneSetting(result=result, row=row, calibration=calibration)


def _midnight_ms(trial: Trial, store: Store, endpoint: Any, seen: Arrivals) -> float:
    """The first local midnight on the arrivals' clock."""
    return trial.calendar.window(store.days(endpoint.name)[0]).start.timestamp() * 1000 - seen.origin_us / 1000


def _default_idle_timeout_s(endpoint: Any, book: PriceBook) -> float | None:
    row = book.row(endpoint.price) if endpoint.price else None
    return float(row.idle.best) if row and row.idle else None


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
