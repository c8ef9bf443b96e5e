"""The model against the bill, per day and phase: the residual, whether it drifts, and which phase could explain it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
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


def billed_by_day(
    usage: Iterable[UsageBucket], calendar: Calendar, *, asked: Collection[date] | None = None
) -> dict[date, dict[str, Decimal]]:
    """
    The provider's bill per local day and kind; days it says nothing about are absent, not 0.

    Bills are sparse: an hour without charges has no bucket, so a gap inside what is covered is 0. A bucket that crosses local
    midnight (UTC days in another zone) is shared out by time.

    Args:
        asked: days whose buckets were asked for as local days (the billing API): known once one begins in them and all are final.
            Default: an export, which covers whole UTC days from its first charge to its last; local days within are known.
    """
    buckets = [b for b in usage if b.billed_usd]
    billed: dict[date, dict[str, Decimal]] = defaultdict(dict)
    for bucket in buckets:
        for day, share in _shares(bucket, calendar):
            for kind, usd in bucket.billed_usd.items():
                billed[day][kind] = billed[day].get(kind, Decimal(0)) + usd * share
    if not buckets:
        return {}
    unfinished = {day for b in buckets if not b.final for day, _ in _shares(b, calendar)}
    if asked is None:
        first, last = min(b.start for b in buckets), max(b.end for b in buckets)
        begin, end = _utc_day(first), _utc_day(last - timedelta(microseconds=1)) + timedelta(days=1)
        known = {day for day in calendar if begin <= calendar.window(day).start and calendar.window(day).end <= end}
    else:
        known = set(asked) & {calendar.day_of(b.start) for b in buckets}
    return {day: dict(billed.get(day, {})) for day in sorted(known - unfinished)}


def _shares(bucket: UsageBucket, calendar: Calendar) -> Iterator[tuple[date, Decimal]]:
    """The local days a bucket touches, with the share of its time in each."""
    length = bucket.end - bucket.start
    day = calendar.day_of(bucket.start)
    while (window := calendar.window(day)).start < bucket.end:
        overlap = min(bucket.end, window.end) - max(bucket.start, window.start)
        yield day, Decimal(overlap // timedelta(microseconds=1)) / Decimal(length // timedelta(microseconds=1))
        day += timedelta(days=1)


def _utc_day(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def reconcile(cost: EndpointCost, *, tolerance: float, bill: Mapping[date, Mapping[str, Decimal]] | None = None) -> Reconciliation:
    """
    One endpoint's modelled days against its bill.

    Args:
        tolerance: of |residual| / billed over all days.
        bill: per local day and kind, from a billing export (analysis.costing.focus); default: the bill the costs carry.
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
