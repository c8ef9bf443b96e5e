"""
Billed while a request is active, start-up and idle time free or not billed apart.

    active-time   (Replicate's public models): sum of the predictions' own seconds * rate
    request-time  (Cloud Run with request-based billing, CPU only): union of the busy intervals of each instance, each rounded
                  up to 100 ms, * rates + 0.40 per million requests

Overlapping requests share an instance under request-time and do not under active-time: the caller merges or does not.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from analysis.billing.bundle import parts, request_fees
from analysis.billing.rounding import seconds, up_us
from analysis.pricing.rows import PriceRow
from trial.config import Resources


def billed_us(row: PriceRow, busy_us: Iterable[int]) -> int:
    """Busy stretches in microseconds, each rounded up on its own."""
    return sum(up_us(int(us), row.rounding_s) for us in busy_us)


def usd(row: PriceRow, resources: Resources, *, billed_us: int, requests: int) -> dict[str, Decimal]:
    """Rounded active time and the request fee, where the row has one."""
    run = sum((rate.usd(seconds(billed_us) * quantity) for _, rate, quantity in parts(row, resources)), Decimal(0)) * row.factor
    return {"run": run, "requests": request_fees(row, requests)}
