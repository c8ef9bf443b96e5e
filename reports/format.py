"""Numbers as people read them: units, intervals and sensible digits, in one place."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal

from trial.records import Estimate

NOT_KNOWN = "not known"
NOT_ASKED = "Not recorded for this report."
_NBSP = "\u00a0"
_TIMES = "\u00d7"

DECISIONS: Mapping[str, str] = {
    "stay-serverless": "Stay serverless",
    "evaluate-dedicated": "Evaluate dedicated",
    "not-decided": "Not decided",
}

PLATFORMS: Mapping[str, str] = {
    "aws-lambda": "AWS Lambda",
    "cloud-run": "Cloud Run",
    "runpod": "RunPod",
    "sagemaker": "SageMaker",
    "vertex-ai": "Vertex AI",
    "replicate": "Replicate",
    "export": "exported logs",
}


def percent(share: float | None) -> str:
    """A share in [0, 1] with one digit, two below one per cent."""
    return NOT_KNOWN if share is None else f"{_percent_digits(share)}{_NBSP}%"


def set_share(share: float) -> str:
    """A share somebody chose, such as a threshold: no digits but those it was given with."""
    return f"{share * 100:.6g}{_NBSP}%"


def percent_range(low: float | None, high: float | None) -> str:
    """An interval of shares; one number where both ends print alike."""
    if low is None or high is None:
        return NOT_KNOWN
    a, b = _percent_digits(low), _percent_digits(high)
    return f"{a}{_NBSP}%" if a == b else f"{a} to {b}{_NBSP}%"


def long_run(interval: Estimate) -> str:
    """The interval of the long-run rate; while it is all of [0, 1] it says nothing, and neither does this."""
    return "cannot be said yet" if interval.low <= 0 and interval.high >= 1 else percent_range(interval.low, interval.high)


def estimate(share: Estimate | None) -> str:
    """An estimated share with its interval."""
    if share is None:
        return NOT_KNOWN
    between = percent_range(share.low, share.high)
    return between if share.best is None or "to" not in between else f"{percent(share.best)} ({between})"


def ms(value: float | None) -> str:
    """A duration given in ms, in ms below one second and in seconds above; three significant digits."""
    if value is None:
        return NOT_KNOWN
    if value < 1000:
        return f"0{_NBSP}ms" if value == 0 else f"{value:.1f}{_NBSP}ms" if value < 10 else f"{value:.0f}{_NBSP}ms"
    seconds = value / 1000
    return f"{seconds:.2f}{_NBSP}s" if seconds < 10 else f"{seconds:.1f}{_NBSP}s" if seconds < 100 else f"{seconds:,.0f}{_NBSP}s"


def set_ms(value: float) -> str:
    """A duration somebody chose, such as an SLO: no digits but those it was given with."""
    return f"{value:g}{_NBSP}ms" if value < 1000 else f"{value / 1000:g}{_NBSP}s"


def usd(value: Decimal | float | None) -> str:
    """Dollars: cents where they matter, three significant digits below ten cents, whole dollars from ten thousand."""
    if value is None:
        return NOT_KNOWN
    amount = Decimal(str(value)) if isinstance(value, float) else value
    sign, amount = ("-", -amount) if amount < 0 else ("", amount)
    if amount == 0:
        return "$0"
    if amount < Decimal("0.1"):
        digits = 2 - amount.adjusted()
        return f"{sign}${amount:.{digits}f}"
    return f"{sign}${amount:,.0f}" if amount >= 10_000 else f"{sign}${amount:,.2f}"


def usd_range(low: Decimal, high: Decimal) -> str:
    a, b = usd(low), usd(high)
    return a if a == b else f"{a} to {b}"


def count(value: float | None) -> str:
    if value is None:
        return NOT_KNOWN
    return f"{value:,.0f}" if float(value).is_integer() or abs(value) >= 100 else f"{value:,.1f}"


def ratio(value: float | None) -> str:
    return NOT_KNOWN if value is None else f"{value:.2f}{_TIMES}" if value < 10 else f"{value:,.0f}{_TIMES}"


def day(value: date | None) -> str:
    """A date as "Mon 2 Nov 2026", the year always there."""
    return NOT_KNOWN if value is None else f"{value:%a} {value.day} {value:%b} {value.year}"


def short_day(value: date) -> str:
    return f"{value:%a} {value.day} {value:%b}"


def platform(name: str) -> str:
    return PLATFORMS.get(name, name)


def plural(n: int, one: str, many: str | None = None) -> str:
    return f"{n:,}{_NBSP}{one if n == 1 else many or one + 's'}"


def listed(names: list[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}" if names else ""


def _percent_digits(share: float) -> str:
    value = share * 100
    if value == 0 or value == 100:
        return f"{value:.0f}"
    if abs(value) < 0.005:
        return "under 0.01"
    return (f"{value:.2f}" if abs(value) < 1 else f"{value:.1f}").replace("-", "\u2212")
