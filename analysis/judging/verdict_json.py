"""What `fortnight verdict --json` prints: one document, numbers or null, never NaN or infinity."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from analysis.costing.break_even import BreakEven
from analysis.costing.by_model import ModelCost
from analysis.costing.reconcile import Reconciliation
from analysis.judging.diagnostics import describe
from trial.records import as_dict
from trial.results import DedicatedCost, EndpointResult, WhatIf


def verdict_json(
    trial_name: str, as_of: date | None, results: Sequence[EndpointResult], *, dedicated: Sequence[DedicatedCost] = ()
) -> dict[str, Any]:
    """
    Args:
        dedicated: the options serverless is compared with; the cheapest that carries an endpoint's traffic is named beside its cost.
    """
    return {
        "trial": trial_name,
        "as_of": as_of.isoformat() if as_of else None,
        "endpoints": [_endpoint(result, dedicated) for result in results],
    }


def _endpoint(result: EndpointResult, dedicated: Sequence[DedicatedCost]) -> dict[str, Any]:
    verdict = result.verdict
    return {
        "endpoint": verdict.endpoint,
        "platform": verdict.platform,
        "decision": verdict.decision,
        "rule": verdict.rule,
        "evidence": verdict.evidence,
        "days": verdict.days,
        "requests": verdict.requests,
        "cold_hits": verdict.cold_hits,
        "unknown": verdict.unknown,
        "unseen": verdict.unseen,
        "threshold": verdict.threshold,
        "cold_hit_rate": {
            "realised": _number(verdict.realised),
            "bounds": [_number(v) for v in verdict.bounds],
            "long_run": [_number(verdict.long_run.low), _number(verdict.long_run.high)],
        },
        "e_value": _number(verdict.e_value),
        "noticed_share": _number(verdict.noticed.best) if verdict.noticed else None,
        "noticed_long_run": [_number(verdict.noticed.low), _number(verdict.noticed.high)] if verdict.noticed else None,
        "users_notice": verdict.users_notice,
        "passed_on": verdict.passed_on.isoformat() if verdict.passed_on else None,
        "flags": [flag.code for flag in verdict.flags],
        "flag_details": {flag.code: flag.detail for flag in verdict.flags},
        "reasons": list(verdict.reasons),
        "diagnostics": _diagnostics(result),
        "cost": _cost(result, dedicated),
        "cheapest_setting_meeting_slo": _setting(result.cheapest) if result.cheapest else None,
    }


def _diagnostics(result: EndpointResult) -> dict[str, Any] | None:
    seen = describe(result.days)
    return None if seen is None else {name: _number(value) for name, value in as_dict(seen).items()}


def _cost(result: EndpointResult, dedicated: Sequence[DedicatedCost]) -> dict[str, Any] | None:
    if result.cost is None:
        return None
    days = result.cost.days
    able = [option for option in dedicated if option.busy_share is None or option.busy_share <= 1]
    cheapest = min(able, key=lambda option: option.usd_per_day, default=None)
    return {
        "price": result.cost.price,
        "usd_per_day": _number(result.cost.usd_per_day),
        "usd_per_day_bounds": [_number(sum((getattr(d, end) for d in days), Decimal(0)) / len(days)) for end in ("low", "high")]
        if days
        else None,
        "usd_per_1k_inferences": _number(result.cost.usd_per_1k),
        "usd_per_million_tokens": _number(result.cost.usd_per_million_tokens),
        "usd_per_month": _number(result.cost.usd_per_month),
        **_billed(result.reconciliation),
        "by_model": [_model(m) for m in result.by_model],
        "cheapest_dedicated": {"name": cheapest.name, "usd_per_day": _number(cheapest.usd_per_day)} if cheapest else None,
        "break_even": [_break_even(b) for b in result.break_evens],
    }


def _break_even(found: BreakEven) -> dict[str, Any]:
    crossing = found.crossing
    return {
        "option": found.option,
        "requests_per_day": _number(found.at),
        "dedicated_cheaper_above": None if crossing is None else {end: _number(getattr(crossing, end)) for end in ("low", "best", "high")},
        "dedicated_cheaper": found.dedicated_cheaper,
        "flip_factor": _number(found.flip_factor),
        "sentence": found.sentence,
    }


def _billed(found: Reconciliation | None) -> dict[str, Any]:
    """The bill beside the model; every key is there, and null where there is no bill."""
    days = found.days if found is not None else ()
    return {
        "billed_usd_per_day": _number(found.billed_usd / len(days)) if found is not None and days else None,
        "billed_days": len(days),
        "residual_share": _number(found.share) if found is not None else None,
        "residual_within_tolerance": found.within_tolerance if found is not None else None,
        "residual_trend_usd_per_day": _number(found.trend_usd_per_day) if found is not None else None,
        "residual_phase": found.culprit if found is not None else None,
    }


def _model(cost: ModelCost) -> dict[str, Any]:
    return {
        "model": cost.model,
        "usd": _number(cost.usd),
        "shared_out_by": cost.basis,
        "usd_per_1k_inferences": _number(cost.usd_per_1k),
        "usd_per_million_tokens": _number(cost.usd_per_million_tokens),
    }


def _setting(setting: WhatIf) -> dict[str, Any]:
    rate = setting.cold_hit_rate
    return {
        "name": setting.name,
        "settings": dict(setting.settings),
        "cold_hit_rate": _number(rate.best) if rate else None,
        "over_slo": _number(setting.over_slo),
        "usd_per_day": _number(setting.usd_per_day),
    }


def _number(value: float | Decimal | None) -> float | None:
    """JSON has neither NaN nor infinity; an evidence past the largest float is null, and its decision says the rest."""
    if value is None or not math.isfinite(value):
        return None
    return float(value)
