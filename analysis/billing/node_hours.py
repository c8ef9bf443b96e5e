"""
Billed by node while it is deployed, used or not (SageMaker real-time per second, Vertex AI in 30-second steps).

    USD = sum over nodes of up(deployed, step) * hourly rate / 3600  (+ storage and data, where the row has them)
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from analysis.billing.bundle import parts
from analysis.billing.rounding import seconds, up_us
from analysis.pricing.rows import PriceRow
from trial.config import Resources


def usd(
    row: PriceRow,
    resources: Resources,
    *,
    deployed_us: Iterable[int],
    storage_gb: Decimal = Decimal(0),
    data_gb: Decimal = Decimal(0),
) -> dict[str, Decimal]:
    """
    Nodes priced from creation to deletion.

    Args:
        deployed_us: one entry per node: how long it was deployed.
        storage_gb: of each node's volume, billed for the same time; data_gb: in and out.
    """
    billed = seconds(sum(up_us(us, row.rounding_s) for us in deployed_us))
    out = {"node_hours": sum((rate.usd(billed * quantity) for _, rate, quantity in parts(row, resources)), Decimal(0)) * row.factor}
    if storage_gb and "storage" in row.rates:
        out["node_hours"] += row.rates["storage"].usd(storage_gb * billed)
    if data_gb and "data" in row.rates:
        out["node_hours"] += row.rates["data"].usd(data_gb)
    return out
