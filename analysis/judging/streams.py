"""Streams of a production trace, kept as what a verdict sees of them: on which day each request came, the coldest first."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from analysis.judging.scenarios import Ints

FILE = Path(__file__).with_name("streams.txt")
DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Stream:
    """
    Every request of one stream on whole days.

    Args:
        days: observed.
        day: of each request, from 0; requests in the order of how long the newest idle worker had been idle, longest first, those that met
            none before all. An idle time-out cuts this order in two: cold before it, warm behind.
    """

    name: str
    days: int
    day: Ints

    @classmethod
    def of_ages(cls, name: str, *, idle_us: Ints, day: Ints, days: int) -> Stream:
        """From analysis.replaying.identity: how long the newest idle worker had been idle at each request."""
        return cls(name=name, days=days, day=day[np.argsort(-idle_us, kind="stable")])

    @property
    def requests(self) -> Ints:
        """Per day."""
        return np.bincount(self.day, minlength=self.days)

    def cold_hits(self, rate: float) -> Ints:
        """Per day, at the idle time-out that makes just this share of all requests cold."""
        return np.bincount(self.day[: round(rate * len(self.day))], minlength=self.days)

    def line(self) -> str:
        """Name, days, and a digit of base 36 per request."""
        return f"{self.name} {self.days} {''.join(DIGITS[d] for d in self.day)}"

    @classmethod
    def parse(cls, line: str) -> Stream:
        """
        The inverse of `line`.

        Raises:
            ValueError: not such a line, or a request on a day past the last.
        """
        name, days, digits = line.split()
        day = np.array([int(digit, 36) for digit in digits], dtype=np.int64)
        if day.max() >= int(days):
            raise ValueError(f"stream {name}: a request on day {day.max()} of {days}, counted from 0")
        return cls(name=name, days=int(days), day=day)


def recorded() -> list[Stream]:
    """The streams of FILE; where they come from is told at its top."""
    lines = FILE.read_text(encoding="ascii").splitlines()
    return [Stream.parse(line) for line in lines if not line.startswith("#")]
