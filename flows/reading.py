"""A day's raw events with their neighbours', parsed, and the day's account kept while they stream through."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from itertools import chain, islice
from operator import attrgetter
from typing import Any

import pyarrow as pa

from collectors.protocol import Collector, Fact
from flows import shards
from flows.pull import TAIL
from trial import raw, schema
from trial.calendar import Calendar
from trial.ledger import Ledger, Tally
from trial.records import Ignored, RawEvent, Rejected
from trial.store import Store

BATCH = 4096
REJECTED_BATCH = 1000

_ORDER = attrgetter("at", "stream", "event_id")


class Reader:
    """
    Reads the day before, the day and the hour after, as the raw store has them when it is made.

    Args:
        names: the raw files to read, by day, instead of all there are.
        dealt: they are a part's: of the day before they hold only the streams that go on.

    Attributes:
        regions: of the day's facts, by the region their events name; complete when `facts` is.
    """

    def __init__(
        self,
        store: Store,
        collector: Collector,
        endpoint: Any,
        day: date,
        calendar: Calendar,
        *,
        names: shards.Names | None = None,
        dealt: bool = False,
    ) -> None:
        self._files, self._collector, self._endpoint, self._day = store.files, collector, endpoint, day
        self._window = calendar.window(day)
        self._tallies = {source: self._tally(source) for source in collector.SOURCES}
        self._parse = getattr(collector, "parse_batch", None) or self._one_by_one
        self._region_of = getattr(collector, "region_of", None)
        self.regions: Counter[str] = Counter()
        self._streams_apart = getattr(collector, "STREAMS_APART", False) and not dealt
        self._names = names or {day: self._stored(day) for day in self._days()}

    @contextmanager
    def parts(self, *, part_mb: float) -> Iterator[list[shards.Names]]:
        """What the readers of the day's parts are to read; where it is not dealt out, the one part is this reader's own."""
        parts = shards.count(self._files, self._names[self._day], part_mb=part_mb) if self._streams_apart else 1
        if parts == 1:
            yield [self._names]
            return
        with shards.dealt(self._files, self._names, day=self._day, before=self._window.end + TAIL, parts=parts) as shares:
            yield shares

    def names(self) -> list[str]:
        """The raw files it reads, as they were when it was made."""
        return [n for day in self._days() for n in self._names[day]]

    def is_current(self) -> bool:
        """Whether these are still the raw files there are."""
        return all(self._stored(day) == self._names[day] for day in self._days())

    def ledgers(self) -> list[Ledger]:
        return [self._tallies[source].close() for source in sorted(self._tallies)]

    def ignored(self, reasons: frozenset[str]) -> int:
        return sum(tally.ignored[reason] for tally in self._tallies.values() for reason in reasons)

    def facts(self, *, on_rejected: Callable[[pa.Table], None]) -> Iterator[Fact]:
        """
        The facts of everything that bears on the day, which alone is accounted for.

        Where streams stand apart, those of the day before that have ended are passed over: they say nothing of this day.

        Args:
            on_rejected: takes the events that were rejected, as rows of trial.schema.QUARANTINE.
        """
        rejected: list[tuple[RawEvent, Rejected]] = []
        for batch in self._batches(streams=self._going_on() if self._streams_apart else None):
            outcomes = self._parse(batch, self._endpoint)
            if batch[0].at in self._window and batch[-1].at in self._window:
                rejected += self._account(batch, outcomes)
            elif batch[-1].at >= self._window.start and batch[0].at < self._window.end:
                inside = [i for i, event in enumerate(batch) if event.at in self._window]
                rejected += self._account([batch[i] for i in inside], [outcomes[i] for i in inside])
            if len(rejected) >= REJECTED_BATCH:
                on_rejected(_rejected_table(rejected, self._endpoint, self._day))
                rejected.clear()
            yield from [o for o in outcomes if type(o) is not Ignored and type(o) is not Rejected]
        on_rejected(_rejected_table(rejected, self._endpoint, self._day))

    def events(self) -> Iterator[RawEvent]:
        """All events of these days, of all sources, in order of (at, stream, event_id)."""
        return chain.from_iterable(self._batches(streams=None))

    def _batches(self, *, streams: set[str] | None) -> Iterator[list[RawEvent]]:
        end = self._window.end + TAIL
        for day in self._days():
            kept = streams if day < self._day else None
            sources = [
                raw.read_batches(self._files, endpoint=self._endpoint.name, day=day, source=source, streams=kept, stored=stored)
                for source, stored in raw.by_source(self._names[day]).items()
            ]
            for batch in sources[0] if len(sources) == 1 else _merged(sources):
                if batch[-1].at < end:
                    yield batch
                    continue
                last = [event for event in batch if event.at < end]
                if last:
                    yield last
                return

    def _going_on(self) -> set[str]:
        end = self._window.end + TAIL
        return raw.streams_of(self._files, [name for day in self._days()[1:] for name in self._names[day]], before=end)

    def _one_by_one(self, batch: list[RawEvent], endpoint: Any) -> list[Any]:
        return [self._collector.parse(event, endpoint) for event in batch]

    def _days(self) -> list[date]:
        return [self._day + timedelta(days=n) for n in (-1, 0, 1)]

    def _stored(self, day: date) -> list[str]:
        return raw.names(self._files, endpoint=self._endpoint.name, day=day)

    def _tally(self, source: str) -> Tally:
        return Tally(endpoint=self._endpoint.name, day=self._day, source=source)

    def _account(self, batch: list[RawEvent], outcomes: list[Any]) -> list[tuple[RawEvent, Rejected]]:
        """Counts a batch into the ledgers; the events among it that were rejected."""
        sources = {event.source for event in batch}
        for source in sources:
            tally = self._tallies.setdefault(source, self._tally(source))
            if len(sources) == 1:
                tally.add(batch, outcomes)
                continue
            mine = [i for i, event in enumerate(batch) if event.source == source]
            tally.add([batch[i] for i in mine], [outcomes[i] for i in mine])
        if self._region_of:
            self._count_regions(self._region_of, list(zip(batch, outcomes, strict=True)))
        return [(event, outcome) for event, outcome in zip(batch, outcomes, strict=True) if type(outcome) is Rejected]

    def _count_regions(self, region_of: Callable[[RawEvent, Any], str | None], mine: list[tuple[RawEvent, Any]]) -> None:
        found = [
            region_of(event, self._endpoint) for event, outcome in mine if type(outcome) is not Ignored and type(outcome) is not Rejected
        ]
        self.regions.update(region for region in found if region)


def _merged(sources: list[Iterator[list[RawEvent]]]) -> Iterator[list[RawEvent]]:
    events = heapq.merge(*(chain.from_iterable(batches) for batches in sources), key=_ORDER)
    while batch := list(islice(events, BATCH)):
        yield batch


def _rejected_table(rejected: Iterable[tuple[RawEvent, Rejected]], endpoint: Any, day: date) -> pa.Table:
    rows = [
        {
            "platform": endpoint.platform,
            "endpoint": endpoint.name,
            "day": day,
            "started_at": event.at,
            "instance_id": event.stream,
            "rules": [f"rejected: {outcome.reason}" + (f" ({outcome.detail})" if outcome.detail else "")],
            "raw": text_of(event),
        }
        for event, outcome in rejected
    ]
    return pa.Table.from_pylist(rows, schema=schema.QUARANTINE)


def text_of(event: RawEvent) -> str:
    """An event's payload as text that Arrow can hold."""
    import json

    text = event.payload if isinstance(event.payload, str) else json.dumps(event.payload, sort_keys=True, default=str)
    # Arrow strings are UTF-8, and a log line may hold lone surrogates.
    return text.encode("utf-8", "backslashreplace").decode()
