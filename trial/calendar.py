"""Local days of the trial's time zone as half-open windows, across daylight saving."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The half-open span [start, end), both aware UTC."""

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        for name, at in (("start", self.start), ("end", self.end)):
            if at.utcoffset() is None:
                raise ValueError(f"window {name} must carry a time zone, got the naive {at!r}")
        if self.end <= self.start:
            raise ValueError(f"window ends at {self.end}, not after its start {self.start}")

    def __contains__(self, at: datetime) -> bool:
        return self.start <= at < self.end

    @property
    def seconds(self) -> float:
        return (self.end - self.start).total_seconds()

    def widened(self, *, before: timedelta = timedelta(0), after: timedelta = timedelta(0)) -> Window:
        return Window(start=self.start - before, end=self.end + after)

    def split(self, parts: int) -> list[Window]:
        """`parts` adjoining windows of equal length that cover this one."""
        step = (self.end - self.start) / parts
        edges = [self.start + step * i for i in range(parts)] + [self.end]
        return [Window(start=a, end=b) for a, b in pairwise(edges)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Calendar:
    """
    The trial's days: `days` local calendar days from `start` in `zone`.

    A local day lasts 23, 24 or 25 hours where the clocks change.
    """

    start: date
    days: int
    zone: ZoneInfo

    def all_days(self) -> list[date]:
        return [self.start + timedelta(days=i) for i in range(self.days)]

    @property
    def end(self) -> date:
        """The first day after the trial."""
        return self.start + timedelta(days=self.days)

    def window(self, day: date) -> Window:
        return Window(start=self._midnight(day), end=self._midnight(day + timedelta(days=1)))

    def day_of(self, at: datetime) -> date:
        return at.astimezone(self.zone).date()

    def number(self, day: date) -> int:
        """1 for the first day of the trial; MLflow's step."""
        return (day - self.start).days + 1

    def complete_days(self, now: datetime) -> list[date]:
        """The trial's days that have ended by `now`."""
        return [day for day in self.all_days() if self.window(day).end <= now]

    def __iter__(self) -> Iterator[date]:
        return iter(self.all_days())

    def _midnight(self, day: date) -> datetime:
        # Where midnight does not exist (a zone that springs forward at 00:00) fold=0 maps it to the instant of the jump.
        return datetime.combine(day, time(), tzinfo=self.zone).astimezone(UTC)
