"""
Raw events as fetched, kept before they are parsed: zstd NDJSON, sorted, content-addressed.

A day's file is the union of all pulls, one line per identity, so reading a day again, in any order, with duplicates or
late events, ends in the same bytes. Memory stays flat: a pull is sorted in runs on disk, and the runs are merged.

    raw/endpoint=E/day=D/source=S/<sha256>.ndjson.zst
    {"at": microseconds, "stream": ..., "id": ..., "in": microseconds or null, "payload": text or object, "n": copies}
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from collections.abc import Set as AbstractSet
from datetime import date, datetime, timedelta
from itertools import count, takewhile
from pathlib import Path

import pyarrow as pa

from trial import lease, raw_lines
from trial.files import Files, sha256_of
from trial.raw_lines import EPOCH, Block
from trial.records import RawEvent

RUN_EVENTS = 50_000
RUN_BYTES = 32 << 20
# Runs are read in small pieces, since all of them are open at once, and no more than this many.
RUN_PIECE = 1 << 16
FAN_IN = 64
_MINUTE_US = 60_000_000
_MICROSECOND = timedelta(microseconds=1)
_BEGIN = re.compile(rb'\{"at":(-?\d+),')
_STREAM = re.compile(rb'\{"at":-?\d+,"stream":"([^"\\\n]*)"')

Place = tuple[date, str]


def merge(files: Files, *, endpoint: str, events: Iterable[RawEvent], day_of: Callable[[datetime], date]) -> dict[Place, int]:
    """
    Adds one pull's events, each on the local day of its own timestamp and under its source.

    Copies of an identity add up within the pull; against what is stored the larger count stands.

    Returns:
        per day and source the pull touched, how many identities were new.
    """
    with files.scratch() as scratch:
        runs = _sorted_runs(events, day_of, scratch)
        if not runs:
            return {}
        with lease.held(files, f"raw-{endpoint}"):
            return {place: _merge_day(files, scratch, endpoint, *place, paths) for place, paths in sorted(runs.items())}


def read(files: Files, *, endpoint: str, day: date, source: str) -> Iterator[RawEvent]:
    """
    The stored events of a day in order of (at, stream, event_id); nothing where there are none.

    Raises:
        StoreError: a stored file is damaged.
    """
    for batch in read_batches(files, endpoint=endpoint, day=day, source=source):
        yield from batch


def read_batches(
    files: Files, *, endpoint: str, day: date, source: str, streams: AbstractSet[str] | None = None, stored: list[str] | None = None
) -> Iterator[list[RawEvent]]:
    """
    As `read`, some thousands of events at a time.

    Args:
        streams: leave out the others' events, which costs much less than to read and drop them.
        stored: what `names` gave for the day and source, where it was asked already.
    """
    if stored is None:
        stored = names(files, endpoint=endpoint, day=day, source=source)
    if len(stored) == 1 and streams is None:
        for text in raw_lines.texts(files.open(stored[0]), where=stored[0]):
            with raw_lines.damaged(stored[0]):
                batch = _events(text, source)
            yield batch
        return
    for block in read_blocks(files, stored):
        kept = block if streams is None else [line for line in block if line.stream in streams]
        if kept:
            yield _events(raw_lines.as_text(kept), source)


def read_blocks(files: Files, stored: list[str], *, before: datetime | None = None) -> Iterator[Block]:
    """The lines of raw files of one day and source, as they are kept, in order; up to about `before`."""
    blocks = raw_lines.united([_read_stored(files, name) for name in stored], copies=max)
    if before is None:
        return blocks
    end = (before - EPOCH) // _MICROSECOND
    return takewhile(lambda block: block[0][0] < end, blocks)


def by_source(stored: Iterable[str]) -> dict[str, list[str]]:
    """Names of raw files by the source they are of, sources in order."""
    found: dict[str, list[str]] = {}
    for name in sorted(stored):
        found.setdefault(name.split("source=", 1)[1].split("/", 1)[0], []).append(name)
    return found


def streams_of(files: Files, stored: list[str], *, before: datetime) -> set[str]:
    """The streams that have events in raw files, up to about `before`, found without decoding them."""
    found: set[bytes] = set()
    odd: set[str] = set()
    for name in stored:
        for text in raw_lines.texts(files.open(name), where=name):
            begins = _BEGIN.match(text)
            if begins and int(begins[1]) >= (before - EPOCH) // _MICROSECOND:
                break
            here = _STREAM.findall(text)
            found.update(here)
            if len(here) != text.count(b"\n"):
                with raw_lines.damaged(name):
                    odd.update(data["stream"] for data in raw_lines.objects(text))
    return odd | {stream.decode() for stream in found}


def names(files: Files, *, endpoint: str, day: date, source: str | None = None) -> list[str]:
    """The day's raw files; more than one of a source only where a merge was cut short, which reading unites."""
    folder = f"raw/endpoint={endpoint}/day={day}"
    return files.list(folder if source is None else f"{folder}/source={source}")


