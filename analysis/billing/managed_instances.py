"""
Lambda Managed Instances, the only Lambda with a GPU: EC2 instances that run all day, a management fee, a request fee.

    USD = n * h * EC2 * (1 - discount) + 15 % * n * h * EC2 on demand + N * 0.20/1e6,  n >= 3 by default

There is no charge per millisecond, and a discount does not lower the fee.
"""

from __future__ import annotations

from decimal import Decimal

from analysis.billing.bundle import request_fees, required
from analysis.billing.rounding import seconds
from analysis.pricing.rows import PriceRow


def usd(row: PriceRow, *, instance_us: int, requests: int) -> dict[str, Decimal]:
    """Instance-time of all instances together, and the requests they served."""
    on_demand = required(row, "instance").usd(seconds(instance_us)) * row.multiplier
    return {
        "instances": on_demand * (1 - row.discount),
        "management_fee": on_demand * row.fee_share,
        "requests": request_fees(row, requests),
    }
