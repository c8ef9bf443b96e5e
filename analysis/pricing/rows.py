"""One row of the price book: a rate with its unit, its rule and where it was read, strict enough to refuse a slip."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

SECONDS = {
    "ms": Decimal("0.001"),
    "100ms": Decimal("0.1"),
    "s": Decimal(1),
    "min": Decimal(60),
    "h": Decimal(3600),
    "month": Decimal(730 * 3600),
}
COUNTS = {"request": Decimal(1), "M-requests": Decimal(1_000_000), "GB": Decimal(1)}
_TIMED = re.compile(r"^USD/(GPU|vCPU|GiB|GB|instance|worker|node|replica|environment)-(ms|100ms|s|min|h|month)$")
_COUNTED = re.compile(r"^USD/(request|M-requests|GB)$")

# rule -> rates without which it cannot price anything; analysis/billing has one module per family. Request fees and the rate
# of what provisioned environments execute are optional: some platforms have none.
RULES: Mapping[str, tuple[str, ...]] = {
    "per-invocation": ("duration",),
    "provisioned-concurrency": ("provisioned",),
    "instance-life": ("instance",),
    "request-time": ("vcpu", "memory"),
    "active-time": ("instance",),
    "node-hours": ("instance",),
    "managed-instances": ("instance",),
    "api-calls": ("requests",),
}
PHASES = ("start", "run", "idle", "rounding", "min_instances", "requests", "provisioned", "node_hours", "instances", "management_fee")

Rule = Literal[
    "per-invocation",
    "provisioned-concurrency",
    "instance-life",
    "request-time",
    "active-time",
    "node-hours",
    "managed-instances",
    "api-calls",
]


def _amount(value: Any) -> Decimal:
    if not isinstance(value, str):
        raise ValueError(f'write it as a string, "{value}", so that it stays exact')
    try:
        amount = Decimal(value)
    except InvalidOperation as exc:
        raise ValueError(f"{value!r} is not a number") from exc
    if not amount.is_finite() or amount < 0:
        raise ValueError(f"{value!r} is not a finite amount of at least 0")
    if amount and not -18 <= amount.adjusted() <= 18:
        raise ValueError(f"{value!r} is no amount of money or time that anybody bills")
    return amount


def _price(value: Any) -> Decimal:
    amount = _amount(value)
    if amount == 0:
        raise ValueError("a price of 0 reads as free; leave the rate out and give its reason under `absent`")
    return amount


Amount = Annotated[Decimal, BeforeValidator(_amount)]
Price = Annotated[Decimal, BeforeValidator(_price)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Tier(_Table):
    """A price that holds up to a monthly quantity; the last tier has no `up_to`."""

    amount: Price
    up_to: Amount | None = None


class Rate(_Table):
    """
    A price per unit.

    Args:
        unit: USD/<what>-<time> or USD/<what>; the vocabulary is this module's.
        amount: the price, a string in TOML; or `tiers` for a price that falls with the month's quantity.
        stated_usd_per_hour: the hourly figure the source itself prints, if any; `check` recomputes it.
        each: how many of the unit one instance takes where that is fixed (a multi-GPU machine).
    """

    unit: str
    amount: Price | None = None
    tiers: list[Tier] = Field(default_factory=list)
    stated_usd_per_hour: Amount | None = None

    @model_validator(mode="after")
    def _one_price_in_known_units(self) -> Self:
        if not (_TIMED.match(self.unit) or _COUNTED.match(self.unit)):
            raise ValueError(f"unit {self.unit!r} is not known; for example USD/GPU-s, USD/instance-h, USD/GiB-s, USD/M-requests")
        if (self.amount is None) == (not self.tiers):
            raise ValueError("give either `amount` or `tiers`")
        limits = [t.up_to for t in self.tiers]
        if limits and (limits[-1] is not None or None in limits[:-1] or limits[:-1] != sorted(set(limits[:-1]))):  # type: ignore[type-var]
            raise ValueError("tiers must rise by `up_to`, and only the last has none")
        if self.stated_usd_per_hour is not None and not _TIMED.match(self.unit):
            raise ValueError("stated_usd_per_hour needs a unit of time")
        return self

    @property
    def first(self) -> Decimal:
        """The price of the first unit."""
        return self.amount if self.amount is not None else self.tiers[0].amount

    @property
    def divisor(self) -> Decimal:
        """Seconds, or pieces, in one unit."""
        timed = _TIMED.match(self.unit)
        return SECONDS[timed[2]] if timed else COUNTS[self.unit.removeprefix("USD/")]

    @property
    def usd_per_hour(self) -> Decimal | None:
        """The first price as USD per hour of one GPU, GiB, instance, ...; None for counted units."""
        return self.first * 3600 / self.divisor if _TIMED.match(self.unit) else None

    def usd(self, quantity: Decimal, *, already: Decimal = Decimal(0)) -> Decimal:
        """
        The price of `quantity` (seconds of one unit, or pieces) after `already` in the same month.

        Tier limits are in the unit itself, so that they read as the source prints them (GB-s for Lambda).
        """
        if self.amount is not None:
            return self.amount * quantity / self.divisor
        total, low = Decimal(0), Decimal(0)
        begin, end = already / self.divisor, (already + quantity) / self.divisor
        for tier in self.tiers:
            high = end if tier.up_to is None else min(end, tier.up_to)
            total += tier.amount * max(Decimal(0), high - max(begin, low))
            low = tier.up_to if tier.up_to is not None else low
        return total


class IdleTimeout(_Table):
    """
    Seconds an instance is kept after its last request.

    Args:
        best, low, high: the default, and its range where defaults differ or the platform only says "up to".
        promised: whether a configured time-out is kept to; where not, the range stays around it.
    """

    best: Amount
    low: Amount | None = None
    high: Amount | None = None
    promised: bool = True

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not self.bounds[0] <= self.best <= self.bounds[1]:
            raise ValueError("low, best and high must be in order")
        return self

    @property
    def bounds(self) -> tuple[Decimal, Decimal]:
        return (self.best if self.low is None else self.low, self.best if self.high is None else self.high)


class PriceRow(_Table):
    """
    A row of the book.

    Args:
        system: the platform as people name it; several rows share one.
        kind: what it prices: a serverless or a dedicated endpoint, or the tracker's own API calls.
        rates: by what they charge: instance (a whole instance, worker, node or its GPU), vcpu, memory, duration, requests, ...
        absent: rates that exist but could not be read, each with its reason; never written as 0.
        billed: the phases the platform bills; the others cost nothing.
        rounding_s: what one instance's life (or one request) is rounded up to.
        minimums: least vcpu, memory_gib, gpus, instances, seconds that are billed.
        fee_share: management fee as a share of the instance price; discount: a negotiated share off every timed rate.
            A discount does not lower the fee.
        multiplier: factor on every timed rate (region pinning).
        free_tier: per month, by rate name, in the rate's unit.
        idle: the idle time-out where trial.toml gives none.
        resumes: the platform stops and restarts a worker under the same id.
        as_of: the date the source itself speaks for, where it has one.
        closed: the last day of service; hypothetical: such a product never existed at this price.
        provisioned_row: where this row's provisioned-concurrency rates stand.
        aliases: names in other books this row stands in for.
        refresh: how `prices refresh` finds it: `via` and that source's own keys.
    """

    name: str
    system: str
    title: str
    region: str
    currency: Literal["USD"]
    read_on: date
    source: str
    confidence: Literal["H", "M", "L"]
    rule: Rule
    billed: list[str]
    kind: Literal["serverless", "dedicated", "tracker"]
    gpu: str | None = None
    as_of: date | None = None
    rates: dict[str, Rate] = Field(default_factory=dict)
    absent: dict[str, str] = Field(default_factory=dict)
    rounding_s: Amount = Decimal(0)
    minimums: dict[str, Amount] = Field(default_factory=dict)
    fee_share: Amount = Decimal(0)
    discount: Amount = Decimal(0)
    multiplier: Amount = Decimal(1)
    free_tier: dict[str, Amount] = Field(default_factory=dict)
    idle: IdleTimeout | None = None
    resumes: bool = False
    closed: date | None = None
    hypothetical: bool = False
    provisioned_row: str | None = None
    aliases: list[str] = Field(default_factory=list)
    refresh: dict[str, Any] = Field(default_factory=dict)
    note: str = ""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        unknown = [p for p in self.billed if p not in PHASES]
        if unknown:
            raise ValueError(f"billed phase {unknown[0]!r} is not one of {', '.join(PHASES)}")
        if not self.billed and self.closed is None:
            raise ValueError("`billed` names no phase")
        both = sorted(set(self.rates) & set(self.absent))
        if both:
            raise ValueError(f"rate {both[0]!r} is given and absent at once")
        missing = [rate for rate in RULES[self.rule] if rate not in self.rates and rate not in self.absent]
        if missing:
            raise ValueError(f"rule {self.rule} needs the rate {missing[0]!r}: give it, or its reason under `absent`")
        if self.discount >= 1:
            raise ValueError("discount is a share below 1")
        return self

    @property
    def factor(self) -> Decimal:
        """What every timed rate is multiplied by."""
        return self.multiplier * (1 - self.discount)

    @property
    def priceable(self) -> bool:
        return self.closed is None and not any(rate in self.absent for rate in RULES[self.rule])
