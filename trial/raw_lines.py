"""
Lines of the raw store on their way through sorted files, a block at a time.

A block is a non-empty list of lines in ascending order with no identity twice; so are the blocks of one stream, one after
the other. Blocks, because a generator step, a heap and a JSON decoder for each line cost more than all the rest of a pull.
"""

from __future__ import annotations

import contextlib
import json
import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple, Self

import orjson
import pyarrow as pa

from trial.errors import StoreError
from trial.records import RawEvent

PIECE = 1 << 20
_AT_ONCE = 4096
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_PLAIN = re.compile(rb'(\{"at":(-?\d+),"stream":"([^"\\\n]*)","id":"([^"\\\n]*)","in":(?:null|-?\d+),"payload":["{].*["}]),"n":(\d+)\}\n')


class Line(NamedTuple):
    """Ordered as it stands: when, which event, and among copies that differ the smallest first."""

    at: int  # microseconds
    stream: str
    id: str
    body: bytes  # the JSON object without its copies and its closing brace
    copies: int


Key = tuple[int, str, str]
Block = list[Line]
_new = tuple.__new__


def encode(event: RawEvent) -> Line:
    at = (event.at - EPOCH) // _MICROSECOND
    ingested = None if event.ingested_at is None else (event.ingested_at - EPOCH) // _MICROSECOND
    body = _dumps({"at": at, "stream": event.stream, "id": event.event_id, "in": ingested, "payload": event.payload})
    return _new(Line, (at, event.stream, event.event_id, body[:-1], event.copies))


def united(streams: list[Iterator[Block]], *, copies: Callable[[list[int]], int]) -> Iterator[Block]:
    """Sorted streams as one; an identity that several of them hold is one line, with `copies` of theirs."""
    heads = [(block, stream) for stream in streams if (block := next(stream, None))]
    while len(heads) > 1:
        # Up to the nearest end of a block every stream is in memory, and the library's sort knows sorted stretches.
        limit = min(block[-1][:3] for block, _ in heads)
        ready: Block = []
        left = []
        for block, stream in heads:
            cut = 0 if block[0][:3] > limit else bisect_right(block, limit, key=_key)
            ready += block[:cut] if cut else ()
            rest = next(stream, None) if cut == len(block) else block[cut:] if cut else block
            if rest:
                left.append((rest, stream))
        heads = left
        yield in_order(ready, copies=copies)
    for block, stream in heads:
        yield block
        yield from stream


def in_order(lines: list[Line], *, copies: Callable[[list[int]], int]) -> Block:
    """Any lines as a block; sorts them in place."""
    lines.sort()
    if not any(a[0] == b[0] and a[2] == b[2] and a[1] == b[1] for a, b in pairwise(lines)):
        return lines
    block: Block = []
    same: list[int] = []
    for line in lines:
        if block and block[-1][:3] == line[:3]:
            same.append(line.copies)
            block[-1] = block[-1]._replace(copies=copies(same))
        else:
            block.append(line)
            same = [line.copies]
    return block


class Writer:
    """A file of compressed NDJSON, the same bytes whatever the lines' grouping into blocks; closed as a context manager is."""

    def __init__(self, path: Path, *, compression: str = "zstd") -> None:
        self._out = pa.CompressedOutputStream(pa.OSFile(str(path), "wb"), compression)
        self._pending = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self._out.write(self._pending)
        self._out.close()

    def add(self, block: Block) -> None:
        for first in range(0, len(block), _AT_ONCE):
            pending = self._pending + as_text(block[first : first + _AT_ONCE])
            whole = len(pending) - len(pending) % PIECE
            for start in range(0, whole, PIECE):
                self._out.write(pending[start : start + PIECE])
            self._pending = pending[whole:]


def write(path: Path, blocks: Iterable[Block], *, compression: str = "zstd") -> None:
    """A whole file."""
    with Writer(path, compression=compression) as writer:
        for block in blocks:
            writer.add(block)


def as_text(lines: list[Line]) -> bytes:
    """Lines as they stand in a file."""
    return b"".join([body + (b',"n":1}\n' if copies == 1 else b',"n":%d}\n' % copies) for _, _, _, body, copies in lines])


def read(file: pa.NativeFile, *, where: str, compression: str = "zstd", piece: int = PIECE) -> Iterator[Block]:
    """
    Raises:
        StoreError: the file is damaged.
    """
    for text in texts(file, where=where, compression=compression, piece=piece):
        with damaged(where):
            block = _decoded(text)
        yield block


def texts(file: pa.NativeFile, *, where: str, compression: str = "zstd", piece: int = PIECE) -> Iterator[bytes]:
    """Whole lines, some at a time, as they stand in the file."""
    with damaged(where):
        if file.size() == 0:
            raise ValueError("the file is empty")
        stream = pa.CompressedInputStream(file, compression)
    with file, stream:
        rest = b""
        while True:
            with damaged(where):
                text = stream.read(piece)
            if not text:
                break
            end = text.rfind(b"\n") + 1
            if end:
                yield rest + text[:end]
                rest = text[end:]
            else:
                rest += text
    with damaged(where):
        if rest:
            raise ValueError("the last line has no end")


@contextlib.contextmanager
def damaged(where: str) -> Iterator[None]:
    """Turns what a damaged file raises into StoreError."""
    try:
        yield
    except (ValueError, KeyError, OSError, pa.ArrowException) as exc:
        do = "Delete the file and collect the day again while the source still has it"
        raise StoreError(f"damaged raw events: {exc}", where=where, do=do) from exc


def objects(text: bytes) -> list[dict[str, Any]]:
    """Whole lines as the objects they are."""
    try:
        return orjson.loads(b"[%s]" % text[:-1].replace(b"\n", b","))
    except orjson.JSONDecodeError:
        return [_loads(line) for line in text[:-1].split(b"\n")]


def _decoded(text: bytes) -> Block:
    found = _PLAIN.findall(text)
    if len(found) == text.count(b"\n"):
        return [_new(Line, (int(at), stream.decode(), name.decode(), body, int(copies))) for body, at, stream, name, copies in found]
    return [_decoded_line(line) for line in text[:-1].split(b"\n")]


def _decoded_line(text: bytes) -> Line:
    data = _loads(text)
    return Line(data["at"], data["stream"], data["id"], text[: text.rindex(b',"n":')], data["n"])


def _key(line: Line) -> Key:
    return line[:3]


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
