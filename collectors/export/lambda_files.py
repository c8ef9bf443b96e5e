"""Lambda logs on disk: JSON of `aws logs filter-log-events`, subscription envelopes, export tasks, and text copied or tailed."""

from __future__ import annotations

import base64
import binascii
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from collectors.export import export_task
from collectors.export.json_items import json_items
from collectors.files import Line, Source, split_lines, text_of
from trial.errors import Malformed
from trial.records import RawEvent

SOURCE = "export"
# CloudWatch sends records of at most 1 MB, ten or twenty times that unpacked.
_UNPACKED_MAX = 64 << 20
_UNPACKED_RATIO = 200
_PACKED_MAX = 2 << 20
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_STREAM = r"\d{4}/\d\d/\d\d/[^\s\[\]]*\[[^\]\s]+\]\S*"
_TIME = r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?"
# `aws logs tail` writes time, stream, message; `sam logs` stream, time, message; the console's copy time, message.
_PREFIX = re.compile(rf"(?:(?P<stream>{_STREAM})[ \t]+)?(?:(?P<time>{_TIME})(?:[ \t]+|$))?(?:(?P<later>{_STREAM})[ \t]+)?")
# These lines begin with a time that is their own text, not the copy's.
_OWN_TIME = re.compile(r"(?:[0-9a-f]{8}-[0-9a-f-]{27}\s)")
_WAITING_MAX = 10_000
# Gzip in base64 begins so, whatever is in it.
_PACKED = "H4sI"


def events(source: Source, *, group: str | None = None) -> Iterator[RawEvent]:
    """
    Every event of one file, in the file's order.

    Args:
        group: leave out what an envelope says is of another log group; several may share one delivery stream.

    Raises:
        Malformed: not text and not JSON of CloudWatch Logs, half-written, or text whose lines carry no time.
    """
    if export_task.is_marker(source.name):
        return
    exported = export_task.stream_of(source.name)
    if exported is not None:
        yield from export_task.events(source, exported)
        return
    with source.open() as stream:
        head = stream.peek(1 << 16)[: 1 << 16]  # type: ignore[attr-defined]
        if head[:4] == b"PAR1":
            raise Malformed("is a Parquet file", where=source.name, do='Set format = "invocations"')
        if head.startswith(_PACKED.encode()):
            yield from _from_json((text_of(line) for line in split_lines(stream, limit=_PACKED_MAX)), source, group)
        elif _is_json(head):
            yield from _from_json(json_items(stream, where=source.name), source, group)
        elif b"\x00" in head:
            raise Malformed("is neither text nor JSON", where=source.name, do="Export with `aws logs filter-log-events`")
        else:
            lines = enumerate(split_lines(stream), start=1)
            yield from _from_text((Line(file=source.name, number=n, data=data) for n, data in lines), source)


def _is_json(head: bytes) -> bool:
    """Whether events come as JSON around the messages, rather than as lines that may be JSON themselves."""
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if head[:2] in (b"\xff\xfe", b"\xfe\xff") or text[:1] == b"[":
        return True
    if text[:1] != b"{":
        return False
    try:
        first = orjson.loads(text.split(b"\n", 1)[0])
    except orjson.JSONDecodeError:
        return True  # a document over several lines, or a line longer than the head
    return isinstance(first, Mapping) and _is_envelope(first)


def _is_envelope(item: Mapping[str, Any]) -> bool:
    return (
        "messageType" in item
        or isinstance(item.get("events"), list)
        or isinstance(item.get("results"), list)
        or "awslogs" in item
        or _packed(item) is not None
        or _records(item) is not None
        or "@message" in item
        or "logName" in item
        or ("message" in item and isinstance(item.get("timestamp"), int) and not isinstance(item["timestamp"], bool))
    )


def _from_json(items: Iterable[Any], source: Source, group: str | None) -> Iterator[RawEvent]:
    number = 0
    for item in items:
        for record in _records(item) or [item]:
            for event, log_stream in _unpacked(record, source.name, group):
                number += 1
                yield _event(event, log_stream, number, source.name)


def _records(item: Any) -> list[Any] | None:
    """The records of a batch, as Firehose hands it to a Lambda function and Kinesis to a reader."""
    if not isinstance(item, Mapping):
        return None
    found = item.get("records", item.get("Records"))
    return found if isinstance(found, list) and all(_packed(record) is not None for record in found) else None


def _packed(item: Any) -> str | None:
    """The gzip in base64 that is a record's, or in it."""
    if isinstance(item, Mapping):
        inner = next((item[key] for key in ("awslogs", "kinesis") if isinstance(item.get(key), Mapping)), item)
        item = next((inner[key] for key in ("data", "Data", "rawData") if key in inner), None)
    return item if isinstance(item, str) and item.startswith(_PACKED) else None


