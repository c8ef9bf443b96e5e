"""What RunPod lines can say: three kinds of fact, and how a line is recognised as one of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from trial.records import Status

WORKER_STREAM = "worker/"


@dataclass(frozen=True, slots=True, kw_only=True)
class HandlerLine:
    """
    The handler's own account of one request, printed when it was done.

    Args:
        foreign_id: a serving framework printed it, which knows nothing of RunPod's ids.
    """

    at: datetime
    fields: dict[str, Any] = field(default_factory=dict)
    stream: str = ""
    status: Status = "ok"
    foreign_id: bool = False
    kind: str = "handler_line"

    @property
    def done_at(self) -> datetime:
        """When the handler was done: the line's own time, which may differ from its wrapping's."""
        return self.fields.get("ts", self.at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """
    A finished job object as a webhook or /status gives it. Times in ms.

    Args:
        timed: `at` is the receiver's own time, close to the job's end; else it was borrowed from lines around it.
    """

    at: datetime
    id: str
    status: Status
    delay_ms: float | None = None
    execution_ms: float | None = None
    worker: str | None = None
    timed: bool = False
    flaw: str | None = None
    kind: str = "job"


@dataclass(frozen=True, slots=True, kw_only=True)
class SdkLine:
    """
    The SDK's word on a job or a worker.

    Args:
        event: started, finished, failed or worker_start.
        timed: `at` is the line's own time.
    """

    at: datetime
    event: str
    stream: str
    request_id: str | None = None
    timed: bool = False

    @property
    def kind(self) -> str:
        return "worker_start" if self.event == "worker_start" else f"job_{self.event}"

    @property
    def worker(self) -> str | None:
        """The worker's id where the stream is a worker's log rather than a file."""
        return self.stream.removeprefix(WORKER_STREAM) if self.stream.startswith(WORKER_STREAM) else None


RunpodFact = HandlerLine | Job | SdkLine
