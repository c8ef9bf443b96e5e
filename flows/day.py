"""One endpoint's day from raw events to a stored summary: parse, account, assemble, expect, store, summarise."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from itertools import islice
from typing import Any

import pyarrow as pa

from analysis.summary import Summariser
from collectors.protocol import Collector, Fact
from expectations import invocations as expect_invocations
from expectations.result import SuiteResult, add
from flows.pull import TAIL
from trial import raw, schema
from trial.calendar import Calendar
from trial.ledger import Ledger, Tally
from trial.records import Ignored, Incomplete, Instance, Invocation, RawEvent, Rejected, UsageBucket
from trial.store import DayWriter, Store
from trial.summary import DaySummary

BATCH = 50_000
REJECTED_BATCH = 1000
RAW_TEXT_LINES = 20
RAW_TEXT_CHARS = 16_000


def process(
    store: Store,
    collector: Collector,
    endpoint: Any,
    day: date,
    calendar: Calendar,
    *,
    slo_ms: float,
    usage: tuple[UsageBucket, ...] | None,
    when: datetime | None = None,
    check: Callable[[pa.Table], SuiteResult] = expect_invocations.check,
) -> DaySummary:
    """
    Computes the day from the raw store alone and replaces what was stored of it.

    Args:
        usage: the provider's buckets of the day; None keeps those stored before.
        when: the moment to note in the store's chain.

    Raises:
        StoreError, LedgerError, CheckError: nothing of the day was changed.
    """
    if usage is None:
        before = store.manifest(endpoint.name, day)
        usage = before.usage if before else ()
    summariser = Summariser(endpoint=endpoint.name, platform=endpoint.platform, day=day, slo_ms=slo_ms)
    results: list[SuiteResult] = []
    with store.day_writer(endpoint.name, day) as writer:
        counts = _Counts()
        reader = _Reader(store, collector, endpoint, day, calendar, on_rejected=lambda rows: writer.add("quarantine", rows))
        for rows in _batches(_of_day(collector.assemble(reader.facts(), endpoint, calendar), day, calendar, counts)):
            table = schema.invocations_table(rows)
            result = check(table)
            results.append(result)
            kept = _quarantine(table, result, writer, reader, counts)
            writer.add("invocations", kept)
            summariser.add(kept)
        writer.add("instances", schema.instances_table(counts.instances))
        reader.flush_rejected()
        summary = summariser.close(
            ledgers=reader.ledgers(),
            incomplete=counts.incomplete,
            quarantined=counts.quarantined,
            other_requests=reader.ignored(collector.COUNTED_BY_PROVIDER),
            provider_requests=_provider_requests(usage),
        )
        validation = add(results, suite=expect_invocations.SUITE)
        writer.commit(summary, raw=reader.names(), usage=usage, validation=validation, when=when)
    return summary


@dataclass(slots=True)
class _Counts:
    incomplete: int = 0
    quarantined: int = 0
    instances: list[Instance] = field(default_factory=list)


class _Reader:
    """Reads the day with its neighbours and keeps the day's account while facts stream through."""

    def __init__(
        self, store: Store, collector: Collector, endpoint: Any, day: date, calendar: Calendar, *, on_rejected: Callable[[pa.Table], None]
    ) -> None:
        self._on_rejected = on_rejected
        self._store, self._collector, self._endpoint, self._day, self._calendar = store, collector, endpoint, day, calendar
        self._window = calendar.window(day)
        self._tallies = {source: self._tally(source) for source in collector.SOURCES}
        self._rejected: list[tuple[RawEvent, Rejected]] = []

    def names(self) -> list[str]:
        return [n for day in self._days() for n in raw.names(self._store.files, endpoint=self._endpoint.name, day=day)]

    def ledgers(self) -> list[Ledger]:
        return [self._tallies[source].close() for source in sorted(self._tallies)]

    def ignored(self, reasons: frozenset[str]) -> int:
        return sum(tally.ignored[reason] for tally in self._tallies.values() for reason in reasons)

    def facts(self) -> Iterator[Fact]:
        for event in self.events():
            outcome = self._collector.parse(event, self._endpoint)
            if event.at in self._window:
                self._account(event, outcome)
            if not isinstance(outcome, (Ignored, Rejected)):
                yield outcome

    def events(self) -> Iterator[RawEvent]:
        """The day before, the day and the hour after, of all sources, in order of (at, stream, event_id)."""
        for day in self._days():
            sources = sorted(
                {n.split("source=", 1)[1].split("/", 1)[0] for n in raw.names(self._store.files, endpoint=self._endpoint.name, day=day)}
            )
            streams = [raw.read(self._store.files, endpoint=self._endpoint.name, day=day, source=source) for source in sources]
            for event in heapq.merge(*streams, key=lambda e: (e.at, e.stream, e.event_id)):
                if event.at >= self._window.end + TAIL:
                    return
                yield event

    def flush_rejected(self) -> None:
        self._on_rejected(_rejected_table(self._rejected, self._endpoint, self._day))
        self._rejected.clear()

    def _days(self) -> list[date]:
        return [self._day + timedelta(days=n) for n in (-1, 0, 1)]

    def _tally(self, source: str) -> Tally:
        return Tally(endpoint=self._endpoint.name, day=self._day, source=source)

    def _account(self, event: RawEvent, outcome: Fact | Ignored | Rejected) -> None:
        tally = self._tallies.setdefault(event.source, self._tally(event.source))
        tally.add_copies(event.copies)
        match outcome:
            case Ignored():
                tally.ignored[outcome.reason] += 1
            case Rejected():
                tally.rejected[outcome.reason] += 1
                self._rejected.append((event, outcome))
                if len(self._rejected) >= REJECTED_BATCH:
                    self.flush_rejected()
            case _:
                tally.used[outcome.kind] += 1


