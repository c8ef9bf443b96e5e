"""The same logs as files on disk: what `aws logs filter-log-events`, `gcloud logging read --format=json` and a shipper leave behind."""

from __future__ import annotations

import json
from pathlib import Path

from sandbox.cloudwatch_logs import event_id
from sandbox.emitted import Event
from sandbox.endpoints import Endpoint
from sandbox.instants import MS, iso_us


def write_export(endpoint: Endpoint, folder: Path, *, double_escaped: bool = False) -> Path:
    """
    Writes one file with every event, late ones included, copies as often as they are stored, and returns its path.

    Args:
        double_escaped: Lambda messages with tabs and line ends written out as backslashes, as tools that escape twice do.

    Raises:
        ValueError: a platform whose logs no tool exports.
    """
    folder.mkdir(parents=True, exist_ok=True)
    events = [event for event in endpoint.events for _ in range(event.copies)]
    path = folder / f"{endpoint.plan.name}.{'jsonl' if endpoint.plan.platform == 'runpod' else 'json'}"
    if endpoint.plan.platform == "aws-lambda":
        rows = [_lambda_row(event, double_escaped) for event in events]
        text = json.dumps({"events": rows, "searchedLogStreams": []}, indent=1)
    elif endpoint.plan.platform == "cloud-run":
        text = json.dumps([_entry(event) for event in events], indent=1)
    elif endpoint.plan.platform == "runpod":
        text = "".join(f"{event.payload}\n" for event in sorted(events, key=lambda e: (e.readable_us, e.at_us, e.order)))
    elif endpoint.plan.platform == "replicate":
        text = json.dumps({"results": [event.payload for event in reversed(events)], "next": None, "previous": None})
    else:
        raise ValueError(f"no export for {endpoint.plan.platform}")
    path.write_text(text, encoding="utf-8", newline="\n")
    return path


def _lambda_row(event: Event, double_escaped: bool) -> dict[str, object]:
    message = str(event.payload)
    if double_escaped:
        message = json.dumps(message, ensure_ascii=False)[1:-1]
    return {
        "logStreamName": event.stream,
        "timestamp": event.at_us // MS,
        "message": message,
        "ingestionTime": event.readable_us // MS,
        "eventId": event_id(event),
    }


def _entry(event: Event) -> dict[str, object]:
    if not isinstance(event.payload, dict):
        raise TypeError(f"a log entry is an object, not {type(event.payload).__name__}")
    return {**event.payload, "receiveTimestamp": iso_us(event.readable_us)}
