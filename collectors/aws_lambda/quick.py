"""
A batch of events at once, for speed alone (benchmarks/parsing.py): parse_batch gives what parse gives one by one.

The three text lines that every request has are taken apart as Arrow columns, handler lines are read one by one, and
whatever is odd in any way goes to parse.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import repeat
from typing import Any, NamedTuple

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from collectors.aws_lambda.facts import End, Failure, HandlerLine, LambdaFact, LogsDropped, Report, Start
from collectors.aws_lambda.parse import parse, parse_object
from collectors.aws_lambda.text_lines import APPLICATION_LINE
from collectors.lines import own_fields_of_batch
from trial.handler_line import MARK
from trial.ledger import Tally
from trial.records import Ignored, RawEvent, Rejected

Outcome = LambdaFact | Ignored | Rejected

_VERSION = re.compile(r" Version: (?:\$LATEST|\d{1,9})(?:\r?\n)?", re.ASCII)
_LINE_END = re.compile(r"(?:\r?\n)?")
_REPORT_END = re.compile(
    r"Memory Size: (\d{1,9}) MB\tMax Memory Used: (\d{1,9}) MB\t?"
    r"(?:Init Duration: (\d{1,9}(?:\.\d{1,6})?) ms\t?)?(?:\r?\n(?:XRAY [^\\]*)?)?",
    re.ASCII,
)
# Arrow's binary_slice needs an end; longer lines are none of these.
_STOP = 1000
# A NamedTuple's own constructor is a Python function; this is the C one beneath it.
_new = tuple.__new__


def parse_batch(events: Sequence[RawEvent], endpoint: Any) -> list[Outcome]:
    """One outcome per event, in order. Some thousands of events at a time are enough for the speed."""
    outcomes: list[Any] = [None] * len(events)
    own_group = all(stream[11:12] == "[" for stream in {event.stream for event in events})
    try:
        lines = pa.array([event.payload for event in events], type=pa.string()).cast(pa.binary()) if own_group else None
    except (pa.ArrowException, TypeError, UnicodeEncodeError):
        # Objects, and text that is none: lone surrogates.
        lines = None
    if isinstance(lines, pa.BinaryArray):
        short = pc.less(pc.binary_length(lines), _STOP)
        for prefix, read in _READERS:
            places = pc.indices_nonzero(pc.and_(pc.starts_with(lines, prefix), short))
            if len(places):
                _fill(outcomes, events, read(places, lines.take(places)))
        if endpoint.keep_warm is None:
            _fill_json(outcomes, events, pc.indices_nonzero(pc.starts_with(lines, b"{")).to_numpy().tolist(), endpoint)
    return [parse(event, endpoint) if outcome is None else outcome for event, outcome in zip(events, outcomes, strict=True)]


class _Found(NamedTuple):
    """Facts of one kind at these places of the batch, as the columns behind `at` and `stream`."""

    kind: type
    places: pa.Array
    columns: tuple[Iterable[Any], ...]


def _fill(outcomes: list[Any], events: Sequence[RawEvent], found: _Found) -> None:
    places = found.places.to_numpy().tolist()
    at = [events[place].at for place in places]
    stream = [events[place].stream for place in places]
    facts = map(partial(_new, found.kind), zip(at, stream, *found.columns, strict=False))
    for place, fact in zip(places, facts, strict=True):
        outcomes[place] = fact


def _starts(places: pa.Array, lines: pa.BinaryArray) -> _Found:
    return _id_alone(Start, places, lines, 17, _VERSION)


def _ends(places: pa.Array, lines: pa.BinaryArray) -> _Found:
    return _id_alone(End, places, lines, 15, _LINE_END)


def _id_alone(kind: type, places: pa.Array, lines: pa.BinaryArray, offset: int, rest: re.Pattern[str]) -> _Found:
    request_id = pc.binary_slice(lines, offset, offset + 36)
    whole = pc.and_(_is_id(request_id), _each(pc.binary_slice(lines, offset + 36, _STOP), rest, bool)[0])
    return _Found(kind, places.filter(whole), (_texts(request_id.filter(whole)),))


def _reports(places: pa.Array, lines: pa.BinaryArray) -> _Found:
    """Split at the units of Duration and Billed Duration: what stands behind them comes again and again."""
    parts = pc.split_pattern(lines, b" ms\t", max_splits=2)
    three = pc.equal(pc.list_value_length(parts), 3)
    places, parts = places.filter(three), parts.filter(three)
    head, billed, end = (pc.list_element(parts, n) for n in range(3))
    request_id, label, duration = pc.binary_slice(head, 18, 54), pc.binary_slice(head, 54, 65), pc.binary_slice(head, 65, _STOP)
    whole, ends = _each(end, _REPORT_END, _numbers_of)
    for other in (_is_id(request_id), pc.equal(label, b"\tDuration: "), _is_number(duration)):
        whole = pc.and_(whole, other)
    whole = pc.and_(whole, pc.and_(pc.starts_with(billed, b"Billed Duration: "), _is_number(pc.binary_slice(billed, 17, _STOP))))
    chosen = [found for found, good in zip(ends, whole.to_numpy(zero_copy_only=False).tolist(), strict=True) if good]
    size, used, init = zip(*chosen, strict=True) if chosen else ((), (), ())
    columns: tuple[Iterable[Any], ...] = (
        _texts(request_id.filter(whole)),
        _floats(duration.filter(whole)),
        _floats(pc.binary_slice(billed.filter(whole), 17, _STOP)),
        size,
        used,
        init,
        *[repeat(None)] * 4,
    )
    return _Found(Report, places.filter(whole), columns)


_READERS: tuple[tuple[bytes, Callable[[pa.Array, pa.BinaryArray], _Found]], ...] = (
    (b"START RequestId: ", _starts),
    (b"END RequestId: ", _ends),
    (b"REPORT RequestId: ", _reports),
)


def _is_id(column: pa.BinaryArray) -> pa.BooleanArray:
    return pc.and_(pc.equal(pc.binary_length(column), 36), pc.match_substring_regex(column, "^[0-9A-Za-z-]+$"))


def _is_number(column: pa.BinaryArray) -> pa.BooleanArray:
    return pc.and_(pc.match_substring_regex(column, r"^\d+\.?\d*$"), pc.less(pc.binary_length(column), 16))


def _floats(column: pa.BinaryArray) -> list[float]:
    return column.cast(pa.string()).cast(pa.float64()).to_numpy().tolist()


def _texts(column: pa.BinaryArray) -> list[str]:
    return column.cast(pa.string()).to_pylist()


def _each(column: pa.BinaryArray, pattern: re.Pattern[str], read: Callable[[Any], Any]) -> tuple[pa.BooleanArray, list[Any]]:
    """Which values match the pattern whole, and what `read` makes of each; every distinct value is looked at once."""
    encoded = column.dictionary_encode()
    found = [match and read(match) for match in map(pattern.fullmatch, _texts(encoded.dictionary))]
    good = pa.array([value is not None for value in found], type=pa.bool_()).take(encoded.indices)
    return good, list(map(found.__getitem__, encoded.indices.to_numpy().tolist()))


def _numbers_of(match: re.Match[str]) -> tuple[float | None, ...]:
    return tuple([float(group) if group else None for group in match.groups()])


def _fill_json(outcomes: list[Any], events: Sequence[RawEvent], places: list[int], endpoint: Any) -> None:
    own_places, own = [], []
    for place in places:
        event = events[place]
        try:
            data = orjson.loads(event.payload)  # type: ignore[arg-type]
        except orjson.JSONDecodeError:
            continue
        if MARK in data and "type" not in data:
            own_places.append(place)
            own.append(data)
        else:
            outcomes[place] = parse_object(data, event.payload, event, endpoint)
    for place, fields in zip(own_places, own_fields_of_batch(own), strict=True):
        event = events[place]
        if fields.__class__ is dict:
            # A line without fields says nothing, like any other.
            outcomes[place] = _new(HandlerLine, (event.at, event.stream, fields.get("request_id"), fields)) if fields else APPLICATION_LINE
        else:
            outcomes[place] = Rejected(reason="broken_handler_line", detail=str(fields)[:300])


_KINDS: dict[type, str] = {
    Start: "start",
    End: "end",
    Report: "report",
    HandlerLine: "handler_line",
    Failure: "failure",
    LogsDropped: "logs_dropped",
}


def account(outcomes: Sequence[Outcome], tally: Tally) -> None:
    """Adds a batch's outcomes to the ledger's counts by kind or reason; `read` and duplicates are the caller's."""
    by_type = Counter(map(type, outcomes))
    for kind, count in by_type.items():
        if kind in _KINDS:
            tally.used[_KINDS[kind]] += count
    if by_type.keys() <= _KINDS.keys():
        return
    for outcome in outcomes:
        if isinstance(outcome, Ignored):
            tally.ignored[outcome.reason] += 1
        elif isinstance(outcome, Rejected):
            tally.rejected[outcome.reason] += 1
        elif type(outcome) not in _KINDS:
            tally.used[outcome.kind] += 1
