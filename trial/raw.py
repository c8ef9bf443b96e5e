"""
Raw events as fetched, kept before they are parsed: zstd NDJSON, sorted, content-addressed.

A day's file is the union of all pulls, one line per identity, so reading a day again, in any order, with duplicates or
late events, ends in the same bytes. Memory stays flat: a pull is sorted in runs on disk, and the runs are merged.

    raw/endpoint=E/day=D/source=S/<sha256>.ndjson.zst
    {"at": microseconds, "stream": ..., "id": ..., "in": microseconds or null, "payload": text or object, "n": copies}
"""

from __future__ import annotations

import heapq
import json
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pyarrow as pa

from trial.errors import StoreError
from trial.files import Files, sha256_of
from trial.records import RawEvent

RUN_EVENTS = 50_000
RUN_BYTES = 64 << 20
_BLOCK = 1 << 20
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_KEY = 3  # the first three fields of _Line: when, and which event


class _Line(NamedTuple):
    at: int
    stream: str
    id: str
    body: bytes  # the JSON object without its copies: among copies that differ, the smallest stands in any order
    copies: int


def merge(files: Files, *, endpoint: str, events: Iterable[RawEvent], day_of: Callable[[datetime], date]) -> dict[tuple[date, str], int]:
    """
    Adds one pull's events, each on the local day of its own timestamp and under its source.

    Copies of an identity add up within the pull; against what is stored the larger count stands.

    Returns:
        per day and source the pull touched, how many identities were new.
    """
    with files.scratch() as scratch:
        runs: dict[tuple[date, str], list[Path]] = {}
        for chunk in _chunks(events, day_of):
            chunk.sort()
            for place, lines in groupby(chunk, key=lambda item: item[0]):
                paths = runs.setdefault(place, [])
                run = scratch / f"{len(runs)}-{len(paths)}"
                _write(run, (line for _, line in lines))
                paths.append(run)
        return {place: _merge_day(files, scratch, endpoint, *place, paths) for place, paths in sorted(runs.items())}


def read(files: Files, *, endpoint: str, day: date, source: str) -> Iterator[RawEvent]:
    """
    The stored events of a day in order of (at, stream, event_id); nothing where there are none.

    Raises:
        StoreError: a stored file is damaged.
    """
    stored = [_read_stored(files, name) for name in names(files, endpoint=endpoint, day=day, source=source)]
    for line in _united(stored, copies=max):
        data = _loads(line.body)
        yield RawEvent(
            source=source,
            stream=line.stream,
            event_id=line.id,
            at=_EPOCH + line.at * _MICROSECOND,
            ingested_at=None if data["in"] is None else _EPOCH + data["in"] * _MICROSECOND,
            payload=data["payload"],
            copies=line.copies,
        )


def names(files: Files, *, endpoint: str, day: date, source: str | None = None) -> list[str]:
    """The day's raw files; more than one of a source only where a merge was cut short, which reading unites."""
    folder = f"raw/endpoint={endpoint}/day={day}"
    return files.list(folder if source is None else f"{folder}/source={source}")


def _chunks(events: Iterable[RawEvent], day_of: Callable[[datetime], date]) -> Iterator[list[tuple[tuple[date, str], _Line]]]:
    chunk, size = [], 0
    for event in events:
        line = _encode(event)
        chunk.append(((day_of(event.at), event.source), line))
        size += len(line.body)
        if len(chunk) >= RUN_EVENTS or size >= RUN_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _merge_day(files: Files, scratch: Path, endpoint: str, day: date, source: str, runs: list[Path]) -> int:
    old = names(files, endpoint=endpoint, day=day, source=source)
    counts = {"stored": 0, "merged": 0}
    pulled = _united([_read(pa.OSFile(str(run)), where=run.name) for run in runs], copies=sum)
    stored = _counted(_united([_read_stored(files, name) for name in old], copies=max), counts, "stored")
    draft = scratch / "merged"
    _write(draft, _counted(_united([stored, pulled], copies=max), counts, "merged"))
    name = f"raw/endpoint={endpoint}/day={day}/source={source}/{sha256_of(draft)}.ndjson.zst"
    if name not in old:
        files.publish(draft, name)
    for stale in old:
        if stale != name:
            files.delete(stale)
    return counts["merged"] - counts["stored"]


def _united(streams: list[Iterator[_Line]], *, copies: Callable[[list[int]], int]) -> Iterator[_Line]:
    """Sorted streams as one, one line per identity."""
    merged = streams[0] if len(streams) == 1 else heapq.merge(*streams)
    for _, same in groupby(merged, key=lambda line: line[:_KEY]):
        lines = list(same)
        yield lines[0] if len(lines) == 1 else lines[0]._replace(copies=copies([line.copies for line in lines]))


def _counted(lines: Iterator[_Line], counts: dict[str, int], name: str) -> Iterator[_Line]:
    for line in lines:
        counts[name] += 1
        yield line


def _encode(event: RawEvent) -> _Line:
    at = (event.at - _EPOCH) // _MICROSECOND
    ingested = None if event.ingested_at is None else (event.ingested_at - _EPOCH) // _MICROSECOND
    body = _dumps({"at": at, "stream": event.stream, "id": event.event_id, "in": ingested, "payload": event.payload})
    return _Line(at, event.stream, event.event_id, body, event.copies)


def _write(path: Path, lines: Iterable[_Line]) -> None:
    with pa.CompressedOutputStream(pa.OSFile(str(path), "wb"), "zstd") as out:
        block: list[bytes] = []
        size = 0
        for line in lines:
            text = b'%s,"n":%d}\n' % (line.body[:-1], line.copies)
            block.append(text)
            size += len(text)
            if size >= _BLOCK:
                out.write(b"".join(block))
                block, size = [], 0
        out.write(b"".join(block))


def _read_stored(files: Files, name: str) -> Iterator[_Line]:
    return _read(files.open(name), where=name)


def _read(file: pa.NativeFile, *, where: str) -> Iterator[_Line]:
    try:
        if file.size() == 0:
            raise ValueError("the file is empty")
        with file, pa.CompressedInputStream(file, "zstd") as stream:
            rest = b""
            while block := stream.read(_BLOCK):
                lines = (rest + block).split(b"\n")
                rest = lines.pop()
                for text in lines:
                    yield _decode(text)
        if rest:
            raise ValueError("the last line has no end")
    except (ValueError, KeyError, OSError, pa.ArrowException) as exc:
        raise StoreError(
            f"damaged raw events: {exc}", where=where, do="Delete the file and collect the day again while the source still has it"
        ) from exc


def _decode(text: bytes) -> _Line:
    cut = text.rindex(b',"n":')
    data = _loads(text)
    return _Line(data["at"], data["stream"], data["id"], text[:cut] + b"}", data["n"])


def _dumps(data: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(data)
    except TypeError:
        # Lone surrogates and integers over 64 bits, which orjson refuses and a log line may hold.
        return json.dumps(data, separators=(",", ":")).encode()


def _loads(text: bytes) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return json.loads(text)
