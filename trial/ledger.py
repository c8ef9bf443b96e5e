"""
The line ledger: every event a source returned ends in exactly one place, and the sum is enforced.

    read = used + ignored + duplicate + rejected

An event is counted once, on the local day of its own timestamp. `copies` is the most often an identity came back within
one pull, so reading a day again changes nothing, while an event delivered twice in a pull counts one duplicate.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from operator import attrgetter
from typing import Any

from trial.errors import LedgerError
from trial.records import Ignored, RawEvent, Rejected


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """
    The account of one endpoint, day and source.

    Args:
        read: events returned for that day.
        used, ignored, rejected: counts by kind or reason.
        duplicate: further copies of an identity already counted.

    Raises:
        LedgerError: the parts do not add up to what was read.
    """

    endpoint: str
    day: date
    source: str
    read: int
    duplicate: int = 0
    used: Mapping[str, int] = field(default_factory=dict)
    ignored: Mapping[str, int] = field(default_factory=dict)
    rejected: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        parts = self.used_total + self.ignored_total + self.duplicate + self.rejected_total
        if parts != self.read or min((self.read, self.duplicate, *self.used.values(), *self.ignored.values(), *self.rejected.values())) < 0:
            raise LedgerError(
                f"{self.read} events read, but {self.used_total} used + {self.ignored_total} ignored + {self.duplicate} duplicate"
                f" + {self.rejected_total} rejected = {parts}",
                where=f"ledger of {self.endpoint}, {self.day}, {self.source}",
                do="Please report this: it is a bug in Fortnight, and the raw events are kept",
            )

    def __add__(self, other: Ledger) -> Ledger:
        """
        The account of two parts of one day and source.

        Raises:
            ValueError: another endpoint, day or source.
        """
        if (self.endpoint, self.day, self.source) != (other.endpoint, other.day, other.source):
            raise ValueError(f"ledgers of {self.source}, {self.day} and {other.source}, {other.day} do not add up")
        return replace(
            self,
            read=self.read + other.read,
            duplicate=self.duplicate + other.duplicate,
            used=_added(self.used, other.used),
            ignored=_added(self.ignored, other.ignored),
            rejected=_added(self.rejected, other.rejected),
        )

    @property
    def used_total(self) -> int:
        return sum(self.used.values())

    @property
    def ignored_total(self) -> int:
        return sum(self.ignored.values())

    @property
    def rejected_total(self) -> int:
        return sum(self.rejected.values())

    def totals(self) -> dict[str, int]:
        """The five numbers `status --json` shows."""
        return {
            "read": self.read,
            "used": self.used_total,
            "ignored": self.ignored_total,
            "duplicate": self.duplicate,
            "rejected": self.rejected_total,
        }


def _added(mine: Mapping[str, int], theirs: Mapping[str, int]) -> dict[str, int]:
    return {key: mine.get(key, 0) + theirs.get(key, 0) for key in sorted({*mine, *theirs})}


_KIND = attrgetter("kind")


class Tally:
    """Counts outcomes as events stream by, then closes into a Ledger. Mutable on purpose, and never stored."""

    def __init__(self, *, endpoint: str, day: date, source: str) -> None:
        self.endpoint, self.day, self.source = endpoint, day, source
        self.read = 0
        self.duplicate = 0
        self.used: Counter[str] = Counter()
        self.ignored: Counter[str] = Counter()
        self.rejected: Counter[str] = Counter()

    def add(self, events: Sequence[RawEvent], outcomes: Sequence[Any]) -> None:
        """
        Distinct events and what each was judged to be: a fact, Ignored or Rejected.

        Of an event that came back several times the first copy is judged, the rest are duplicates. Facts whose class is of one kind are
        counted by class, since a day has millions.
        """
        copies = sum([event.copies for event in events])
        self.read += copies
        self.duplicate += copies - len(events)
        for kind, count in Counter(map(type, outcomes)).items():
            if kind is Ignored:
                self.ignored.update([o.reason for o in outcomes if type(o) is Ignored])
            elif kind is Rejected:
                self.rejected.update([o.reason for o in outcomes if type(o) is Rejected])
            elif isinstance(name := getattr(kind, "kind", None), str):
                self.used[name] += count
            else:
                self.used.update(map(_KIND, [o for o in outcomes if type(o) is kind]))

    def close(self) -> Ledger:
        return Ledger(
            endpoint=self.endpoint,
            day=self.day,
            source=self.source,
            read=self.read,
            duplicate=self.duplicate,
            used=dict(sorted(self.used.items())),
            ignored=dict(sorted(self.ignored.items())),
            rejected=dict(sorted(self.rejected.items())),
        )
