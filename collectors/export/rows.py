"""Invocations as our own columns: CSV, JSON, one JSON object a line, or Parquet; checked cell by cell against trial.schema."""

from __future__ import annotations

import csv
import difflib
import hashlib
import io
from collections.abc import Iterator, Mapping
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from collectors.export.cells import CellError, typed_row
from collectors.export.json_items import json_items
from collectors.files import Source
from trial.errors import Malformed
from trial.records import RawEvent
from trial.schema import INVOCATIONS

SOURCE = "export"
_BATCH = 1000
_FORMULA = frozenset("=+-@\t\r")


def row_events(source: Source) -> Iterator[RawEvent]:
    """
    Every row as an event; its payload is the row's filled cells as JSON values.

    A row with a request id is itself wherever it lies; any other is what stands at its place in its file.

    Raises:
        Malformed: not one of the four, or a cell that is not what its column says, named with file, row and column.
    """
    endpoints: set[str] = set()
    for number, row in _rows(source):
        where = f"{source.name}, row {number}"
        unknown = [str(name) for name in row if name not in INVOCATIONS.names]
        if unknown:
            close = difflib.get_close_matches(unknown[0], INVOCATIONS.names, n=1)
            do = f"Did you mean `{close[0]}`?" if close else f"Known columns: {', '.join(INVOCATIONS.names)}"
            raise Malformed(f"unknown column `{unknown[0]}`", where=where, do=do)
        cells = {name: value for name, value in row.items() if value is not None and value != ""}
        try:
            typed = typed_row(cells)
        except CellError as exc:
            raise Malformed(f"column `{exc.column}` {exc.what}", where=where, do="Correct the row, or leave the cell empty") from exc
        endpoints.add(cells.get("endpoint", ""))
        if len(endpoints - {""}) > 1:
            raise Malformed(
                f"rows of several endpoints ({', '.join(sorted(endpoints - {''}))})",
                where=where,
                do="Export one endpoint a file: `fortnight export --endpoint NAME`",
            )
        payload = {name: _plain(value) for name, value in cells.items()}
        if typed.get("request_id"):
            event_id = hashlib.sha256(orjson.dumps(payload, option=orjson.OPT_SORT_KEYS)).hexdigest()[:40]
            yield RawEvent(source=SOURCE, stream="rows", event_id=event_id, at=typed["started_at"], payload=payload)
        else:
            yield RawEvent(source=SOURCE, stream=source.name, event_id=f"{number:012d}", at=typed["started_at"], payload=payload)


def _rows(source: Source) -> Iterator[tuple[int, Mapping[str, Any]]]:
    with source.open() as stream:
        head = stream.peek(4096)[:4096]  # type: ignore[attr-defined]
        if head[:4] != b"PAR1":
            yield from (
                _json(stream, source.name) if head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in (b"{", b"[") else _csv(stream, source.name)
            )
            return
    yield from _parquet(source)


def _json(stream: Any, where: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    number = 0
    for item in json_items(stream, where=where):
        # `fortnight export` in JSON may wrap its rows in an object.
        inner = item.get("invocations") if isinstance(item, Mapping) else None
        for row in inner if isinstance(inner, list) else [item]:
            number += 1
            if not isinstance(row, Mapping):
                raise Malformed(f"row {number} is a {type(row).__name__}, expected an object of columns", where=where)
            yield number, row


def _csv(stream: Any, where: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    text = io.TextIOWrapper(stream, encoding="utf-8-sig", newline="")
    reader = csv.reader(text, strict=True)
    try:
        header = next(reader, None)
        if not header or "started_at" not in header:
            raise Malformed(
                f"no header with `started_at` in its first line, which begins {','.join(header or [])[:60]!r}",
                where=where,
                do="Give CSV with a header, JSON or Parquet, or set the `format` the file has",
            )
        for number, cells in enumerate(reader, start=1):
            if not cells:
                continue
            if len(cells) != len(header):
                raise Malformed(f"row {number} has {len(cells)} cells, its header {len(header)}", where=where, do="Correct the row")
            yield number, dict(zip(header, map(_unquoted, cells), strict=True))
    except (csv.Error, UnicodeDecodeError) as exc:
        raise Malformed(f"not CSV in UTF-8: {exc}", where=f"{where}, line {reader.line_num}", do="Export it again") from exc
    finally:
        text.detach()


def _unquoted(cell: str) -> str:
    """A text that a spreadsheet would run is exported behind an apostrophe, which is none of the text's own."""
    return cell[1:] if cell[:1] == "'" and cell[1:2] in _FORMULA else cell


def _parquet(source: Source) -> Iterator[tuple[int, Mapping[str, Any]]]:
    number = 0
    try:
        with source.open_seekable() as file, pq.ParquetFile(file) as parquet:
            for batch in parquet.iter_batches(batch_size=_BATCH):
                for row in batch.to_pylist():
                    number += 1
                    yield number, row
    except (pa.ArrowException, OSError, ValueError, OverflowError) as exc:  # names and texts that are no UTF-8, times past year 9999
        raise Malformed(f"not a whole Parquet file: {str(exc)[:200]}", where=source.name, do="Export it again") from exc


def _plain(value: Any) -> Any:
    return value.isoformat() if hasattr(value, "isoformat") else value
