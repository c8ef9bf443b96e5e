"""The one rounding rule: billed time goes up to the platform's step, money is never rounded until it is shown."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from functools import cache

US_PER_S = 1_000_000


def to_us(seconds: Decimal | float) -> int:
    """Seconds as whole microseconds, the resolution of the logs."""
    return int((Decimal(str(seconds)) * US_PER_S).to_integral_value(ROUND_HALF_UP))


def up_us(us: int, step_s: Decimal) -> int:
    """`us` microseconds rounded up to a multiple of `step_s` seconds; a step of 0 rounds nothing."""
    step = _step_us(step_s)
    return us if step == 0 else -(-us // step) * step


@cache
def _step_us(step_s: Decimal) -> int:
    return to_us(step_s)


def seconds(us: int) -> Decimal:
    return Decimal(us) / US_PER_S


def cents(usd: Decimal) -> Decimal:
    """An amount as it stands on a bill."""
    return usd.quantize(Decimal("0.01"), ROUND_HALF_UP)
