"""
What a Lambda log event can say.

Named tuples, not dataclasses: a day holds millions of them, and a frozen dataclass costs four times as much to create.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, NamedTuple


class Init(NamedTuple):
    """
    One line about an initialisation or a SnapStart restore.

    `step` is init_start, init_report, restore_start or restore_report; duration_ms stands on reports only. `phase` is
    init or invoke (the second: run again inside the invocation, and so inside its Duration), `status` success, error,
    failure or timeout. `type` is the platform's initializationType, which text lines do not carry.
    """

    at: datetime
    stream: str
    step: Literal["init_start", "init_report", "restore_start", "restore_report"]
    type: str | None = None
    phase: str | None = None
    status: str | None = None
    duration_ms: float | None = None

    @property
    def kind(self) -> str:
        return self.step


class Start(NamedTuple):
    """An invocation reached the runtime."""

    at: datetime
    stream: str
    request_id: str

    @property
    def kind(self) -> str:
        return "start"


class End(NamedTuple):
    """The runtime was done with it: END, or platform.runtimeDone."""

    at: datetime
    stream: str
    request_id: str

    @property
    def kind(self) -> str:
        return "end"


class Report(NamedTuple):
    """
    The platform's account of one attempt, in ms and MB.

    Managed Instances report duration_ms alone. billed_ms already holds billed_restore_ms.
    """

    at: datetime
    stream: str
    request_id: str
    duration_ms: float | None
    billed_ms: float | None
    memory_mb: float | None
    max_memory_mb: float | None
    init_ms: float | None = None
    restore_ms: float | None = None
    billed_restore_ms: float | None = None
    status: str | None = None
    error_type: str | None = None

    @property
    def kind(self) -> str:
        return "report"

    @property
    def is_managed(self) -> bool:
        """The shape that only Managed Instances report: a duration and nothing else."""
        return self.billed_ms is None and self.memory_mb is None and self.duration_ms is not None


class HandlerLine(NamedTuple):
    """Fields of collectors.lines; without a request id it belongs to the request its environment is running."""

    at: datetime
    stream: str
    request_id: str | None
    fields: dict[str, Any]

    @property
    def kind(self) -> str:
        return "handler_line"


class Failure(NamedTuple):
    """A line of its own that says how a request ended: `Task timed out` or `Runtime exited`; old streams write it after REPORT."""

    at: datetime
    stream: str
    request_id: str
    status: Literal["timeout", "error"]

    @property
    def kind(self) -> str:
        return "failure"


class LogsDropped(NamedTuple):
    """The platform lost `records` lines of this stream."""

    at: datetime
    stream: str
    records: int

    @property
    def kind(self) -> str:
        return "logs_dropped"


LambdaFact = Init | Start | End | Report | HandlerLine | Failure | LogsDropped
