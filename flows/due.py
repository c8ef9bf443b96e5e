"""Which days a collection has to read: those that are complete and missing, or young enough for late events."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import date, datetime, timedelta
from itertools import pairwise

from trial.calendar import Calendar

# How far apart the runs of a schedule lie: the last look-back comes so long before its end, at most.
_APART = timedelta(days=1)


def due_days(
    calendar: Calendar,
    collected: Collection[date],
    now: datetime,
    *,
    watermark: timedelta,
    lookback: timedelta,
    pulled: Mapping[date, datetime] | None = None,
) -> list[date]:
    """
    Args:
        collected: the days the store has.
        watermark: a day is read only when it ended at least this long ago, since the last lines lag.
        lookback: days that ended this recently are read again, since events arrive late.
        pulled: when each day was last read. One whose look-back a daily schedule would have made, and which has not been read
            since, is due however long ago it ended; a day of which nothing is known is taken as settled.
    """

    def settled(day: date) -> bool:
        end, last = calendar.window(day).end, (pulled or {}).get(day)
        return end <= now - lookback and (last is None or last >= end + max(timedelta(0), lookback - _APART))

    return [day for day in calendar.complete_days(now - watermark) if day not in collected or not settled(day)]


def runs(days: list[date]) -> list[tuple[date, date]]:
    """Ascending days as (first, last) of each unbroken run."""
    if not days:
        return []
    breaks = [i for i, (a, b) in enumerate(pairwise(days), start=1) if b - a > timedelta(days=1)]
    edges = [0, *breaks, len(days)]
    return [(days[a], days[b - 1]) for a, b in pairwise(edges)]
