"""One Vertex AI log entry, judged alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from collectors.google_entry import label, log_id, mapping, resource_label, text
from collectors.lines import handler_fields
from collectors.serving_lines import request_fields
from collectors.vertex_ai.facts import HandlerLine
from trial.records import Ignored, RawEvent, Rejected

RESOURCE = "aiplatform.googleapis.com/Endpoint"
ACCESS, CONTAINER = "aiplatform.googleapis.com/prediction_access", "aiplatform.googleapis.com/prediction_container"


def parse(event: RawEvent, endpoint: Any) -> HandlerLine | Ignored | Rejected:
    """
    One entry of an endpoint's container or access log.

    An access entry is passed over as "access_entry": it has neither an id nor a latency, so nothing can be joined with it,
    and Cloud Monitoring counts the same requests. The ledger still says how many there were.
    """
    entry = event.payload
    if not isinstance(entry, Mapping):
        return Rejected(reason="not_an_entry", detail="expected a log entry as a JSON object")
    if text(mapping(entry.get("resource")).get("type")) not in (RESOURCE, ""):
        return Ignored(reason="other_resource")
    for name, wanted, reason in (("endpoint_id", endpoint.endpoint_id, "other_endpoint"), ("location", endpoint.region, "other_region")):
        given = resource_label(entry, name)
        if given is not None and given != wanted:
            return Ignored(reason=reason)
    log = log_id(entry)
    if log == ACCESS:
        return Ignored(reason="access_entry")
    if log != CONTAINER:
        return Ignored(reason="other_log")
    # Containers' text arrives as jsonPayload.message, their JSON as jsonPayload itself.
    printed = entry.get("jsonPayload")
    if not isinstance(printed, Mapping):
        printed = text(entry.get("textPayload"))
    elif set(printed) == {"message"} and isinstance(printed["message"], str):
        printed = printed["message"]
    try:
        fields = handler_fields(printed, endpoint)
        served = request_fields(printed) if fields is None and isinstance(printed, str) else None
    except ValueError as exc:
        return Rejected(reason="handler_line", detail=str(exc))
    if isinstance(served, Ignored):
        return served
    fields = served or fields
    if fields is None:
        return Ignored(reason="application_line")
    return HandlerLine(at=event.at, replica_id=label(entry, "replica_id"), fields=fields)
