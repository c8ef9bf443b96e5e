"""
Lambda provisioned concurrency: environments paid for while switched on, and a lower rate for what they execute.

    USD = k * GB * up(on, 5 min) * r_on + N * 0.20/1e6 + GB-s executed * r_executed

What overflows the k environments is an ordinary invocation: per_invocation prices it. The free tier does not apply.
"""

from __future__ import annotations

from decimal import Decimal

from analysis.billing.bundle import memory_gb, request_fees, required
from analysis.billing.rounding import seconds, up_us
from analysis.pricing.rows import PriceRow
from trial.config import Resources

STEP_S = Decimal(300)


def usd(row: PriceRow, resources: Resources, *, environments: int, on_us: int, billed_ms: int, requests: int) -> dict[str, Decimal]:
    """
    One stretch of provisioned concurrency.

    Args:
        on_us: from switching on to switching off, rounded up to five minutes here.
        billed_ms: what the provisioned environments executed.
    """
    on = required(row, "provisioned")
    executed = row.rates.get("provisioned_duration")
    gb = memory_gb(row, on, resources)
    return {
        "provisioned": on.usd(environments * gb * seconds(up_us(on_us, STEP_S))) * row.factor,
        "run": executed.usd(gb * billed_ms / 1000) * row.factor if executed else Decimal(0),
        "requests": request_fees(row, requests),
    }
