"""The objects of a bucket, or files of a folder, whose dates can touch a window; the others are not even listed where folders say so."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from collectors.files import Source, file_error
from trial.calendar import Window
from trial.errors import NotFound
from trial.meter import Meter
from trial.records import RawEvent

# Subscriptions and Firehose try for a day to deliver; an object is dated by when its records came, not by the records' own times.
LATE = timedelta(hours=25)
EARLY = timedelta(hours=1)
# A log stream is dated by the start of its execution environment: most live for hours, those on managed instances for two weeks.
STREAM_LIFE = timedelta(days=15)
# So many folders side by side cost more to list one by one than their parent as a whole.
FOLDERS = 50

_DAY = re.compile(r"(?:[A-Za-z_]+=)?(\d{4})-(\d\d)-(\d\d)(?:[-T](\d\d))?")
_STREAM = re.compile(r"(\d{4})-(\d\d)-(\d\d)-[^/]*\[[^\]/]+\][^/]*")
_PARTS = (
    re.compile(r"(?:[A-Za-z_]+=)?(20\d\d)"),
    re.compile(r"(?:[A-Za-z_]+=)?(0?[1-9]|1[0-2])"),
    re.compile(r"(?:[A-Za-z_]+=)?(0?[1-9]|[12]\d|3[01])"),
    # The hour as a folder, or as a sink's file: 08:00:00_08:59:59_S0.json
    re.compile(r"(?:[A-Za-z_]+=)?([01]\d|2[0-3])(?::\d\d:\d\d_.*)?"),
)

Connect = Callable[[str], tuple[Any, str]]  # a URL to a pyarrow filesystem and the path in it
Touching = Callable[..., list[Source]]  # `touching` with its folder and filesystem settled


def touching(
    address: str, window: Window, *, folder: Path, connect: Connect | None = None, below: Callable[[str], Iterable[str]] | None = None
) -> list[Source]:
    """
    Objects under `address` that may hold events of the window, in order of name.

    A date in an object's path, however it is written (2026/11/02/10, dt=2026-11-02, year=2026/month=11/day=02, a log stream's name,
    the hour of a sink's file), is UTC; an object without one is listed always, unless it was written before the window began.

    Args:
        address: s3://bucket/prefix, gs://bucket/prefix, or a folder relative to `folder`.
        connect: as pyarrow.fs.FileSystem.from_uri, its default.
        below: gives for a day, as 2026/11/02, the folders that hold all of it; only where all of these are empty is the rest looked at.

    Raises:
        NotFound: there is nothing under `address` at all. Denied, Unreachable: as the storage says.
    """
    from pyarrow import fs

    try:
        if "://" in address:
            filesystem, base = (connect or fs.FileSystem.from_uri)(address)
        else:
            filesystem, base = fs.LocalFileSystem(), str((folder / Path(address).expanduser()).resolve())
        base = base.rstrip("/")
        wanted = partial(may_touch, window=window)
        infos = [] if below is None else [i for day in _days(window) for part in below(day) for i in _walk(filesystem, base, part, wanted)]
        infos = infos or list(_walk(filesystem, base, "", wanted))
    except (OSError, ValueError) as exc:
        raise file_error(exc, address) from exc
    if not infos:
        raise NotFound("nothing lies under it", where=address, do="Check `logs` in trial.toml: the bucket, and the prefix as a folder")
    # A local file's time is that of its copy, and says nothing of when it was written.
    begun = window.start - EARLY if "://" in address else None
    found = [
        Source(name=info.path[len(base) + 1 :], path=info.path, modified_at=info.mtime, filesystem=filesystem, size=info.size)
        for info in infos
        if info is not None and info.type == fs.FileType.File and info.size and not (begun and info.mtime and info.mtime < begun)
    ]
    return sorted(found, key=lambda source: source.name)


def events(
    sources: list[Source], window: Window, *, read: Callable[[Source], Iterator[RawEvent]], source: str, meter: Meter
) -> Iterator[RawEvent]:
    """
    The window's events of these objects, under the source whose API would have given them.

    Raises:
        Malformed: as `read`. Denied, NotFound, Unreachable: as the storage says.
    """
    for one in sources:
        meter.calls += 1
        meter.bytes += one.size
        for event in read(one):
            if event.at in window:
                meter.events += 1
                yield replace(event, source=source)


def may_touch(path: str, *, window: Window) -> bool:
    """Whether an object at `path`, or one below it, may hold events of the window; True where the path has no date."""
    span = span_of(path)
    return span is None or (span[0] < window.end + LATE and span[1] + EARLY > window.start)


def span_of(path: str) -> tuple[datetime, datetime] | None:
    """From when to when the objects at or below a path can have been written, as far as its names tell."""
    numbers: list[int] = []
    for segment in path.split("/"):
        if not numbers and (found := _STREAM.fullmatch(segment)):
            day = _span([int(n) for n in found.groups()])
            return day and (day[0], day[1] + STREAM_LIFE)
        if not numbers and (found := _DAY.fullmatch(segment)):
            numbers = [int(n) for n in found.groups() if n is not None]
        elif len(numbers) < len(_PARTS) and (found := _PARTS[len(numbers)].fullmatch(segment)):
            numbers.append(int(found[1]))
        elif numbers:
            break
    return _span(numbers)


def _span(numbers: list[int]) -> tuple[datetime, datetime] | None:
    # A lone number such as 2048 need not be a year.
    if len(numbers) < 2:
        return None
    try:
        year, month, day, hour = [*numbers, *(1, 0)[len(numbers) - 2 :]]
        begin = datetime(year, month, day, hour, tzinfo=UTC)
    except ValueError:
        return None  # 2026/02/30
    if len(numbers) == 2:
        return begin, (begin + timedelta(days=31)).replace(day=1)
    return begin, begin + (timedelta(days=1) if len(numbers) == 3 else timedelta(hours=1))


def _days(window: Window) -> Iterator[str]:
    day = (window.start - EARLY).astimezone(UTC).date()
    while day <= (window.end + LATE).astimezone(UTC).date():
        yield f"{day:%Y/%m/%d}"
        day += timedelta(days=1)


def _walk(filesystem: Any, base: str, part: str, wanted: Callable[[str], bool]) -> Iterator[Any]:
    """Wanted objects below `part` of `base`, in the order they are found; None for each thing that is there and not wanted."""
    from pyarrow import fs

    waiting = [f"{base}/{part}".rstrip("/")]
    # Arrow sees no folders in Google's buckets, only names.
    whole = getattr(filesystem, "type_name", "") == "gcs"
    while waiting:
        here = waiting.pop()
        infos = filesystem.get_file_info(fs.FileSelector(here, allow_not_found=True, recursive=whole))
        folders = [info.path for info in infos if info.type == fs.FileType.Directory and not whole]
        kept = [path for path in folders if wanted(path[len(base) + 1 :])]
        if len(kept) > FOLDERS:
            infos, kept = filesystem.get_file_info(fs.FileSelector(here, recursive=True)), []
        yield from (info if wanted(info.path[len(base) + 1 :]) else None for info in infos)
        waiting += sorted(kept, reverse=True)
