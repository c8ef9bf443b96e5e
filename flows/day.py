"""One endpoint's day from raw events to a stored summary: parse, account, assemble, expect, store, summarise."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from functools import partial
from itertools import islice
from typing import Any

import pyarrow as pa

from analysis.summary import SPAN, Summariser, united
from collectors.protocol import Collector
from expectations import invocations as expect_invocations
from expectations.result import SuiteResult, add
from flows import garbage, shards
from flows.reading import Reader, text_of
from trial import redaction, schema
from trial.calendar import Calendar
from trial.config import EngineSection
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
    part_mb: float = EngineSection().part_mb,
) -> DaySummary:
    """
    Computes the day from the raw store alone and replaces what was stored of it.

    Where another collection changes the raw events meanwhile it starts again: what is stored last is never of older events.

    Args:
        usage: the provider's buckets of the day; None keeps those stored before.
        when: the moment to note in the store's chain.
        part_mb: [engine] part_mb.

    Raises:
        StoreError, LedgerError, CheckError: nothing of the day was changed.
    """
    if usage is None:
        before = store.manifest(endpoint.name, day)
        usage = before.usage if before else ()
    for _ in range(TRIES):
        reader = Reader(store, redaction.reading(collector), endpoint, day, calendar)
        compute = partial(
            _compute, store=store, collector=collector, endpoint=endpoint, day=day, calendar=calendar, slo_ms=slo_ms, check=check
        )
        try:
            with reader.parts(part_mb=part_mb) as shares:
                parts = shards.spread(partial(compute, dealt=len(shares) > 1), shares)
            summary = _united(store, parts, usage=usage)
            with store.day_writer(endpoint.name, day) as writer:
                stands = writer.commit(
                    summary,
                    raw=reader.names(),
                    usage=usage,
                    validation=add([r for part in parts for r in part.results], suite=expect_invocations.SUITE),
                    when=when,
                    current=reader.is_current,
                    published=_files(parts),
                )
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """A day, or a part of it, as far as it can be told alone: its files are written and no manifest names them yet."""

    summary: DaySummary
    first: tuple[int, bool] | None
    results: list[SuiteResult]
    files: Mapping[str, tuple[str, ...]]


def _compute(
    names: shards.Names,
    *,
    dealt: bool,
    store: Store,
    collector: Collector,
    endpoint: Any,
    day: date,
    calendar: Calendar,
    slo_ms: float,
    check: Callable[[pa.Table], SuiteResult],
) -> _Part:
    summariser = Summariser(endpoint=endpoint.name, platform=endpoint.platform, day=day, slo_ms=slo_ms)
    results: list[SuiteResult] = []
    counts = _Counts()
    with garbage.held_back(), store.day_writer(endpoint.name, day) as writer:
        reader = Reader(store, redaction.reading(collector), endpoint, day, calendar, names=names, dealt=dealt)
        quarantine = _Quarantine(writer, reader)
        facts = reader.facts(on_rejected=lambda rows: writer.add("quarantine", rows))
        for rows in _batches(_of_day(collector.assemble(facts, endpoint, calendar), day, calendar, counts)):
            table = schema.invocations_table(rows)
            result = check(table)
            results.append(replace(result, broken_rows={}))
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
            regions=reader.regions,
        )
        return _Part(summary=summary, first=summariser.first, results=results, files=writer.publish())


def _united(store: Store, parts: list[_Part], *, usage: tuple[UsageBucket, ...]) -> DaySummary:
    if len(parts) == 1:
        return replace(parts[0].summary, provider_requests=_provider_requests(usage))
    batches = (b for part in parts for file in part.files.get("invocations", ()) for b in store.read_parquet(file, columns=list(SPAN)))
    tables = (pa.Table.from_batches([batch]) for batch in batches)
    return united([(part.summary, part.first) for part in parts], spans=tables, provider_requests=_provider_requests(usage))


def _files(parts: list[_Part]) -> dict[str, tuple[str, ...]]:
    tables = {table for part in parts for table in part.files}
    return {table: tuple(file for part in parts for file in part.files.get(table, ())) for table in sorted(tables)}


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
