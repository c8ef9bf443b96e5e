"""LoggingServiceV2.ListLogEntries: filter, order, pages of at most 1000, empty pages with a token."""

from __future__ import annotations

import base64
import bisect
import json
from collections.abc import Iterable, Mapping
from typing import Any

import grpc
from google.cloud.logging_v2.types import ListLogEntriesRequest, LogEntry
from google.protobuf.json_format import ParseDict

from sandbox.clock import Clock
from sandbox.emitted import Event
from sandbox.faults import Dice
from sandbox.google_grpc import Method, refuse
from sandbox.instants import HOUR, iso_us
from sandbox.logging_filter import FilterError, compile_filter

MAX_PAGE, DEFAULT_PAGE, MAX_FILTER, MAX_NAMES = 1000, 50, 20_000, 100
RETENTION_DAYS = 30
TOKEN_LIFE_US = 24 * HOUR


class CloudLogging:
    """One project's `_Default` bucket."""

    SERVICE = "google.logging.v2.LoggingServiceV2"

    def __init__(self, events: Iterable[Event], *, project: str, clock: Clock, dice: Dice, retention_days: int = RETENTION_DAYS) -> None:
        self._project, self._clock, self._dice, self._retention = project, clock, dice, retention_days * 24 * HOUR
        once = {(e.stream, e.at_us, _object(e).get("insertId")): e for e in events}
        # Ties go by insertId, as the API orders them.
        self._events = sorted(once.values(), key=lambda e: (e.at_us, str(_object(e).get("insertId"))))
        self._times = [e.at_us for e in self._events]
        self._entries = [{**_object(e), "receiveTimestampUs": e.readable_us, "timestampUs": e.at_us} for e in self._events]
        self._wire: dict[int, bytes] = {}
        self.calls = 0

    def methods(self) -> Mapping[str, Method]:
        # Entries are kept as encoded messages: an answer is their concatenation, so 200 000 entries need no objects.
        return {"ListLogEntries": (ListLogEntriesRequest.deserialize, self.list_log_entries, lambda wire: wire)}

    def list_log_entries(self, request: Any, context: grpc.ServicerContext) -> bytes:
        self.calls += 1
        refuse(self._dice, context, quota="logging.googleapis.com/read_requests")
        size = request.page_size or DEFAULT_PAGE
        if not 0 < size <= MAX_PAGE:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"page_size {size} is not between 1 and {MAX_PAGE}")
        if len(request.filter) > MAX_FILTER or not 0 < len(request.resource_names) <= MAX_NAMES:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "the filter or the list of resource names is too long, or the list is empty")
        if request.order_by not in ("", "timestamp asc", "timestamp desc"):
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"cannot order by {request.order_by!r}")
        try:
            wanted = compile_filter(request.filter)
        except FilterError as exc:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"Unparseable filter: {exc}")
        if f"projects/{self._project}" not in request.resource_names:
            context.abort(grpc.StatusCode.PERMISSION_DENIED, "Permission denied for the named resources.")
        now = self._clock.us
        lo = bisect.bisect_left(self._times, max(wanted.begin_us, now - self._retention))
        hi = bisect.bisect_right(self._times, wanted.end_us)
        descending = request.order_by == "timestamp desc"
        same = f"{request.filter}\n{request.order_by}\n{list(request.resource_names)}"
        done = self._opened(request.page_token, same, context) if request.page_token else 0
        if self._dice.empty_page():
            return _answer([], self._token(done, same))
        page: list[bytes] = []
        span = hi - lo
        while done < span and len(page) < size:
            index = hi - 1 - done if descending else lo + done
            done += 1
            if self._events[index].readable_us <= now and wanted.test(self._entries[index]):
                page.append(self._encoded(index))
        return _answer(page, self._token(done, same) if done < span else "")

    def _encoded(self, index: int) -> bytes:
        wire = self._wire.get(index)
        if wire is None:
            entry = {**_object(self._events[index]), "receiveTimestamp": _nanoseconds(self._events[index].readable_us, index)}
            message = LogEntry.pb(LogEntry())
            wire = self._wire[index] = ParseDict(entry, message).SerializeToString()
        return wire

    def _token(self, done: int, same: str) -> str:
        return base64.urlsafe_b64encode(json.dumps([done, self._clock.us, same]).encode()).decode()

    def _opened(self, token: str, same: str, context: grpc.ServicerContext) -> int:
        try:
            done, made_us, asked = json.loads(base64.urlsafe_b64decode(token.encode()))
        except ValueError:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "page_token is invalid")
        if asked != same or self._clock.us - made_us > TOKEN_LIFE_US:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "page_token is for another request or has expired")
        return int(done)


def _object(event: Event) -> dict[str, Any]:
    if not isinstance(event.payload, dict):
        raise TypeError(f"a log entry is an object, not {type(event.payload).__name__}")
    return event.payload


def _nanoseconds(us: int, salt: int) -> str:
    return f"{iso_us(us)[:-1]}{salt % 1000:03d}Z"


def _answer(entries: list[bytes], token: str) -> bytes:
    """ListLogEntriesResponse on the wire: field 1 entries, field 2 next_page_token, both length-delimited."""
    parts = []
    for entry in entries:
        parts += [b"\x0a", _varint(len(entry)), entry]
    if token:
        data = token.encode()
        parts += [b"\x12", _varint(len(data)), data]
    return b"".join(parts)


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)
