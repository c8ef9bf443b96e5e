"""The report's numbers as JSON: no NaN, no infinity, nothing rounded but dollars to a millionth."""

from __future__ import annotations

import dataclasses
import json
import math
import sys
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from analysis.costing.reconcile import Reconciliation
from analysis.scenario import classify
from analysis.sketches import quantile
from reports import sentences
from reports.days import series
from reports.extras import ReportExtras
from trial.config import Trial
from trial.results import EndpointResult, TrialResult
from trial.summary import DaySummary

VERSION = 1  # raised when a key changes its meaning or goes; new keys do not raise it
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95, 0.99)


def report_json(result: TrialResult, *, config: Trial, extras: ReportExtras) -> str:
    """Everything the report shows, as one JSON document with sorted keys; equal input gives equal text."""
    document = {
        "version": VERSION,
        "trial": result.trial,
        "as_of": result.as_of,
        "day_number": result.day_number,
        "days_planned": result.days_planned,
        "headline": " ".join(sentences.headline(result)),
        "settings": config.trial.model_dump(mode="json"),
        "registered": result.registered,
        "changes": result.changes,
        "endpoints": [_endpoint(e, config=config, extras=extras) for e in result.endpoints],
        "dedicated": result.dedicated,
        "extras": extras,
    }
    return json.dumps(plain(document), indent=1, sort_keys=True, allow_nan=False, ensure_ascii=False) + "\n"


def plain(value: Any) -> Any:
    """
    A value as JSON knows it.

    NaN becomes null, an infinity the largest float (only the e-value can be that sure), a Decimal a number of millionths.
    """
    if isinstance(value, DaySummary):
        return value.to_json()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, Decimal):
        return float(round(value, 6)) if value.is_finite() else None
    if isinstance(value, float):
        return None if math.isnan(value) else max(-sys.float_info.max, min(sys.float_info.max, value))
    if isinstance(value, (date, datetime)):
        return value.isoformat()
    return value


def _endpoint(e: EndpointResult, *, config: Trial, extras: ReportExtras) -> dict[str, Any]:
    total, hourly = e.total, (extras.hourly or {}).get(e.endpoint)
    scenario = classify(hourly, by_model=_requests_by_model(total)) if hourly else None
    return {
        "endpoint": e.endpoint,
        "platform": e.platform,
        "verdict": e.verdict,
        "days": e.days,
        "series": [
            {
                "day": p.day,
                "number": p.number,
                "cold_hit_rate": p.rate,
                "bounds": [p.low, p.high],
                "cumulative": p.cumulative,
                "long_run": p.long_run,
                "usd": p.usd,
            }
            for p in series(e, calendar=config.calendar, confidence=config.trial.confidence)
        ],
        "quantiles_ms": {
            column: {f"p{q * 100:g}": quantile(of, q) for q in QUANTILES} | {"mean": of.mean_ms, "count": of.count}
            for column, of in (total.sketches.items() if total else ())
        },
        "cost": None
        if e.cost is None
        else {
            "price": e.cost.price,
            "usd_total": e.cost.total_usd,
            "usd_per_day": e.cost.usd_per_day,
            "usd_per_1k_inferences": e.cost.usd_per_1k,
            "usd_per_million_tokens": e.cost.usd_per_million_tokens,
            "usd_per_month": e.cost.usd_per_month,
            "hours_per_month": e.cost.hours_per_month,
            "usd_by_phase": e.cost.by_phase(),
            "by_model": e.by_model,
            "days": e.cost.days,
        },
        "reconciliation": None if e.reconciliation is None else _reconciliation(e.reconciliation),
        "whatifs": e.whatifs,
        "cheapest_setting_meeting_slo": e.cheapest,
        "scenario": scenario,
    }


def _reconciliation(found: Reconciliation) -> dict[str, Any]:
    days = [{**plain(day), "residual_usd": day.usd, "explained": day.explained} for day in found.days]
    return {**plain(found), "days": days, "billed_usd": found.billed_usd, "residual_usd": found.residual_usd}


def _requests_by_model(total: DaySummary | None) -> dict[str, int]:
    return {m: of.get("requests", 0) for m, of in total.by_model.items()} if total else {}