def _of_day(rows: Iterable[Invocation | Incomplete | Instance], day: date, calendar: Calendar, counts: _Counts) -> Iterator[Invocation]:
    window = calendar.window(day)
    for row in rows:
        match row:
            case Invocation():
                if row.day == day:
                    yield row
            case Incomplete():
                counts.incomplete += row.day == day
            case Instance():
                if row.first_seen_at < window.end and row.last_seen_at >= window.start:
                    counts.instances.append(row)


def _batches(rows: Iterator[Invocation]) -> Iterator[list[Invocation]]:
    while batch := list(islice(rows, BATCH)):
        yield batch


def _quarantine(table: pa.Table, result: SuiteResult, writer: DayWriter, reader: _Reader, counts: _Counts) -> pa.Table:
    """Moves the rows that break a critical rule to quarantine, with the rules' names and their raw text; returns the rest."""
    if not result.broken_rows:
        return table
    broken = sorted(result.broken_rows)
    bad = table.take(broken)
    texts = _raw_texts(reader, [r for r in bad["request_id"].to_pylist() if r])
    columns = list(bad.columns)
    columns.append(pa.array([list(result.broken_rows[i]) for i in broken], type=pa.list_(pa.string())))
    columns.append(pa.array([texts.get(r) for r in bad["request_id"].to_pylist()], type=pa.string()))
    writer.add("quarantine", pa.Table.from_arrays(columns, schema=schema.QUARANTINE))
    counts.quarantined += len(broken)
    return table.filter(pa.array([i not in result.broken_rows for i in range(table.num_rows)], type=pa.bool_()))


def _raw_texts(reader: _Reader, request_ids: list[str]) -> dict[str, str]:
    """The raw lines that name a request, joined; a second look at the raw store, paid only when something is broken."""
    wanted = set(request_ids)
    found: dict[str, list[str]] = {}
    for event in reader.events() if wanted else ():
        text = _text(event)
        for request_id in wanted:
            if request_id in text and len(found.setdefault(request_id, [])) < RAW_TEXT_LINES:
                found[request_id].append(text)
    return {request_id: "\n".join(lines)[:RAW_TEXT_CHARS] for request_id, lines in found.items()}


def _rejected_table(rejected: list[tuple[RawEvent, Rejected]], endpoint: Any, day: date) -> pa.Table:
    rows = [
        {
            "platform": endpoint.platform,
            "endpoint": endpoint.name,
            "day": day,
            "started_at": event.at,
            "instance_id": event.stream,
            "rules": [f"rejected: {outcome.reason}" + (f" ({outcome.detail})" if outcome.detail else "")],
            "raw": _text(event),
        }
        for event, outcome in rejected
    ]
    return pa.Table.from_pylist(rows, schema=schema.QUARANTINE)


def _text(event: RawEvent) -> str:
    import json

    text = event.payload if isinstance(event.payload, str) else json.dumps(event.payload, sort_keys=True, default=str)
    # Arrow strings are UTF-8, and a log line may hold lone surrogates.
    return text.encode("utf-8", "backslashreplace").decode()


def _provider_requests(usage: tuple[UsageBucket, ...]) -> int | None:
    counted = [bucket.requests for bucket in usage if bucket.requests is not None]
    return sum(counted) if counted else None