def _unpacked(item: Any, where: str, group: str | None) -> Iterator[tuple[Any, str | None]]:
    """(event, stream of its envelope) out of whatever envelope it lies in."""
    packed = _packed(item)
    if packed is not None:
        item = _subscription(packed, where)
    elif isinstance(item, Mapping) and isinstance(item.get("awslogs"), Mapping):
        item = _subscription(item["awslogs"].get("data"), where)
    if isinstance(item, Mapping):
        if item.get("messageType") == "CONTROL_MESSAGE" or (group is not None and item.get("logGroup", group) != group):
            return
        for key in ("logEvents", "events", "results"):
            if isinstance(item.get(key), list):
                for inner in item[key]:
                    yield inner, item.get("logStream")
                return
    yield item, None


def _event(item: Any, log_stream: str | None, number: int, where: str) -> RawEvent:
    if isinstance(item, list) and all(isinstance(cell, Mapping) for cell in item):
        item = {cell.get("field"): cell.get("value") for cell in item}  # a row of Logs Insights
    if not isinstance(item, Mapping):
        raise _not_an_event(item, number, where)
    message = item.get("message", item.get("@message"))
    at = _millis(item["timestamp"]) if "timestamp" in item else _insights_time(item.get("@timestamp"))
    if not isinstance(message, str) or at is None:
        raise _not_an_event(item, number, where)
    stream = item.get("logStreamName") or item.get("@logStream") or log_stream or where
    event_id = item.get("eventId") or item.get("id") or item.get("@ptr") or f"{number:012d}"
    received = item.get("ingestionTime")
    return RawEvent(
        source=SOURCE,
        stream=str(stream),
        event_id=str(event_id),
        at=at,
        payload=message,
        ingested_at=_millis(received) if received is not None else None,
    )


def _not_an_event(item: Any, number: int, where: str) -> Malformed:
    looks = ""
    if isinstance(item, Mapping) and "logName" in item:
        looks = ', but of Cloud Logging: set format = "cloud-run"'
    shown = ", ".join(sorted(map(str, item))[:5]) if isinstance(item, Mapping) else type(item).__name__
    return Malformed(
        f"item {number} is no event of CloudWatch Logs{looks} (it holds: {shown})",
        where=where,
        do="Export with `aws logs filter-log-events --output json`",
    )


def _subscription(data: Any, where: str) -> Mapping[str, Any]:
    try:
        unpacker = zlib.decompressobj(wbits=31)
        packed = base64.b64decode(data, validate=True)
        text = unpacker.decompress(packed, min(_UNPACKED_MAX, max(1 << 20, _UNPACKED_RATIO * len(packed))))
        # What was cut off is not parsed: the parser's complaint would quote all of it.
        if not unpacker.eof:
            raise ValueError("cut off, or larger than a record unpacks to")
        item = orjson.loads(text)
    except (TypeError, ValueError, binascii.Error, zlib.error) as exc:
        raise Malformed("a subscription record is not gzip in base64", where=where, do="Copy the file again") from exc
    if not isinstance(item, Mapping):
        raise Malformed("a subscription record holds no object", where=where)
    return item


def _from_text(lines: Iterator[Line], source: Source) -> Iterator[RawEvent]:
    last: datetime | None = None
    waiting: list[tuple[Line, str, str | None]] = []
    for line in lines:
        text = text_of(line.data)
        stream, at, message = _split(text)
        if at is not None:
            last = at
            for earlier, earlier_text, earlier_stream in waiting:
                yield _text_event(earlier, earlier_stream, at, earlier_text)
            waiting = []
            if not message:
                continue  # the console's copy may put the time on a line of its own, above its message
        if last is not None:
            yield _text_event(line, stream, last, message)
            continue
        waiting.append((line, message, stream))
        if len(waiting) > _WAITING_MAX:
            break
    if any(text.strip() for _, text, _ in waiting):
        raise Malformed(
            "no line carries a time, so its requests belong to no day",
            where=source.name,
            do="Copy it with timestamps, or export with `aws logs filter-log-events`",
        )


def _split(text: str) -> tuple[str | None, datetime | None, str]:
    found = _PREFIX.match(text)
    stamp = found and found["time"]
    if not found or not stamp:
        stream = found["stream"] if found else None
        return stream, None, text[found.end() :] if found and stream else text
    try:
        at = datetime.fromisoformat(stamp.replace(",", "."))
        at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError):
        return None, None, text
    message = text[found.end() :]
    stream = found["stream"] or found["later"]
    return stream, at, text if _OWN_TIME.match(message) else message


def _text_event(line: Line, stream: str | None, at: datetime, message: str) -> RawEvent:
    return RawEvent(source=SOURCE, stream=stream or line.file, event_id=f"{line.file}:{line.number:012d}", at=at, payload=message)


def _millis(value: Any) -> datetime | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 4e12:
        return None
    return _EPOCH + timedelta(milliseconds=value)


def _insights_time(value: Any) -> datetime | None:
    try:
        return datetime.fromisoformat(value).replace(tzinfo=UTC)
    except (TypeError, ValueError):
        return None
