"""
What a Lambda log event can say.

msgspec structs, not dataclasses: a day holds millions of them. They are created six times as fast, and Python's collector,
which would walk all of them again and again, leaves them alone.
"""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar, Literal

from msgspec import Struct

from collectors.lines import Fields, OwnLine


class Init(Struct, frozen=True, gc=False):
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


class Start(Struct, frozen=True, gc=False):
    """An invocation reached the runtime."""

    kind: ClassVar[str] = "start"

    at: datetime
    stream: str
    request_id: str


class End(Struct, frozen=True, gc=False):
    """The runtime was done with it: END, or platform.runtimeDone."""

    kind: ClassVar[str] = "end"

    at: datetime
    stream: str
    request_id: str


class Report(Struct, frozen=True, gc=False):
    """
    The platform's account of one attempt, in ms and MB.

    Managed Instances report duration_ms alone. billed_ms already holds billed_restore_ms.
    """

    kind: ClassVar[str] = "report"

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
    def is_managed(self) -> bool:
        """The shape that only Managed Instances report: a duration and nothing else."""
        return self.billed_ms is None and self.memory_mb is None and self.duration_ms is not None


class HandlerLine(Struct, frozen=True, gc=False, eq=False):
    """
    What collectors.lines found; without a request id it belongs to the request its environment is running.

    Two are equal if they say the same, whichever way the line was read.
    """

    kind: ClassVar[str] = "handler_line"

    at: datetime
    stream: str
    request_id: str | None
    line: Fields | OwnLine

    @property
    def fields(self) -> Fields:
        return self.line.fields if isinstance(self.line, OwnLine) else self.line

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, HandlerLine):
            return NotImplemented
        return (self.at, self.stream, self.request_id, self.fields) == (other.at, other.stream, other.request_id, other.fields)

    __hash__ = None  # type: ignore[assignment]  # fields are a dict


class Failure(Struct, frozen=True, gc=False):
    """A line of its own that says how a request ended: `Task timed out` or `Runtime exited`; old streams write it after REPORT."""

    kind: ClassVar[str] = "failure"

    at: datetime
    stream: str
    request_id: str
    status: Literal["timeout", "error"]


class LogsDropped(Struct, frozen=True, gc=False):
    """The platform lost `records` lines of this stream."""

    kind: ClassVar[str] = "logs_dropped"

    at: datetime
    stream: str
    records: int


LambdaFact = Init | Start | End | Report | HandlerLine | Failure | LogsDropped
