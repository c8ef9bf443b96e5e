"""Platform lines of Lambda's text format, with tabs as written or spaces as copied."""

from __future__ import annotations

import re
from datetime import datetime

from collectors.aws_lambda.facts import End, Failure, Init, LambdaFact, Report, Start
from collectors.lines import LONGEST_MS
from trial.records import Ignored, Rejected

Outcome = LambdaFact | Ignored | Rejected

APPLICATION_LINE = Ignored(reason="application_line")
EXTENSION = Ignored(reason="extension")
XRAY = Ignored(reason="xray")
BLANK = Ignored(reason="blank")

# `Label: value unit`, where the label is taken whole: "Post Runtime Duration" and "Init Duration" end in "Duration" too.
_FIELD = re.compile(r"[\t ]*([A-Z][A-Za-z]*(?: [A-Z][A-Za-z]*)*): *([^\s:]\S*)(?: +(ms|MB)(?![^\s]))?(?=\s|$)")
# A label no one knows yet is passed over whole, but only between tabs: elsewhere its end cannot be told from a cut.
_LATER_FIELD = re.compile(r"[\t ]*\t((?!(?:Duration|Billed |Memory |Max |Init |Restore |Status|Error ))[A-Z][^\t:]*): ([^\t]+)()")
_ID = re.compile(r"(START|END|REPORT) RequestId: *(\S+)")
_VERSION = re.compile(r"\s+Version: \S+\s*$")
# The lines as the platform writes them, whole: nine in ten text lines, and five times as fast as field by field.
_USUAL = re.compile(
    r"(?:START RequestId: ([\w-]+) Version: [$\w]+|END RequestId: ([\w-]{36})"
    r"|REPORT RequestId: ([\w-]+)\tDuration: (\d{1,9}(?:\.\d{1,6})?) ms\tBilled Duration: (\d{1,9}) ms"
    r"\tMemory Size: (\d{1,9}) MB\tMax Memory Used: (\d{1,9}) MB"
    r"(?:\tInit Duration: (\d{1,9}(?:\.\d{1,6})?) ms)?(?:\t?\nXRAY [^\\]*)?)",
    re.ASCII,
)
# Console copies and `aws logs tail` put the event's time in front.
_TIMED = re.compile(
    r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d[.,\d]*(?:Z|[+-]\d\d:?\d\d)?[\t ]+(?=START |END |REPORT |INIT_|RESTORE_|EXTENSION|XRAY )"
)
_TIMED_OUT = re.compile(r"(?:\S+ )?(\S+) Task timed out after [\d.]+ seconds")
_EXITED = re.compile(r"RequestId: (\S+) (?:Error: Runtime exited|Error: Runtime failed|Process exited before completing)")

REPORT_UNITS = {
    "Duration": "ms",
    "Billed Duration": "ms",
    "Memory Size": "MB",
    "Max Memory Used": "MB",
    "Init Duration": "ms",
    "Restore Duration": "ms",
    "Billed Restore Duration": "ms",
}
_REQUIRED = ("Duration", "Billed Duration", "Memory Size", "Max Memory Used")
STATUSES = frozenset({"success", "error", "failure", "timeout"})


def parse_text(text: str, *, at: datetime, stream: str) -> Outcome:
    """One event's text, stripped of surrounding white space; platform lines are judged by their first physical line."""
    usual = _USUAL.fullmatch(text)
    if usual is not None:
        started, ended, reported, duration, billed, size, used, init = usual.groups()
        if started is not None:
            return Start(at, stream, started)
        if ended is not None:
            return End(at, stream, ended)
        init_ms = None if init is None else float(init)
        return Report(at, stream, reported, float(duration), float(billed), float(size), float(used), init_ms)
    if text[0].isdigit():
        timed = _TIMED.match(text)
        if timed is not None:
            text = text[timed.end() :]
    if "\\t" in text or "\\n" in text:
        text = _unescaped(text)
    line = re.split(r"[\r\n]", text, maxsplit=1)[0]
    match = _ID.match(line)
    if match is not None:
        word, request_id = match[1], match[2]
        if word == "REPORT":
            return parse_report(line, match.end(), request_id, at=at, stream=stream)
        if word == "START":
            complete = _VERSION.match(line, match.end()) is not None
            return Start(at, stream, request_id) if complete else Rejected(reason="truncated_start", detail=line[:200])
        complete = len(request_id) == 36 and not line[match.end() :].strip()
        return End(at, stream, request_id) if complete else Rejected(reason="truncated_end", detail=line[:200])
    if line.startswith(("INIT_", "RESTORE_")):
        return _parse_init(line, at=at, stream=stream)
    if line.startswith("EXTENSION") and "Name:" in line:
        return EXTENSION
    if line.startswith("XRAY TraceId:"):
        return XRAY
    if "Task timed out after" in line:
        match = _TIMED_OUT.match(line)
        if match is not None:
            return Failure(at, stream, match[1], "timeout")
    if line.startswith("RequestId: "):
        match = _EXITED.match(line)
        if match is not None:
            return Failure(at, stream, match[1], "error")
    return APPLICATION_LINE


