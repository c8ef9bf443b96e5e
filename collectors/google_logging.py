"""Cloud Logging's entries.list, page by page, as plain JSON objects."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from collectors.google_api import Clients, Pace
from collectors.google_entry import to_event
from collectors.google_errors import mapped
from trial.errors import Malformed
from trial.meter import Meter
from trial.records import RawEvent

PAGE_SIZE = 1000  # the most the API takes; its own default is 50


def read_events(clients: Clients, *, project: str, filter: str, find: str, meter: Meter) -> Iterator[RawEvent]:
    """
    The entries that the filter matches, as raw events, oldest first.

    Args:
        find: what to do where there is no such project, log or service.

    Raises:
        Denied, NotFound, Throttled, Unreachable, Malformed: mapped from what the client raised, after retries.
    """
    where = f"Cloud Logging of project {project}"
    grant = f"Grant roles/logging.viewer on project {project}, or the permission logging.logEntries.list"
    with mapped(where=where, grant=grant, find=find):
        for entry in list_entries(clients.logging, project=project, filter=filter, pace=clients.logging_pace, meter=meter):
            try:
                event = to_event(entry)
            except ValueError as exc:
                raise Malformed(str(exc), where=where, do="Please report this: entries of the API always have both") from exc
            yield event


def list_entries(client: Any, *, project: str, filter: str, pace: Pace, meter: Meter) -> Iterator[dict[str, Any]]:
    """
    Every entry the filter matches, oldest first, as `gcloud logging read --format=json` would print it.

    A page may be empty and still name a next one; only a missing token ends the list. Numbers inside jsonPayload arrive as
    floats, because gRPC's Struct knows no other.

    Raises:
        google.api_core.exceptions.GoogleAPIError: as the client raises it, after the pace's attempts.
    """
    from google.cloud.logging_v2.types import ListLogEntriesRequest, ListLogEntriesResponse
    from google.protobuf.json_format import MessageToDict

    token = ""
    while True:
        request = ListLogEntriesRequest(
            resource_names=[f"projects/{project}"], filter=filter, order_by="timestamp asc", page_size=PAGE_SIZE, page_token=token
        )

        def send(request: ListLogEntriesRequest = request) -> ListLogEntriesResponse:
            # One page per call, so that every call waits its turn and is counted; the pager would fetch further ones unseen.
            pager = client.list_log_entries(request=request, retry=None, timeout=pace.timeout_s)
            return next(iter(pager.pages))

        page = ListLogEntriesResponse.pb(pace.call(send, meter=meter))
        meter.bytes += page.ByteSize()
        meter.events += len(page.entries)
        for entry in page.entries:
            yield _ordered(MessageToDict(entry))
        token = page.next_page_token
        if not token:
            return


def _ordered(value: Any) -> Any:
    """Keys in order: protobuf's maps have none, and an entry that is read again must be stored as the same bytes."""
    if isinstance(value, dict):
        return {key: _ordered(value[key]) for key in sorted(value)}
    return [_ordered(item) for item in value] if isinstance(value, list) else value
