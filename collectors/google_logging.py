"""Cloud Logging's entries.list, page by page, as plain JSON objects."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from collectors.google_api import Pace
from trial.meter import Meter

PAGE_SIZE = 1000  # the most the API takes; its own default is 50


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
