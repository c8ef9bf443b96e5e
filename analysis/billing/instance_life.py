"""
Billed by the life of an instance: start-up, requests and idle time (Cloud Run GPU, RunPod, Modal, Replicate deployments, ...).

    USD = sum over instances of up(life, step) * (GPU + vCPU * rate + GiB * rate)

Time arrives here already rounded once per life (rounding.up_us); the excess is the phase "rounding".
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from analysis.billing.bundle import parts
from analysis.billing.rounding import seconds
from analysis.pricing.rows import PriceRow
from trial.config import Resources

IDLE = frozenset(("idle", "rounding", "min_instances"))


def usd(
    row: PriceRow, resources: Resources, phase_us: Mapping[str, int], *, already_us: int = 0, free_tier: bool = False
) -> dict[str, Decimal]:
    """
    Instance-time by phase, in microseconds, priced; phases the row does not bill cost 0.

    Args:
        already_us: instance-time billed earlier in the month, which eats the free tier first.
    """
    out = {phase: Decimal(0) for phase in phase_us}
    billed = {phase: us for phase, us in phase_us.items() if phase in row.billed or (phase == "rounding" and us)}
    for idle in (False, True):
        mine = {phase: us for phase, us in billed.items() if (phase in IDLE) == idle}
        for name, rate, quantity in parts(row, resources, idle=idle):
            keep = _paid_share(
                row.free_tier.get(name) if free_tier else None, quantity, billed_us=sum(billed.values()), already_us=already_us
            )
            for phase, us in mine.items():
                out[phase] += rate.usd(seconds(us) * quantity) * row.factor * keep
    return out


def _paid_share(free: Decimal | None, quantity: Decimal, *, billed_us: int, already_us: int) -> Decimal:
    """The share of this month's time that lies beyond `free` unit-seconds."""
    total = seconds(billed_us) * quantity
    if free is None or total == 0:
        return Decimal(1)
    before = seconds(already_us) * quantity
    return (total - max(Decimal(0), min(free, before + total) - min(free, before))) / total
