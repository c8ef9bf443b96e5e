"""One line of a SageMaker container, or one minute of refused requests, judged alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from collectors.lines import handler_fields, impossible
from collectors.serving_lines import read_serving_line
from trial.records import Ignored, RawEvent, Rejected, Status


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """
    A handler line, or a serving framework's line about one request.

    Args:
        kind: "handler_line" or "serving_line".
        whole: it holds all there is about its request; TorchServe's come in parts.
    """

    at: datetime
    kind: str
    instance: str
    fields: dict[str, Any] = field(default_factory=dict)
    status: Status = "ok"
    whole: bool = True

    @property
    def done_at(self) -> datetime:
        """When the request was done; TorchServe's own stamp is in whole seconds, so the log's is better."""
        return self.fields.get("ts", self.at) if self.whole else self.at


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerStart:
    """A framework worker has loaded its model."""

    at: datetime
    instance: str
    load_ms: float
    kind: str = "worker_start"


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnedAway:
    """Requests refused in one minute because no instance was up."""

    at: datetime
    requests: int
    kind: str = "turned_away"


SagemakerFact = Line | WorkerStart | TurnedAway


def parse(event: RawEvent, endpoint: Any) -> SagemakerFact | Ignored | Rejected:
    """A fact, or why there is none. Streams of other variants (`<variant>/<instance>`) are not this endpoint's."""
    if isinstance(event.payload, dict):
        requests = event.payload.get("requests")
        if isinstance(requests, bool) or not isinstance(requests, int) or not 0 < requests <= 1_000_000:
            return Rejected(reason="turned_away", detail=str(requests)[:60])
        return TurnedAway(at=event.at, requests=requests)
    variant, _, rest = event.stream.partition("/")
    if rest and variant != endpoint.variant:
        return Ignored(reason="other_variant")
    instance = rest.partition("/")[0] or event.stream
    text = event.payload.strip()
    if not text:
        return Ignored(reason="blank")
    try:
        found = handler_fields(text, endpoint)
    except (ValueError, OverflowError, RecursionError) as exc:
        return Rejected(reason="broken_handler_line", detail=str(exc)[:200])
    if found:
        if (flaw := impossible(found)) is not None:
            return Rejected(reason="impossible_value", detail=flaw)
        return Line(at=event.at, kind="handler_line", instance=found.get("instance") or instance, fields=found)
    try:
        line = read_serving_line(text)
    except ValueError as exc:
        return Rejected(reason="broken_serving_line", detail=str(exc)[:200])
    if line is None:
        return Ignored(reason="application_line")
    if isinstance(line, Ignored):
        return line
    if line.kind == "worker_start":
        return WorkerStart(at=event.at, instance=instance, load_ms=line.fields["load_ms"])
    whole = "handler_ms" in line.fields and "gpu_ms" in line.fields
    return Line(at=event.at, kind="serving_line", instance=instance, fields=line.fields, status=line.status, whole=whole)
