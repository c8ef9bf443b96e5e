"""The model against the bill, per day and phase: the residual, whether it drifts, and which phase could explain it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from trial.calendar import Calendar
from trial.records import UsageBucket
from trial.results import EndpointCost

# What the model prices at all, by the bill's own words; storage and fees stand beside it and are named apart.
NOT_MODELLED = frozenset(("disk", "storage", "network", "egress", "tax", "support"))


@dataclass(frozen=True, slots=True, kw_only=True)
class DayResidual:
    """
    Args:
        modelled, low, high: ours; billed: theirs, without the kinds that are not modelled.
        other: billed for what is not modelled.
    """

    day: date
    modelled: Decimal
    low: Decimal
    high: Decimal
    billed: Decimal
    other: Decimal

    @property
    def usd(self) -> Decimal:
        """Billed minus modelled."""
        return self.billed - self.modelled

    @property
    def explained(self) -> bool:
        """Whether the bill lies within the model's own uncertainty."""
        return self.low <= self.billed <= self.high


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciliation:
    """
    Args:
        share: residual / billed over all billed days; None without a bill.
        trend_usd_per_day: least-squares slope of the daily residual; None below three days.
        within_tolerance: None without a bill.
        culprit: the phase that the daily residuals go with best, while they are out of tolerance; growth: by what share it would
            have to grow (or shrink, below 0) to explain them.
        sentence: what a report prints.
    """

    endpoint: str
    days: tuple[DayResidual, ...]
    share: float | None
    trend_usd_per_day: float | None
    tolerance: float
    within_tolerance: bool | None
    culprit: str | None
    growth: float | None
    sentence: str

    @property
    def residual_usd(self) -> Decimal:
        return sum((d.usd for d in self.days), Decimal(0))

    @property
    def billed_usd(self) -> Decimal:
        return sum((d.billed for d in self.days), Decimal(0))


def billed_by_day(usage: Iterable[UsageBucket], calendar: Calendar) -> dict[date, dict[str, Decimal]]:
    """
    The provider's bill per local day and kind; days that no final bucket touches are absent, not 0.

    A bucket that crosses local midnight (UTC days in another zone) is shared out by time. A day is given only when final
    buckets cover all of it.
    """
    covered: dict[date, timedelta] = defaultdict(timedelta)
    billed: dict[date, dict[str, Decimal]] = defaultdict(dict)
    for bucket in usage:
        if not bucket.billed_usd or not bucket.final:
            continue
        length = bucket.end - bucket.start
        day = calendar.day_of(bucket.start)
        while (window := calendar.window(day)).start < bucket.end:
            overlap = min(bucket.end, window.end) - max(bucket.start, window.start)
            share = Decimal(overlap // timedelta(microseconds=1)) / Decimal(length // timedelta(microseconds=1))
            covered[day] += overlap
            for kind, usd in bucket.billed_usd.items():
                billed[day][kind] = billed[day].get(kind, Decimal(0)) + usd * share
            day += timedelta(days=1)
    return {
        day: dict(kinds) for day, kinds in sorted(billed.items()) if covered[day] >= calendar.window(day).end - calendar.window(day).start
    }


def reconcile(cost: EndpointCost, *, tolerance: float, bill: Mapping[date, Mapping[str, Decimal]] | None = None) -> Reconciliation:
    """
    One endpoint's modelled days against its bill.

    Args:
        tolerance: of |residual| / billed over all days.
        bill: per local day and kind, from a billing export (analysis.focus); default: the bill the costs carry.
    """
    days = []
    for day in cost.days:
        kinds = bill.get(day.day) if bill is not None else day.billed_usd
        if kinds is None:
            continue
        other = sum((usd for kind, usd in kinds.items() if kind.lower() in NOT_MODELLED), Decimal(0))
        total = sum(kinds.values(), Decimal(0))
        days.append(DayResidual(day=day.day, modelled=day.total_usd, low=day.low, high=day.high, billed=total - other, other=other))
    billed, modelled = (sum((getattr(d, name) for d in days), Decimal(0)) for name in ("billed", "modelled"))
    share = float((billed - modelled) / billed) if billed else (None if billed == modelled else 1.0)
    within = None if not days else abs(share or 0.0) <= tolerance
    culprit, growth = _explains(cost, days) if within is False else (None, None)
    return Reconciliation(
        endpoint=cost.endpoint,
        days=tuple(days),
        share=share if days else None,
        trend_usd_per_day=_slope([float(d.usd) for d in days]),
        tolerance=tolerance,
        within_tolerance=within,
        culprit=culprit,
        growth=growth,
        sentence=_sentence(cost.endpoint, days, billed, modelled, tolerance, culprit, growth),
    )


def _explains(cost: EndpointCost, days: Sequence[DayResidual]) -> tuple[str | None, float | None]:
    """
    The phase whose daily size the residual follows: least squares through the origin, the least squares left over win.

    A phase can grow at will and shrink to nothing, never below. On few days or ties start and idle come first: those are inferred.
    """
    by_day = {d.day: d.usd for d in cost.days}
    residuals = [float(d.usd) for d in days]
    found: list[tuple[float, bool, str, float]] = []
    for phase in sorted({p for d in days for p in by_day[d.day]}):
        sizes = [float(by_day[d.day].get(phase, 0)) for d in days]
        square = sum(x * x for x in sizes)
        if square == 0:
            continue
        growth = max(-1.0, sum(x * y for x, y in zip(sizes, residuals, strict=True)) / square)
        left = sum((y - growth * x) ** 2 for x, y in zip(sizes, residuals, strict=True))
        found.append((round(left, 12), phase not in ("start", "idle"), phase, growth))
    _, _, phase, growth = min(found, default=(0.0, False, "", 0.0))
    return (phase, growth) if found else (None, None)


def _slope(values: Sequence[float]) -> float | None:
    n = len(values)
    if n < 3:
        return None
    middle, mean = (n - 1) / 2, sum(values) / n
    return sum((i - middle) * (v - mean) for i, v in enumerate(values)) / sum((i - middle) ** 2 for i in range(n))


def _sentence(
    endpoint: str,
    days: Sequence[DayResidual],
    billed: Decimal,
    modelled: Decimal,
    tolerance: float,
    culprit: str | None,
    growth: float | None,
) -> str:
    if not days:
        return f"{endpoint}: no bill to compare with."
    if not billed:
        return f"{endpoint}: billed nothing over {len(days)} days, modelled ${modelled:.2f}."
    share = (billed - modelled) / billed
    side = "less" if share > 0 else "more"
    text = f"{endpoint}: billed ${billed:.2f} over {len(days)} days, modelled ${modelled:.2f}, {abs(share):.1%} {side} than billed"
    inside = sum(d.explained for d in days)
    text += f"; {inside} of {len(days)} days lie within the model's own bounds"
    if culprit is not None and growth is not None:
        text += (
            f"; beyond the tolerance of {tolerance:.0%}: {abs(growth):.0%} {'more' if growth > 0 else 'less'} {culprit} would explain it"
        )
    return f"{text}."
