"""One line of a RunPod worker, or one job object, judged alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from collectors.files import MAX_LINE_BYTES
from collectors.lines import LONGEST_MS, handler_fields, impossible
from collectors.runpod.envelope import Envelope, unwrap
from collectors.runpod.facts import HandlerLine, Job, RunpodFact, SdkLine
from collectors.serving_lines import ServingLine, read_serving_line
from trial.records import Ignored, RawEvent, Rejected, Status

# Statuses of a job that is over; "Captured Handler Exception" and "Finished." both end the SDK's account of it.
_OVER: dict[str, Status] = {"COMPLETED": "ok", "FAILED": "error", "CANCELLED": "aborted", "TIMED_OUT": "timeout"}
_RUNNING = frozenset(("IN_QUEUE", "IN_PROGRESS", "RUNNING"))
_SDK_EVENTS = {"Started.": "started", "Finished.": "finished", "Captured Handler Exception": "failed"}
_SDK_CHATTER = ("Job Queued", "Jobs in queue", "Jobs in progress", "Running ", "All fitness checks", "Handler output:", "run_job return:")
_BANNER = "--- Starting Serverless Worker"


def parse(event: RawEvent, endpoint: Any) -> RunpodFact | Ignored | Rejected:
    """
    A handler line, a job object, one of the SDK's own lines, or none of them; never fails, whatever was printed.

    Rejected are lines that would say something if they were whole: a broken or oversized JSON line, a handler line cut
    in two, a job object without an id.
    """
    payload = event.payload
    if isinstance(payload, str):
        if len(payload) > MAX_LINE_BYTES:
            return Rejected(reason="line_too_long", detail=f"longer than {MAX_LINE_BYTES} bytes")
        if not payload or payload.isspace():
            return Ignored(reason="blank")
    line = unwrap(payload)
    if line.system:
        return Ignored(reason="platform_line")
    try:
        found = told(line, endpoint)
    except (ValueError, OverflowError, RecursionError) as exc:
        return _broken(line, str(exc))
    if isinstance(found, Ignored):
        return found
    if found is not None:
        if (flaw := impossible(found.fields)) is not None:
            return Rejected(reason="impossible_value", detail=flaw)
        if found.kind == "worker_start":
            return SdkLine(at=event.at, event="worker_start", stream=event.stream, timed=line.at is not None)
        return HandlerLine(at=event.at, fields=found.fields, stream=event.stream, status=found.status, foreign_id=found.foreign_id)
    if isinstance(line.body, dict):
        return _from_object(line, line.body, event)
    return _from_text(line, event)


def told(line: Envelope, endpoint: Any) -> ServingLine | Ignored | None:
    """
    What the line says of a request in a handler line's fields: a handler line, or a serving framework's own line.

    Raises:
        ValueError, OverflowError, RecursionError: it claims to say something and is broken.
    """
    found = handler_fields(line.body, endpoint)
    if found is None:
        served = read_serving_line(line.text) if isinstance(line.body, str) else None
        if isinstance(served, ServingLine) and line.at is not None:
            served.fields.setdefault("ts", line.at)  # BentoML's own time was taken for the console's
        return served
    if "request_id" not in found and line.request_id:
        found["request_id"] = line.request_id
    return ServingLine(kind="request", fields=found, foreign_id=False)


def _broken(line: Envelope, detail: str) -> Rejected:
    if "...TRUNCATED " in line.text:
        return Rejected(reason="truncated_handler_line", detail=detail[:200])
    return Rejected(reason="broken_json" if line.broken else "broken_handler_line", detail=detail[:200])


def _from_object(line: Envelope, data: Mapping[str, Any], event: RawEvent) -> RunpodFact | Ignored | Rejected:
    status = data.get("status")
    if "delayTime" in data or "executionTime" in data or (isinstance(status, str) and (status in _OVER or status in _RUNNING)):
        return _job(line, data, event)
    if line.level is not None:
        return _sdk(line, event)
    return Ignored(reason="other_json")


def _from_text(line: Envelope, event: RawEvent) -> RunpodFact | Ignored | Rejected:
    text = line.text
    if line.level is not None or text.startswith(_BANNER):
        return _sdk(line, event)
    if text[:1] == "{":
        # print(dict) is Python's repr, a well-known slip and no JSON: it says nothing reliable, and is no damage either.
        if text[1:2] == "'" or text == "{" or text == "{}":
            return Ignored(reason="python_repr" if text[1:2] == "'" else "json_fragment")
        return Rejected(reason="broken_json", detail=text[:200])
    if '"fortnight":' in text:
        return Rejected(reason="split_handler_line", detail=text[:200])
    if text.startswith(("id: ", "event: ", "retry: ", ": ")):
        return Ignored(reason="event_stream_field")
    if "...TRUNCATED " in text:
        return Ignored(reason="truncated")
    return Ignored(reason="text")


def _sdk(line: Envelope, event: RawEvent) -> RunpodFact | Ignored | Rejected:
    text, timed = line.text, line.at is not None
    if text.startswith(_BANNER):
        return SdkLine(at=event.at, event="worker_start", stream=event.stream, timed=timed)
    known = _SDK_EVENTS.get(text.strip())
    if known is not None and line.request_id is not None:
        return SdkLine(at=event.at, event=known, stream=event.stream, request_id=line.request_id, timed=timed)
    if "...TRUNCATED " in text:
        lost = '"fortnight":' in text
        return Rejected(reason="truncated_handler_line", detail=text[:200]) if lost else Ignored(reason="truncated")
    if '"error_type"' in text or text.strip() == "{":
        # The exception's own lines: the failure was counted with "Captured Handler Exception", which carries the id.
        return Ignored(reason="error_detail")
    if text.startswith(_SDK_CHATTER):
        return Ignored(reason="sdk_chatter")
    return Ignored(reason="log_record")


def _job(line: Envelope, data: Mapping[str, Any], event: RawEvent) -> Job | Ignored | Rejected:
    status, job_id, worker = data.get("status"), data.get("id"), data.get("workerId")
    if isinstance(status, str) and status in _RUNNING:
        return Ignored(reason="job_not_finished")
    if not isinstance(job_id, str) or not job_id:
        return Rejected(reason="job_without_id")
    if not isinstance(status, str) or status not in _OVER:
        return Rejected(reason="job_status", detail=f"status {str(status)[:60]!r}")
    flaws = [name for name in ("delayTime", "executionTime") if data.get(name) is not None and _ms(data[name]) is None]
    return Job(
        at=event.at,
        id=job_id,
        status=_OVER[status],
        delay_ms=_ms(data.get("delayTime")),
        execution_ms=_ms(data.get("executionTime")),
        worker=worker if isinstance(worker, str) and worker else None,
        timed=line.at is not None,
        flaw=f"{flaws[0]} is {str(data[flaws[0]])[:40]}" if flaws else None,
    )


def _ms(value: Any) -> float | None:
    """Milliseconds as given; None for what cannot be a duration (negative, not finite, not a number)."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if 0 <= value <= LONGEST_MS else None
