"""The JSON of `fortnight whatif`: the table of settings for a trial, and the row that other commands quote."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

from analysis.whatif import WhatIfTable
from trial.results import WhatIf


def whatif_json(table: WhatIfTable) -> dict[str, Any]:
    """One endpoint's table; figures that do not exist are null."""
    calibration, found = table.calibration, table.calibration.idle_timeout
    cheapest = table.cheapest
    return {
        "endpoint": table.endpoint,
        "settings": [row_json(row) for row in table.rows],
        "slo_ms": table.slo_ms,
        "noticed_share": table.noticed_share,
        "cheapest_setting_meeting_slo": None if cheapest is None else cheapest.name,
        "observed": table.observed.as_json(),
        "idle_timeout": {
            "used_s": calibration.idle_timeout_s,
            "low_s": None if found is None else found.low_s,
            "best_s": None if found is None else found.best_s,
            "high_s": None if found is None or math.isinf(found.high_s) else found.high_s,
            "gaps": None if found is None else found.gaps,
            "misfits": None if found is None else found.misfits,
        },
        "residual_points": calibration.residual_points,
        "agreement": calibration.agreement,
        "trusted": calibration.trusted,
        "notes": list(table.notes),
    }


def row_json(row: WhatIf) -> dict[str, Any]:
    """One setting."""
    rate = row.cold_hit_rate
    return {
        "name": row.name,
        "settings": dict(row.settings),
        "requests": row.requests,
        "cold": row.cold,
        "rejected": row.rejected,
        "cold_hit_rate": None
        if rate is None
        else {"low": rate.low, "best": rate.best, "high": rate.high, "days": rate.n, "method": rate.method},
        "over_slo": row.over_slo,
        "meets_slo": row.meets_slo,
        "waited_ms": dict(row.waited_ms),
        "workers": dict(row.workers),
        "billed_seconds": row.billed_seconds,
        "usd_per_day": _money(row.usd_per_day),
        "residual_points": row.residual_points,
    }


def _money(value: Decimal | None) -> float | None:
    return None if value is None else float(value)
