"""
A batch of events at once, for speed alone (benchmarks/parsing.py): parse_batch gives what parse gives one by one.

Nearly all lines have the four shapes that are taken apart here by slices and splits, with what comes again and again looked
up whole. Whatever is odd in any way goes to parse.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from collectors.aws_lambda.facts import End, HandlerLine, Init, LambdaFact, Report, Start
from collectors.aws_lambda.parse import OWN, parse
from collectors.lines import own_fields
from trial.ledger import Tally
from trial.records import Ignored, RawEvent, Rejected

Outcome = LambdaFact | Ignored | Rejected

_LINE_ENDS = frozenset({"", "\n", "\r\n"})
_KEPT = 20_000


class _Billed(dict[str, float]):
    """Billed durations by their field's text."""

    def __missing__(self, text: str) -> float:
        number = text[17:]
        if text[:17] != "Billed Duration: " or not number.isdecimal() or len(number) > 12:
            raise ValueError(text)
        value = float(number)
        if len(self) < _KEPT:
            self[text] = value
        return value


class _ReportEnds(dict[str, tuple[float, float, float | None]]):
    """Memory size, memory used and Init Duration by the end of a REPORT line, with X-Ray's line where there is one."""

    _END = re.compile(
        r"Memory Size: (\d{1,9}) MB\tMax Memory Used: (\d{1,9}) MB\t?"
        r"(?:Init Duration: (\d{1,9}(?:\.\d{1,6})?) ms\t?)?(?:\r?\n(?:XRAY [^\\]*)?)?",
        re.ASCII,
    )

    def __missing__(self, text: str) -> tuple[float, float, float | None]:
        match = self._END.fullmatch(text)
        if match is None:
            raise ValueError(text)
        size, used, init = match.groups()
        found = (float(size), float(used), float(init) if init else None)
        # Those with an Init Duration or a trace are all different.
        if init is None and len(text) < 60 and len(self) < _KEPT:
            self[text] = found
        return found


_BILLED = _Billed()
_REPORT_ENDS = _ReportEnds()


def parse_batch(events: Iterable[RawEvent], endpoint: Any) -> list[Outcome]:
    """One outcome per event, in order."""
    outcomes: list[Outcome] = []
    put = outcomes.append
    plain = endpoint.keep_warm is None
    versions: set[str] = set()
    # Ids whose characters were looked at: START, END and REPORT of a request carry the same.
    ids: set[str] = set()
    for event in events:
        text, stream = event.payload, event.stream
        if type(text) is str and stream[11:12] == "[":
            first = text[:1]
            if first == "R":
                try:
                    head, billed, end = text.split(" ms\t", 2)
                    request_id, duration = head[18:54], head[65:]
                    if (
                        (request_id in ids or _is_id(request_id, ids))
                        and head[:18] == "REPORT RequestId: "
                        and head[54:65] == "\tDuration: "
                        and duration.replace(".", "", 1).isdecimal()
                        and len(duration) < 16
                    ):
                        size, used, init_ms = _REPORT_ENDS[end]
                        put(Report(event.at, stream, request_id, float(duration), _BILLED[billed], size, used, init_ms))
                        continue
                except ValueError:
                    pass
            elif first == "S":
                request_id, rest = text[17:53], text[53:]
                if (
                    (request_id in ids or _is_id(request_id, ids))
                    and (rest in versions or _is_version(rest, versions))
                    and text[:17] == "START RequestId: "
                ):
                    put(Start(event.at, stream, request_id))
                    continue
            elif first == "E":
                request_id = text[15:51]
                if (request_id in ids or _is_id(request_id, ids)) and text[51:] in _LINE_ENDS and text[:15] == "END RequestId: ":
                    put(End(event.at, stream, request_id))
                    continue
            elif plain and text[:13] == OWN:
                fields = own_fields(text)
                if fields is not None:
                    put(HandlerLine(event.at, stream, fields.get("request_id"), fields))
                    continue
        put(parse(event, endpoint))
    return outcomes


def account(outcomes: Sequence[Outcome], tally: Tally) -> None:
    """Adds a batch's outcomes to the ledger's counts by kind or reason; `read` and duplicates are the caller's."""
    by_type = Counter(map(type, outcomes))
    for kind, count in by_type.items():
        if kind not in (Init, Ignored, Rejected):
            tally.used[kind.kind] += count  # type: ignore[attr-defined]
    if by_type.keys() & {Init, Ignored, Rejected}:
        for outcome in outcomes:
            if isinstance(outcome, Ignored):
                tally.ignored[outcome.reason] += 1
            elif isinstance(outcome, Rejected):
                tally.rejected[outcome.reason] += 1
            elif isinstance(outcome, Init):
                tally.used[outcome.kind] += 1


def _is_id(text: str, ids: set[str]) -> bool:
    if len(text) == 36 and text.isprintable() and " " not in text and "\\" not in text:
        ids.add(text)
        return True
    return False


def _is_version(text: str, versions: set[str]) -> bool:
    version = text[10:].rstrip("\r\n")
    if text[:10] == " Version: " and (version == "$LATEST" or (version.isascii() and version.isdecimal())):
        versions.add(text)
        return True
    return False
