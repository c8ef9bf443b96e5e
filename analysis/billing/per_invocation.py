"""
Billed by the request: Lambda on demand.

    USD = N * 0.20/1e6 + tiers(sum of billed ms / 1000 * MB / 1024) - free tier

Billed milliseconds are read from the platform's own line, never recomputed: since 2025 they hold the INIT phase, SnapStart's
hold the restore, and the date each account moved is not known.
"""

from __future__ import annotations

from decimal import Decimal

from analysis.billing.bundle import memory_gb, required
from analysis.pricing.rows import PriceRow, Rate
from trial.config import Resources


def usd(
    row: PriceRow,
    resources: Resources,
    *,
    billed_ms: int,
    start_ms: int = 0,
    requests: int,
    already_ms: int = 0,
    already_requests: int = 0,
    free_tier: bool = False,
) -> dict[str, Decimal]:
    """
    A day's requests, priced by phase: start (the INIT part), run, requests.

    Args:
        billed_ms: sum of the billed milliseconds, init included where the platform bills it.
        start_ms: the part of it that is INIT.
        already_ms, already_requests: billed earlier in the same month: tiers and free tier go on from there.

    Raises:
        ConfigError: no memory_mb, or a rate that the row does not have.
    """
    rate = required(row, "duration")
    gb = memory_gb(row, rate, resources)
    free = row.free_tier if free_tier else {}
    total = _beyond_free(rate, gb * billed_ms / 1000, already=gb * already_ms / 1000, free=free.get("duration")) * row.factor
    start = total * start_ms / billed_ms if billed_ms else Decimal(0)
    fee = row.rates.get("requests")
    fees = _beyond_free(fee, Decimal(requests), already=Decimal(already_requests), free=free.get("requests")) if fee else Decimal(0)
    return {"start": start, "run": total - start, "requests": fees}


def _beyond_free(rate: Rate, quantity: Decimal, *, already: Decimal, free: Decimal | None) -> Decimal:
    begin = max(already, free or Decimal(0))
    return rate.usd(max(Decimal(0), already + quantity - begin), already=begin)
