"""What a Cloud Run log entry can say about a request or an instance."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar

AUTOSCALING = "AUTOSCALING"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """
    An entry of the request log; `at` is when Google's front end took the request, not when it logged it.

    Args:
        request_id: the trace id, or the entry's insertId where there is no trace.
        instance_id: None for a request that reached no instance.
        latency: the whole time until the response was sent, waiting included; None where the entry has none.
        status: the HTTP status; 0 where no response was sent.
        synthetic: it matches the endpoint's keep_warm.path.
    """

    kind: ClassVar[str] = "request"
    at: datetime
    request_id: str
    trace: str | None
    instance_id: str | None
    revision: str | None
    latency: timedelta | None
    status: int
    synthetic: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceStart:
    """ "Starting new instance"; `reason` is its token, such as AUTOSCALING. Older entries lack the instance."""

    kind: ClassVar[str] = "instance_start"
    at: datetime
    instance_id: str | None
    revision: str | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceReady:
    """A start-up probe succeeded. The line comes up to 0.35 s after the instance began to serve."""

    kind: ClassVar[str] = "instance_ready"
    at: datetime
    instance_id: str | None
    revision: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceExit:
    """The container ended."""

    kind: ClassVar[str] = "instance_exit"
    at: datetime
    instance_id: str | None
    revision: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class HandlerLine:
    """
    What the handler printed for one request.

    Args:
        trace: of the entry itself, set where the application writes logging.googleapis.com/trace.
        fields: as collectors.lines.handler_fields returns them.
    """

    kind: ClassVar[str] = "handler_line"
    at: datetime
    trace: str | None
    instance_id: str | None
    revision: str | None
    fields: dict[str, Any]


Fact = Request | InstanceStart | InstanceReady | InstanceExit | HandlerLine
