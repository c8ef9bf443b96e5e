"""What the tracker itself cost: the calls its pulls made, and what the providers' APIs charge for them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from analysis.prices import PriceBook
from analysis.pricing.rows import PriceRow
from trial.pulls import Pull

# By platform: the price row its metrics API is charged by. Reading CloudWatch Logs events and Cloud Logging entries has no price
# of its own, nor have RunPod's and Replicate's APIs; an export is read from files.
CHARGED = {
    "aws-lambda": "cloudwatch-get-metric-data",
    "sagemaker": "cloudwatch-get-metric-data",
    "cloud-run": "cloud-monitoring-read",
    "vertex-ai": "cloud-monitoring-read",
}
FREE = {"runpod": "no fee for API calls is published", "replicate": "no fee for API calls is published", "export": "files only"}


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackerCost:
    """
    Args:
        pulls, failed: how many were made, and how many of them ended with an error.
        metrics: what the metrics API charges by.
        usd: None where it is charged and the price book does not know the price. Traffic out of the cloud is not in it.
        charged_for: what `usd` is for, or why it is 0 or not known.
    """

    pulls: int
    failed: int
    calls: int
    bytes: int
    events: int
    throttles: int
    metrics: int
    usd: Decimal | None
    charged_for: str


def tracker_cost(platform: str, pulls: Sequence[Pull], book: PriceBook, *, free_tier: bool = False) -> TrackerCost:
    """One endpoint's pulls, added up and priced."""
    counts = {key: sum(getattr(p, key) for p in pulls) for key in ("calls", "bytes", "events", "throttles", "metrics")}
    usd, charged_for = _charge(platform, pulls, book, counts["metrics"], free_tier)
    return TrackerCost(pulls=len(pulls), failed=sum(p.failed for p in pulls), usd=usd, charged_for=charged_for, **counts)


def usd(row: PriceRow, by_month: Iterable[int], *, free_tier: bool = False) -> Decimal:
    """Requests of each calendar month at the row's price; the free tier, where it is taken off, begins anew each month."""
    free = row.free_tier.get("requests", Decimal(0)) if free_tier else Decimal(0)
    rate = row.rates["requests"]
    return sum((rate.usd(max(Decimal(0), n - free)) for n in by_month), Decimal(0))


def _charge(platform: str, pulls: Sequence[Pull], book: PriceBook, metrics: int, free_tier: bool) -> tuple[Decimal | None, str]:
    name = CHARGED.get(platform)
    if name is None:
        return Decimal(0), FREE.get(platform, "nothing known to be charged")
    row = book.rows.get(name)
    if row is None or "requests" not in row.rates:
        return None, f"{metrics:,} metrics read; the {book.name} price book has no price {name}"
    months: dict[tuple[int, int], int] = defaultdict(int)
    for pull in pulls:
        months[pull.at.year, pull.at.month] += pull.metrics
    return usd(row, months.values(), free_tier=free_tier), f"{metrics:,} metrics read ({row.name})"
