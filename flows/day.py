"""One endpoint's day from raw events to a stored summary: parse, account, assemble, expect, store, summarise."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from itertools import islice
from typing import Any

import pyarrow as pa

from analysis.summary import Summariser
from collectors.protocol import Collector
from expectations import invocations as expect_invocations
from expectations.result import SuiteResult, add
from flows import garbage
from flows.reading import Reader, text_of
from trial import redaction, schema
from trial.calendar import Calendar
from trial.errors import StoreError
from trial.records import Incomplete, Instance, Invocation, UsageBucket
from trial.store import DayWriter, Store
from trial.summary import DaySummary

BATCH = 50_000
# Their raw text costs another look at the raw store, so it is fetched for many at once.
QUARANTINE_BATCH = 20_000
RAW_TEXT_LINES = 20
RAW_TEXT_CHARS = 16_000
# How often another collection may get in between before this one gives up.
TRIES = 5
_WORD = re.compile(r"[\w-]+")


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

    Where another collection changes the raw events meanwhile it starts again: what is stored last is never of older events.

    Args:
        usage: the provider's buckets of the day; None keeps those stored before.
        when: the moment to note in the store's chain.

    Raises:
        StoreError, LedgerError, CheckError: nothing of the day was changed.
    """
    if usage is None:
        before = store.manifest(endpoint.name, day)
        usage = before.usage if before else ()
    for _ in range(TRIES):
        reader = Reader(store, redaction.reading(collector), endpoint, day, calendar)
        try:
            with garbage.held_back(), store.day_writer(endpoint.name, day) as writer:
                summary, validation = _write(writer, reader, collector, endpoint, day, calendar, slo_ms=slo_ms, usage=usage, check=check)
                raw = reader.names()
                stands = writer.commit(summary, raw=raw, usage=usage, validation=validation, when=when, current=reader.is_current)
            if stands is not None:
                return summary
        except (FileNotFoundError, StoreError):
            if reader.is_current():
                raise
    raise StoreError(
        "its raw events change faster than they can be read",
        where=f"{endpoint.name}, {day}",
        do="Another collection is at work; run again when it has ended",
    )


def _write(
    writer: DayWriter,
    reader: Reader,
    collector: Collector,
    endpoint: Any,
    day: date,
    calendar: Calendar,
    *,
    slo_ms: float,
    usage: tuple[UsageBucket, ...],
    check: Callable[[pa.Table], SuiteResult],
) -> tuple[DaySummary, dict[str, Any]]:
    """Drafts the day's tables; its summary, and what the expectations say."""
    summariser = Summariser(endpoint=endpoint.name, platform=endpoint.platform, day=day, slo_ms=slo_ms)
    results: list[SuiteResult] = []
    counts = _Counts()
    quarantine = _Quarantine(writer, reader)
    facts = reader.facts(on_rejected=lambda rows: writer.add("quarantine", rows))
    for rows in _batches(_of_day(collector.assemble(facts, endpoint, calendar), day, calendar, counts)):
        table = schema.invocations_table(rows)
        result = check(table)
        results.append(result)
        kept = quarantine.sift(table, result)
        writer.add("invocations", kept)
        summariser.add(kept)
    quarantine.flush()
    writer.add("instances", schema.instances_table(counts.instances))
    summary = summariser.close(
        ledgers=reader.ledgers(),
        incomplete=counts.incomplete,
        quarantined=quarantine.count,
        other_requests=reader.ignored(collector.COUNTED_BY_PROVIDER),
        provider_requests=_provider_requests(usage),
    )
    return summary, add(results, suite=expect_invocations.SUITE)


@dataclass(slots=True)
class _Counts:
    incomplete: int = 0
    instances: list[Instance] = field(default_factory=list)


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


class _Quarantine:
    """Takes the rows that break a critical rule, with the rules' names and their raw text."""

    def __init__(self, writer: DayWriter, reader: Reader) -> None:
        self._writer, self._reader = writer, reader
        self._waiting: list[tuple[pa.Table, list[list[str]]]] = []
        self.count = 0

    def sift(self, table: pa.Table, result: SuiteResult) -> pa.Table:
        """The rows that break no critical rule; the others are kept back."""
        if not result.broken_rows:
            return table
        broken = sorted(result.broken_rows)
        self._waiting.append((table.take(broken), [list(result.broken_rows[i]) for i in broken]))
        self.count += len(broken)
        if sum(rows.num_rows for rows, _ in self._waiting) >= QUARANTINE_BATCH:
            self.flush()
        return table.filter(pa.array([i not in result.broken_rows for i in range(table.num_rows)], type=pa.bool_()))

    def flush(self) -> None:
        texts = _raw_texts(self._reader, {r for rows, _ in self._waiting for r in rows["request_id"].to_pylist() if r})
        for rows, rules in self._waiting:
            columns = list(rows.columns)
            columns.append(pa.array(rules, type=pa.list_(pa.string())))
            columns.append(pa.array([texts.get(r) for r in rows["request_id"].to_pylist()], type=pa.string()))
            self._writer.add("quarantine", pa.Table.from_arrays(columns, schema=schema.QUARANTINE))
        self._waiting.clear()


def _raw_texts(reader: Reader, wanted: set[str]) -> dict[str, str]:
    """The raw lines that name a request, joined."""
    words = {request_id for request_id in wanted if _WORD.fullmatch(request_id)}
    odd = wanted - words
    found: dict[str, list[str]] = {}
    for event in reader.events() if wanted else ():
        text = text_of(event)
        for request_id in [*(words.intersection(_WORD.findall(text))), *(o for o in odd if o in text)]:
            if len(found.setdefault(request_id, [])) < RAW_TEXT_LINES:
                found[request_id].append(text)
    return {request_id: "\n".join(lines)[:RAW_TEXT_CHARS] for request_id, lines in found.items()}


def _provider_requests(usage: tuple[UsageBucket, ...]) -> int | None:
    counted = [bucket.requests for bucket in usage if bucket.requests is not None]
    return sum(counted) if counted else None
