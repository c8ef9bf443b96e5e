"""Cloud Logging entries, Replicate predictions and RunPod lines on disk."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from collectors import google_entry
from collectors.export.json_items import json_items
from collectors.files import Line, Source, split_lines
from collectors.replicate.events import to_event as prediction_event
from collectors.runpod.fetch import events_of
from trial.calendar import Window
from trial.errors import Malformed
from trial.meter import Meter
from trial.records import RawEvent

SOURCE = "export"
_EVER = Window(start=datetime(1, 1, 2, tzinfo=UTC), end=datetime(9999, 12, 30, tzinfo=UTC))


def cloud_run_events(source: Source) -> Iterator[RawEvent]:
    """
    Entries of `gcloud logging read --format=json` (one array), of a sink's files (one a line), or of the console's download.

    Raises:
        Malformed: not JSON, half-written, or the first item is no log entry.
    """
    with source.open() as stream:
        yield from _items(
            stream, source, google_entry.to_event, "log entry with logName and timestamp", "Export with `gcloud logging read --format=json`"
        )


def replicate_events(source: Source) -> Iterator[RawEvent]:
    """
    Predictions as `GET /v1/predictions` lists them: whole pages, an array, or one a line.

    Raises:
        Malformed: not JSON, half-written, or the first item is no prediction.
    """
    with source.open() as stream:
        yield from _items(stream, source, prediction_event, "prediction with id and created_at", "Save the answers of GET /v1/predictions")


def _items(stream: Any, source: Source, to_event: Any, expected: str, do: str) -> Iterator[RawEvent]:
    last: datetime | None = None
    for number, item in enumerate(_flat(json_items(stream, where=source.name)), start=1):
        try:
            event = to_event(item)
        except (ValueError, TypeError, AttributeError, OverflowError) as exc:
            if last is None:
                raise Malformed(f"item {number} is no {expected}: {exc}", where=source.name, do=do) from exc
            # One damaged entry among good ones is the ledger's business: it stays, where the file has it.
            payload = dict(item) if isinstance(item, Mapping) else json.dumps(item)
            event = RawEvent(source=SOURCE, stream=source.name, event_id=f"{number:012d}", at=last, payload=payload)
        last = event.at
        yield replace(event, source=SOURCE)


def _flat(items: Iterator[Any]) -> Iterator[Any]:
    for item in items:
        pages = next((item[key] for key in ("entries", "results") if isinstance(item, Mapping) and isinstance(item.get(key), list)), None)
        if pages is None:
            yield item
        else:
            yield from pages


def runpod_events(source: Source, endpoint: Any) -> Iterator[RawEvent]:
    """
    Handler lines, worker logs and job objects, a line each, as collectors.runpod reads them; or one array of job objects.

    Raises:
        Malformed: not text, or lines of requests without any time.
    """
    with source.open() as stream:
        head = stream.peek(4096)[:4096]  # type: ignore[attr-defined]
        if head[:4] == b"PAR1" or b"\x00" in head[:512]:
            raise Malformed("is not text", where=source.name, do="Give the lines as RunPod or your handler printed them")
        if head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"[" and head.lstrip()[1:2] in (b"{", b"\n", b"\r", b" ", b"]"):
            data: Iterator[bytes] = (json.dumps(item, ensure_ascii=False).encode() for item in json_items(stream, where=source.name))
        else:
            data = split_lines(stream)
        numbered = zip(itertools.count(1), data, strict=False)
        lines = (Line(file=source.name, number=n, data=d, modified_at=source.modified_at) for n, d in numbered)
        for event in events_of(lines, endpoint, _EVER, meter=Meter()):
            yield replace(event, source=SOURCE)
