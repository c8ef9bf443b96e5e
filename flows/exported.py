"""What exported files hold, for `fortnight init`: their format, and the time they span."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from trial import config
from trial.calendar import Window
from trial.errors import Malformed
from trial.meter import Meter

ALWAYS = Window(start=datetime(1970, 1, 1, tzinfo=UTC), end=datetime(9999, 1, 1, tzinfo=UTC))
# Strict readers first: the one of Lambda takes any text that carries times, and RunPod's takes anything at all.
STRICT = ("invocations", "cloud-run", "replicate", "aws-lambda")


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Files of one format; `first` and `last` are their events' times, None where there are no events."""

    format: str
    events: int
    first: datetime | None
    last: datetime | None


def look(path: str, *, folder: Path, format: str | None = None) -> Found:
    """
    Reads the files from end to end.

    Args:
        path: a file or glob, relative to `folder`.
        format: where it is known; else the first whose reader takes the files.

    Raises:
        SourceError: no file matches, or no reader takes them.
    """
    chosen = format or _format(path, folder)
    first = last = None
    events = 0
    for at in _times(path, chosen, folder):
        first = at if first is None or at < first else first
        last = at if last is None or at > last else last
        events += 1
    return Found(format=chosen, events=events, first=first, last=last)


def _format(path: str, folder: Path) -> str:
    if _begins_with_a_handler_line(path, folder):
        return "runpod"
    for candidate in STRICT:
        try:
            if list(islice(_times(path, candidate, folder), 1)):
                return candidate
        except Malformed:
            continue
    return "runpod"


def _times(path: str, format: str, folder: Path) -> Iterator[datetime]:
    from collectors.export.fetch import Clients, fetch

    endpoint = config.ExportEndpoint.model_validate({"name": "export", "platform": "export", "format": format, "path": path})
    for event in fetch(Clients(folder=folder), endpoint, ALWAYS, meter=Meter()):
        yield event.at


def _begins_with_a_handler_line(path: str, folder: Path) -> bool:
    from collectors.files import open_lines

    first = next(open_lines(path, folder=folder), None)
    return first is not None and b'"fortnight"' in first.data and b"logStreamName" not in first.data