def parse_report(line: str, start: int, request_id: str, *, at: datetime, stream: str) -> Outcome:
    """
    A REPORT line from `start`, just behind its request id.

    Rejected where it is cut: a missing label, a value without its unit or a fragment at the end may hide an Init Duration.
    """
    found: dict[str, str] = {}
    position, end = start, len(line.rstrip())
    while position < end:
        match = _FIELD.match(line, position) or _LATER_FIELD.match(line, position)
        if match is None:
            return _cut(found, line)
        label, value, unit = match.groups()
        if label in found or unit != REPORT_UNITS.get(label, unit):
            return _cut(found, line)
        found[label] = value
        position = match.end()
    if any(label not in found for label in _REQUIRED):
        return _cut(found, line)
    try:
        numbers = {label: _number(found[label]) for label in REPORT_UNITS if label in found}
    except ValueError:
        return Rejected(reason="malformed_report", detail=line[:300])
    status = found.get("Status")
    if status is not None and status not in STATUSES:
        return Rejected(reason="malformed_report", detail=line[:300])
    return Report(
        at,
        stream,
        request_id,
        numbers["Duration"],
        numbers["Billed Duration"],
        numbers["Memory Size"],
        numbers["Max Memory Used"],
        numbers.get("Init Duration"),
        numbers.get("Restore Duration"),
        numbers.get("Billed Restore Duration"),
        status,
        found.get("Error Type"),
    )


def _cut(found: dict[str, str], line: str) -> Outcome:
    # The Datadog extension prints REPORT lines of its own, with `Runtime Duration` where the platform has `Billed Duration`.
    if "Runtime Duration" in found and "Billed Duration" not in found:
        return Ignored(reason="report_lookalike")
    return Rejected(reason="truncated_report", detail=line[:300])


def _number(text: str) -> float:
    value = float(text)
    if not 0 <= value <= LONGEST_MS or not text[0].isdigit():
        raise ValueError(text)
    return value


def _parse_init(line: str, *, at: datetime, stream: str) -> Outcome:
    word, _, rest = line.partition(" ")
    if word == "INIT_START":
        return Init(at, stream, "init_start")
    if word == "RESTORE_START":
        return Init(at, stream, "restore_start")
    if word not in ("INIT_REPORT", "RESTORE_REPORT"):
        return APPLICATION_LINE
    duration_label = "Init Duration" if word == "INIT_REPORT" else "Restore Duration"
    found: dict[str, str] = {}
    position, rest = 0, rest.rstrip()
    while position < len(rest):
        match = _FIELD.match(rest, position)
        if match is None or (match[1] == duration_label and match[3] != "ms"):
            return Rejected(reason="truncated_init_report", detail=line[:300])
        found[match[1]] = match[2]
        position = match.end()
    status, phase = found.get("Status"), found.get("Phase")
    try:
        duration_ms = _number(found[duration_label]) if duration_label in found else None
    except ValueError:
        return Rejected(reason="malformed_init_report", detail=line[:300])
    if duration_ms is None and status is None:
        return Rejected(reason="truncated_init_report", detail=line[:300])
    if status not in (None, *STATUSES) or phase not in (None, "init", "invoke"):
        return Rejected(reason="malformed_init_report", detail=line[:300])
    step = "init_report" if word == "INIT_REPORT" else "restore_report"
    return Init(at, stream, step, phase=phase, status=status, duration_ms=duration_ms)  # type: ignore[arg-type]


def _unescaped(text: str) -> str:
    """Exports in the wild escape twice: a backslash and a t where the tab was."""
    if not text.startswith(("REPORT ", "START ", "END ", "INIT_", "RESTORE_", "EXTENSION", "XRAY ")):
        return text
    return text.replace("\\t", "\t").replace("\\r", "\r").replace("\\n", "\n").strip()
