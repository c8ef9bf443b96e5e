"""Which days a collection has to read: those that are complete and missing, or young enough for late events."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, datetime, timedelta
from itertools import pairwise

from trial.calendar import Calendar


def due_days(calendar: Calendar, collected: Collection[date], now: datetime, *, watermark: timedelta, lookback: timedelta) -> list[date]:
    """
    Args:
        collected: the days the store has.
        watermark: a day is read only when it ended at least this long ago, since the last lines lag.
        lookback: days that ended this recently are read again, since events arrive late.
    """
    ended = calendar.complete_days(now - watermark)
    return [day for day in ended if day not in collected or calendar.window(day).end > now - lookback]


def runs(days: list[date]) -> list[tuple[date, date]]:
    """Ascending days as (first, last) of each unbroken run."""
    if not days:
        return []
    breaks = [i for i, (a, b) in enumerate(pairwise(days), start=1) if b - a > timedelta(days=1)]
    edges = [0, *breaks, len(days)]
    return [(days[a], days[b - 1]) for a, b in pairwise(edges)]
