"""An endpoint's cost split by the models it served, idle time and start-ups included."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from trial.results import EndpointCost
from trial.summary import DaySummary


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCost:
    """
    Args:
        usd: the model's part of the whole bill.
        basis: what the bill was shared out by: "gpu_ms", or "requests" where a model has no GPU time.
        usd_per_1k, usd_per_million_tokens: None without requests, or without tokens in the handler line.
    """

    model: str
    usd: Decimal
    basis: str
    usd_per_1k: Decimal | None
    usd_per_million_tokens: Decimal | None


def by_model(cost: EndpointCost, total: DaySummary) -> tuple[ModelCost, ...]:
    """
    The dearest first; their costs add up to the endpoint's.

    A bill by instance life belongs to no single request, so it is shared out in proportion to the GPU time of each model: what
    occupied the instance answers for its idle time too. Where any model has no GPU time, requests are the only fair measure.
    """
    models = {name: counts for name, counts in total.by_model.items() if counts.get("requests", 0)}
    if not models:
        return ()
    basis = "gpu_us" if all(counts.get("gpu_us", 0) > 0 for counts in models.values()) else "requests"
    whole = sum(counts[basis] for counts in models.values())
    found = []
    for name, counts in models.items():
        usd = cost.total_usd * counts[basis] / whole
        tokens = counts.get("input_tokens", 0) + counts.get("output_tokens", 0)
        found.append(
            ModelCost(
                model=name,
                usd=usd,
                basis="gpu_ms" if basis == "gpu_us" else basis,
                usd_per_1k=usd * 1000 / counts["requests"],
                usd_per_million_tokens=usd * 1_000_000 / tokens if tokens else None,
            )
        )
    return tuple(sorted(found, key=lambda m: (-m.usd, m.model)))