def _sorted_runs(events: Iterable[RawEvent], day_of: Callable[[datetime], date], scratch: Path) -> dict[Place, list[Path]]:
    # By level: a run of the next one stands for FAN_IN of the one before, so that a line is written again once a level at most.
    runs: dict[Place, list[list[Path]]] = {}
    held: dict[Place, list[raw_lines.Line]] = {}
    # A time zone's arithmetic for each line would cost as much as its encoding; days change on whole minutes.
    days: dict[int, date] = {}
    fresh = count()
    lines = size = 0

    def spill() -> None:
        for place, some in held.items():
            levels = runs.setdefault(place, [[]])
            levels[0].append(_write_run(scratch / f"run-{next(fresh)}", iter([raw_lines.in_order(some, copies=sum)])))
            level = 0
            while len(levels[level]) == FAN_IN:
                whole = _write_run(scratch / f"run-{next(fresh)}", _united_runs(levels[level]))
                for path in levels[level]:
                    path.unlink()
                levels[level] = []
                level += 1
                if level == len(levels):
                    levels.append([])
                levels[level].append(whole)
        held.clear()

    for event in events:
        line = raw_lines.encode(event)
        minute = line[0] // _MINUTE_US
        day = days.get(minute)
        if day is None:
            day = days[minute] = day_of(event.at)
        place = (day, event.source)
        if place in held:
            held[place].append(line)
        else:
            held[place] = [line]
        lines, size = lines + 1, size + len(line[3])
        if lines >= RUN_EVENTS or size >= RUN_BYTES:
            spill()
            lines = size = 0
    spill()
    return {place: [path for level in levels for path in level] for place, levels in runs.items()}


def _write_run(path: Path, blocks: Iterator[Block]) -> Path:
    raw_lines.write(path, blocks, compression="lz4")
    return path


def _united_runs(paths: list[Path]) -> Iterator[Block]:
    return raw_lines.united(
        [raw_lines.read(pa.OSFile(str(path)), where=path.name, compression="lz4", piece=RUN_PIECE) for path in paths], copies=sum
    )


def _merge_day(files: Files, scratch: Path, endpoint: str, day: date, source: str, runs: list[Path]) -> int:
    old = names(files, endpoint=endpoint, day=day, source=source)
    counts = {"stored": 0, "merged": 0}
    stored = _counted(read_blocks(files, old), counts, "stored")
    draft = scratch / "merged"
    raw_lines.write(draft, _counted(raw_lines.united([stored, _united_runs(runs)], copies=max), counts, "merged"))
    name = f"raw/endpoint={endpoint}/day={day}/source={source}/{sha256_of(draft)}.ndjson.zst"
    if name not in old:
        files.publish(draft, name)
    for stale in old:
        if stale != name:
            files.delete(stale)
    return counts["merged"] - counts["stored"]


def _read_stored(files: Files, name: str) -> Iterator[Block]:
    return raw_lines.read(files.open(name), where=name)


def _counted(blocks: Iterator[Block], counts: dict[str, int], name: str) -> Iterator[Block]:
    for block in blocks:
        counts[name] += len(block)
        yield block


_SOURCE, _STREAM_SLOT, _ID, _AT, _PAYLOAD, _INGESTED, _COPIES = (
    RawEvent.__dict__[name].__set__ for name in ("source", "stream", "event_id", "at", "payload", "ingested_at", "copies")
)


def _events(text: bytes, source: str) -> list[RawEvent]:
    new, events = object.__new__, []
    for data in raw_lines.objects(text):
        # What was checked when it came in goes straight into its slots: a third of the time of the constructor.
        event = new(RawEvent)
        _SOURCE(event, source)
        _STREAM_SLOT(event, data["stream"])
        _ID(event, data["id"])
        _AT(event, EPOCH + data["at"] * _MICROSECOND)
        _PAYLOAD(event, data["payload"])
        ingested = data["in"]
        _INGESTED(event, None if ingested is None else EPOCH + ingested * _MICROSECOND)
        _COPIES(event, data["n"])
        events.append(event)
    return events
