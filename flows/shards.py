"""
A large day in parts, each small enough for one worker: the streams dealt out by a hash of their names.

By stream and not by time, since a request starts in one hour and reports in the next, and whether it was cold is told by what
its environment did hours before: all that is in the request's own stream, and nothing of it in another. So no part needs to
know of any other, whoever computes it. How many parts there are depends on the raw events alone: the same on every engine.
"""

from __future__ import annotations

import math
import sys
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import date, datetime
from typing import Any
from zlib import crc32

from trial import raw, raw_lines
from trial.files import Files

# All parts are open at once while they are dealt out.
PARTS_AT_MOST = 256

Names = dict[date, list[str]]


def count(files: Files, names: list[str], *, part_mb: float) -> int:
    """In how many parts a day with these raw files is computed."""
    size = 0
    for name in names:
        with files.open(name) as file:
            size += file.size()
    return min(PARTS_AT_MOST, max(1, math.ceil(size / (part_mb * (1 << 20)))))


@contextmanager
def dealt(files: Files, names: Names, *, day: date, before: datetime, parts: int) -> Iterator[list[Names]]:
    """
    The raw files of a day and its neighbours as those of each part, gone afterwards.

    They stand in the store, where workers on other machines see them. Of the day before there are only the streams that go on.
    """
    going_on = raw.streams_of(files, [name for d, group in names.items() if d >= day for name in group], before=before)
    folder = f".scratch/{uuid.uuid4().hex}"
    shares: list[Names] = [{d: [] for d in names} for _ in range(parts)]
    part_of: dict[str, int] = {}
    try:
        for d, group in names.items():
            for source, stored in raw.by_source(group).items():
                with files.scratch() as scratch:
                    drafts = [scratch / f"{part}" for part in range(parts)]
                    with ExitStack() as stack:
                        writers = [stack.enter_context(raw_lines.Writer(draft)) for draft in drafts]
                        for block in raw.read_blocks(files, stored, before=before):
                            _deal(block, writers, part_of, only=going_on if d < day else None)
                    for part, draft in enumerate(drafts):
                        name = f"{folder}/part={part}/day={d}/source={source}/lines.ndjson.zst"
                        files.publish(draft, name)
                        shares[part][d].append(name)
        yield shares
    finally:
        for name in [n for share in shares for group in share.values() for n in group]:
            files.delete(name)


def _deal(block: raw_lines.Block, writers: list[raw_lines.Writer], part_of: dict[str, int], *, only: set[str] | None) -> None:
    shares: list[raw_lines.Block] = [[] for _ in writers]
    for line in block:
        stream = line[1]
        if only is not None and stream not in only:
            continue
        part = part_of.get(stream)
        if part is None:
            part = part_of[stream] = crc32(stream.encode("utf-8", "surrogatepass")) % len(writers)
        shares[part].append(line)
    for writer, share in zip(writers, shares, strict=True):
        writer.add(share)


def spread(function: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
    """`function` of each item: on all workers of the Dask cluster where this is one of them, else one after the other."""
    distributed = sys.modules.get("distributed")
    if distributed is not None:
        try:
            distributed.get_worker()
        except ValueError:
            pass
        else:
            with distributed.worker_client() as client:
                return client.gather(client.map(function, list(items), pure=False))
    return [function(item) for item in items]
