"""
A batch of events at once, for speed alone (benchmarks/parsing.py): parse_batch gives what parse gives one by one.

Nearly all lines have the four shapes that are taken apart here, with what comes again and again looked up whole; whatever is
odd in any way goes to parse.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from collectors.aws_lambda.facts import End, HandlerLine, LambdaFact, Report, Start
from collectors.aws_lambda.parse import OWN, parse
from collectors.lines import own_line
from trial.records import Ignored, RawEvent, Rejected

Outcome = LambdaFact | Ignored | Rejected

# As Lambda writes ids and figures: sets of characters, which are matched faster than \w and \d.
_ID = "([0-9a-f-]{36})"
_START = re.compile(rf"START RequestId: {_ID} Version: (?:\$LATEST|[0-9]{{1,9}})\n?").fullmatch
_END = re.compile(rf"END RequestId: {_ID}\n?").fullmatch
_REPORT = re.compile(
    rf"REPORT RequestId: {_ID}\tDuration: ([0-9]{{1,9}}\.[0-9]{{1,6}}) ms\tBilled Duration: ([0-9]{{1,9}}) ms\t(.*)", re.DOTALL
).fullmatch
_KEPT = 20_000


class _ReportEnds(dict[str, tuple[float, float, float | None]]):
    """Memory size, memory used and Init Duration by the end of a REPORT line, with X-Ray's line where there is one."""

    _LAST = r"\t?(?:\r?\n(?:XRAY [^\\]*)?)?"
    _MEMORY = re.compile(rf"Memory Size: ([0-9]{{1,9}}) MB\tMax Memory Used: ([0-9]{{1,9}}) MB{_LAST}").fullmatch
    _INIT = re.compile(rf"([0-9]{{1,9}}(?:\.[0-9]{{1,6}})?) ms{_LAST}").fullmatch

    def __missing__(self, text: str) -> tuple[float, float, float | None]:
        memory, between, after = text.partition("\tInit Duration: ")
        if between and "\n" not in memory:
            init = self._INIT(after)
            if init is None:
                raise ValueError(text)
            size, used, _ = self[memory]
            return size, used, float(init[1])
        match = self._MEMORY(text)
        if match is None:
            raise ValueError(text)
        found = (float(match[1]), float(match[2]), None)
        # Those with a trace are all different.
        if len(text) < 60 and len(self) < _KEPT:
            self[text] = found
        return found


_REPORT_ENDS = _ReportEnds()


def parse_batch(events: Iterable[RawEvent], endpoint: Any) -> list[Outcome]:
    """One outcome per event, in order."""
    outcomes: list[Outcome] = []
    put = outcomes.append
    plain = endpoint.keep_warm is None
    for event in events:
        text: Any = event.payload
        stream = event.stream
        try:
            # A stream of the function's own group; those of a shared one have its name where these have the version.
            if stream[11] == "[":
                first = text[0]
                if first == "R":
                    match = _REPORT(text)
                    if match is not None:
                        request_id, duration, billed, end = match.groups()
                        size, used, init_ms = _REPORT_ENDS[end]
                        put(Report(event.at, stream, request_id, float(duration), float(billed), size, used, init_ms))
                        continue
                elif first == "S":
                    match = _START(text)
                    if match is not None:
                        put(Start(event.at, stream, match[1]))
                        continue
                elif first == "E":
                    match = _END(text)
                    if match is not None:
                        put(End(event.at, stream, match[1]))
                        continue
                elif first == "{" and plain and text[:13] == OWN:
                    line = own_line(text)
                    if line is not None:
                        put(HandlerLine(event.at, stream, line.request_id, line))
                        continue
        except (LookupError, ValueError):
            # Not text, empty, or a REPORT that goes on in an unusual way.
            pass
        put(parse(event, endpoint))
    return outcomes
