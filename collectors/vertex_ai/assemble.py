"""Handler lines as invocations: on Vertex AI nothing else speaks of a single request."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any

from collectors.vertex_ai.facts import HandlerLine
from trial.calendar import Calendar
from trial.records import Cold, Incomplete, Instance, Invocation

PLATFORM = "vertex-ai"
# The front end ends a request long before this; a longer handler_ms is not used to reckon back to its start.
LONGEST_MS = 3_600_000.0


def assemble(facts: Iterable[HandlerLine], endpoint: Any, calendar: Calendar) -> Iterator[Invocation | Incomplete | Instance]:
    """
    One invocation per handler line, at once; replicas at the end.

    A request starts handler_ms before its line. What the caller waited is not known: `latency_ms` stays empty.
    """
    seen: dict[str, tuple[datetime, datetime]] = {}
    for line in facts:
        fields = line.fields
        replica = line.replica_id or fields.get("instance")
        started_at = line.at - timedelta(milliseconds=min(fields.get("handler_ms", 0.0), LONGEST_MS))
        if replica:
            first, last = seen.get(replica, (started_at, line.at))
            seen[replica] = (min(first, started_at), max(last, line.at))
        cold, reason, waited = _cold(fields)
        synthetic = fields.get("synthetic", False)
        yield Invocation(
            platform=PLATFORM,
            endpoint=endpoint.name,
            day=calendar.day_of(started_at),
            request_id=fields.get("request_id") or None,
            instance_id=replica or None,
            started_at=started_at,
            gpu_ms_source=fields.get("gpu_ms_source", "none") if "gpu_ms" in fields else "none",
            cold=cold,
            cold_reason=reason,
            waited=False if waited and synthetic else waited,
            model=fields.get("model") or endpoint.model,
            synthetic=synthetic,
            load_ms=fields.get("load_ms"),
            handler_ms=fields.get("handler_ms"),
            gpu_ms=fields.get("gpu_ms"),
            input_tokens=fields.get("input_tokens"),
            output_tokens=fields.get("output_tokens"),
            ttft_ms=fields.get("ttft_ms"),
        )
    for replica, (first, last) in sorted(seen.items(), key=lambda item: (item[1], item[0])):
        yield Instance(endpoint=endpoint.name, id=replica, first_seen_at=first, last_seen_at=last)


def _cold(fields: dict[str, Any]) -> tuple[Cold, str | None, bool | None]:
    """
    A replica takes traffic only once its health route answers, so a request can meet a cold model, not a cold replica.

    A model loaded within the request is a cold hit. The handler's own first-request flag alone is cold but not waited for.
    """
    load_ms, handler_ms = fields.get("load_ms", 0), fields.get("handler_ms")
    if load_ms > 0 and (handler_ms is None or load_ms <= handler_ms):
        return "cold", "lazy_load", True
    if fields.get("cold_start"):
        return "cold", "handler_flag", False
    return "warm", None, None
