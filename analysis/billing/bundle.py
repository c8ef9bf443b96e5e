"""What one second of one instance costs: its GPU or whole-instance rate with the vCPU and GiB billed beside it."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from analysis.pricing.rows import RULES, PriceRow, Rate
from trial.config import Resources
from trial.errors import ConfigError


def parts(row: PriceRow, resources: Resources, *, idle: bool = False) -> Iterator[tuple[str, Rate, Decimal]]:
    """
    (rate name, rate, how many of its unit one instance is billed for), minimums applied.

    Raises:
        ConfigError: the row bills vCPU or memory and neither trial.toml nor its minimums say how much.
    """
    name = "instance_idle" if idle and "instance_idle" in row.rates else "instance"
    if "instance" in RULES[row.rule]:
        yield name, required(row, name), _gpus(row, resources, required(row, name))
    if "accelerator" in row.rates:
        yield "accelerator", row.rates["accelerator"], _gpus(row, resources, row.rates["accelerator"])
    for name, given, key in (("vcpu", resources.vcpu, "vcpu"), ("memory", resources.memory_gib, "memory_gib")):
        if name in row.rates:
            yield name, row.rates[name], _quantity(row, given, key)


def usd_per_hour(row: PriceRow, resources: Resources) -> Decimal:
    """One running instance, everything billed by time included; for Lambda, one environment that never rests."""
    if row.rule in ("per-invocation", "provisioned-concurrency"):
        rate = required(row, "duration" if row.rule == "per-invocation" else "provisioned")
        return rate.first * memory_gb(row, rate, resources) * 3600 / rate.divisor * row.factor
    timed = sum((rate.first * quantity * 3600 / rate.divisor for _, rate, quantity in parts(row, resources)), Decimal(0))
    return timed * (row.factor + row.multiplier * row.fee_share)


def memory_gb(row: PriceRow, rate: Rate, resources: Resources) -> Decimal:
    """
    GB one environment is billed for: 1 GB is 1,024 MB on Lambda's bill; 1 where the rate is per environment.

    Raises:
        ConfigError: the rate is per GB-second and trial.toml does not give memory_mb.
    """
    if not rate.unit.startswith(("USD/GB-", "USD/GiB-")):
        return Decimal(1)
    if resources.memory_mb is None:
        raise ConfigError(
            "is billed by GB-seconds, and the memory is not given",
            where=f"price row {row.name}",
            do="Set resources = { memory_mb = ... } for the endpoint in trial.toml",
        )
    return Decimal(resources.memory_mb) / 1024


def required(row: PriceRow, name: str) -> Rate:
    """
    A rate of the row.

    Raises:
        ConfigError: the row is closed, or the rate could not be read; with the row's own reason.
    """
    where = f"price row {row.name}"
    if row.closed is not None:
        raise ConfigError(
            f"{row.system} closed on {row.closed}; nothing can be priced with it",
            where=where,
            do="Choose another row: `fortnight prices list`",
        )
    if name in row.absent:
        raise ConfigError(
            f"has no {name} rate: {row.absent[name]}",
            where=where,
            do='Enter the rate in a book of your own, [prices] book = "my-prices.toml"',
        )
    if name not in row.rates:
        raise ConfigError(
            f"has no {name} rate, which this setting is billed by", where=where, do="Choose a row that has it: `fortnight prices list`"
        )
    return row.rates[name]


def request_fees(row: PriceRow, requests: int) -> Decimal:
    """The fee per request, 0 where the row has none."""
    return row.rates["requests"].usd(Decimal(requests)) if "requests" in row.rates else Decimal(0)


def _gpus(row: PriceRow, resources: Resources, rate: Rate) -> Decimal:
    return max(Decimal(resources.gpus), row.minimums.get("gpus", Decimal(1))) if rate.unit.startswith("USD/GPU-") else Decimal(1)


def _quantity(row: PriceRow, given: float | None, key: str) -> Decimal:
    least = row.minimums.get(key)
    if given is None and least is None:
        raise ConfigError(
            f"bills {key} and trial.toml does not say how much",
            where=f"price row {row.name}",
            do=f"Set resources = {{ {key} = ... }} for the endpoint",
        )
    return max(Decimal(str(given)) if given is not None else Decimal(0), least or Decimal(0))
