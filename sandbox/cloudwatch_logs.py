"""CloudWatch Logs as FilterLogEvents and the Describe calls behave: inclusive ends, empty pages with a token, throttles."""

from __future__ import annotations

import base64
import bisect
import json
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sandbox.clock import Clock
from sandbox.emitted import Event
from sandbox.faults import Dice
from sandbox.instants import HOUR, MS

TOKEN_LIFE_US = 24 * HOUR
MAX_BYTES = 1_000_000
MAX_EVENTS = 10_000


class ApiError(Exception):
    """What the API answers instead: its code, its message, and the HTTP status."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code, self.message, self.status = code, message, status


@dataclass(frozen=True, slots=True, kw_only=True)
class LogGroup:
    """
    Args:
        events: in any order; what is older than the retention at the clock's now is gone.
        created_us: shown by DescribeLogGroups.
    """

    name: str
    events: Iterable[Event]
    created_us: int
    retention_days: int | None = None
    group_class: str = "STANDARD"


class CloudWatchLogs:
    """Answers Logs_20140328 operations; one instance per region and account."""

    def __init__(self, groups: Iterable[LogGroup], *, clock: Clock, dice: Dice, account: str = "123456789012", region: str = "us-east-1"):
        self._clock, self._dice, self._account, self._region = clock, dice, account, region
        self._groups = {g.name: _Group(g) for g in groups}
        self.calls: list[tuple[str, Mapping[str, Any]]] = []
        self.operations: Mapping[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
            "FilterLogEvents": self.filter_log_events,
            "DescribeLogGroups": self.describe_log_groups,
            "DescribeLogStreams": self.describe_log_streams,
        }

    def filter_log_events(self, given: Mapping[str, Any]) -> dict[str, Any]:
        group = self._group(given)
        limit = given.get("limit", MAX_EVENTS)
        if not 1 <= limit <= MAX_EVENTS:
            raise ApiError(
                "InvalidParameterException", f"1 validation error detected: Value '{limit}' at 'limit' failed to satisfy constraint"
            )
        if given.get("logStreamNames") and given.get("logStreamNamePrefix"):
            raise ApiError("InvalidParameterException", "Cannot specify both logStreamNames and logStreamNamePrefix")
        begin, end = given.get("startTime", 0) * MS, given.get("endTime", self._clock.us // MS) * MS + MS - 1
        if begin > end:
            raise ApiError("InvalidParameterException", "startTime is after endTime")
        lo, hi = group.span(max(begin, self._oldest(group.made)), end)
        asked = {k: v for k, v in given.items() if k not in ("nextToken", "limit")}
        at = lo
        if given.get("nextToken"):
            at = max(lo, self._opened(given["nextToken"], asked))
            if self._dice.empty_page():
                return self._page([], self._token(at, asked))
        elif hi > lo and self._dice.empty_page():
            return self._page([], self._token(at, asked))
        names, prefix = set(given.get("logStreamNames") or ()), given.get("logStreamNamePrefix")
        terms, now = _terms(given.get("filterPattern", "")), self._clock.us
        found: list[dict[str, Any]] = []
        size = 0
        while at < hi and len(found) < limit and size < MAX_BYTES:
            event, row = group.events[at], group.rows[at]
            at += 1
            if event.readable_us > now or (names and event.stream not in names) or (prefix and not event.stream.startswith(prefix)):
                continue
            if terms and not _matches(str(event.payload), terms):
                continue
            found.append(row)
            size += len(event.payload) + 26
            if event.copies > 1:
                found.extend([row] * (event.copies - 1))
        return self._page(found, self._token(at, asked) if at < hi else None)

    def describe_log_groups(self, given: Mapping[str, Any]) -> dict[str, Any]:
        prefix = given.get("logGroupNamePrefix", "")
        pattern = given.get("logGroupNamePattern", "")
        listed = []
        for name, group in sorted(self._groups.items()):
            if not name.startswith(prefix) or pattern not in name or group.made.created_us > self._clock.us:
                continue
            arn = f"arn:aws:logs:{self._region}:{self._account}:log-group:{name}"
            entry: dict[str, Any] = {
                "logGroupName": name,
                "creationTime": group.made.created_us // MS,
                "metricFilterCount": 0,
                "arn": f"{arn}:*",
                "logGroupArn": arn,
                "storedBytes": sum(len(e.payload) for e in group.events),
                "logGroupClass": group.made.group_class,
            }
            if group.made.retention_days:
                entry["retentionInDays"] = group.made.retention_days
            listed.append(entry)
        return {"logGroups": listed[: given.get("limit", 50)]}

    def describe_log_streams(self, given: Mapping[str, Any]) -> dict[str, Any]:
        group, now = self._group(given), self._clock.us
        seen: dict[str, list[Event]] = defaultdict(list)
        for event in group.events:
            if event.readable_us <= now and event.stream.startswith(given.get("logStreamNamePrefix", "")):
                seen[event.stream].append(event)
        by_time = given.get("orderBy") == "LastEventTime"
        names = sorted(seen, key=lambda n: (seen[n][-1].at_us if by_time else 0, n), reverse=bool(given.get("descending")))
        asked = {k: v for k, v in given.items() if k != "nextToken"}
        at = self._opened(given["nextToken"], asked) if given.get("nextToken") else 0
        limit = given.get("limit", 50)
        rows = [
            {
                "logStreamName": name,
                "creationTime": seen[name][0].at_us // MS,
                "firstEventTimestamp": seen[name][0].at_us // MS,
                "lastEventTimestamp": seen[name][-1].at_us // MS,
                "lastIngestionTime": seen[name][-1].readable_us // MS,
                "arn": f"arn:aws:logs:{self._region}:{self._account}:log-group:{group.made.name}:log-stream:{name}",
                "storedBytes": 0,
            }
            for name in names[at : at + limit]
        ]
        more = {"nextToken": self._token(at + limit, asked)} if at + limit < len(names) else {}
        return {"logStreams": rows, **more}

    def _group(self, given: Mapping[str, Any]) -> _Group:
        name, identifier = given.get("logGroupName"), given.get("logGroupIdentifier")
        if (name is None) == (identifier is None):
            raise ApiError("InvalidParameterException", "Specify either logGroupName or logGroupIdentifier")
        wanted = name or str(identifier).rsplit(":log-group:", 1)[-1].removesuffix(":*")
        group = self._groups.get(wanted)
        if group is None or group.made.created_us > self._clock.us:
            raise ApiError("ResourceNotFoundException", "The specified log group does not exist.")
        return group

    def _oldest(self, group: LogGroup) -> int:
        return self._clock.us - group.retention_days * 24 * HOUR if group.retention_days else 0

    def _token(self, at: int, asked: Mapping[str, Any]) -> str:
        state = [at, self._clock.us, json.dumps(asked, sort_keys=True)]
        return base64.urlsafe_b64encode(json.dumps(state).encode()).decode()

    def _opened(self, token: str, asked: Mapping[str, Any]) -> int:
        try:
            at, made_us, same = json.loads(base64.urlsafe_b64decode(token.encode()))
        except ValueError as exc:
            raise ApiError("InvalidParameterException", "The specified nextToken is invalid.") from exc
        if same != json.dumps(asked, sort_keys=True):
            raise ApiError("InvalidParameterException", "The specified nextToken does not belong to this request.")
        if self._clock.us - made_us > TOKEN_LIFE_US:
            raise ApiError("InvalidParameterException", "The specified nextToken has expired.")
        return int(at)

    @staticmethod
    def _page(rows: list[dict[str, Any]], token: str | None) -> dict[str, Any]:
        return {"events": rows, "searchedLogStreams": [], **({"nextToken": token} if token else {})}


class _Group:
    """A group's events in the API's order, with their rows made once."""

    def __init__(self, made: LogGroup) -> None:
        self.made = made
        self.events = sorted(made.events, key=lambda e: (e.at_us // MS, e.readable_us // MS, e.stream, e.order))
        self._times = [e.at_us for e in self.events]
        self.rows = [
            {
                "logStreamName": e.stream,
                "timestamp": e.at_us // MS,
                "message": e.payload,
                "ingestionTime": e.readable_us // MS,
                "eventId": event_id(e),
            }
            for e in self.events
        ]

    def span(self, begin_us: int, end_us: int) -> tuple[int, int]:
        return bisect.bisect_left(self._times, begin_us), bisect.bisect_right(self._times, end_us)


def event_id(event: Event) -> str:
    """56 digits, as the real ones: events of one stream and instant differ by their order and sort by it."""
    return f"{event.at_us // MS:014d}{zlib.crc32(event.stream.encode()):012d}{event.order:030d}"


def _terms(pattern: str) -> list[tuple[str, str]]:
    """
    (sign, text) of an unstructured pattern: plain terms must all be there, `?` terms at least one, `-` terms must not.

    Raises:
        ApiError: a JSON or space-delimited pattern, which this server does not speak.
    """
    pattern = pattern.strip()
    if pattern.startswith(("{", "[", "%")):
        raise ApiError("InvalidParameterException", "Invalid filter pattern")
    terms, at = [], 0
    while at < len(pattern):
        if pattern[at].isspace():
            at += 1
            continue
        sign = pattern[at] if pattern[at] in "?-" else ""
        at += len(sign)
        if at < len(pattern) and pattern[at] == '"':
            end = pattern.find('"', at + 1)
            if end < 0:
                raise ApiError("InvalidParameterException", "Invalid filter pattern: unterminated quote")
            terms.append((sign, pattern[at + 1 : end]))
            at = end + 1
        else:
            end = next((i for i in range(at, len(pattern)) if pattern[i].isspace()), len(pattern))
            terms.append((sign, pattern[at:end]))
            at = end
    return terms


def _matches(message: str, terms: list[tuple[str, str]]) -> bool:
    optional = [text for sign, text in terms if sign == "?"]
    return (
        all(text in message for sign, text in terms if sign == "")
        and not any(text in message for sign, text in terms if sign == "-")
        and (not optional or any(text in message for text in optional))
    )
