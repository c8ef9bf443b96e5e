"""What one log stream has shown so far: the attempts it runs, and what its next one will meet."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from collectors.aws_lambda.cold import MANAGED, PROVISIONED, InitSeen, Judgement
from collectors.aws_lambda.facts import End, Failure, HandlerLine, Init, Report, Start
from trial.records import Status

# Ways for an attempt to end that take the runtime process with them: the next one initialises again inside its Duration.
_FATAL = frozenset({"Runtime.ExitError", "Runtime.OutOfMemory", "Runtime.Crash", "Sandbox.Timedout", "Sandbox.Failure"})
_ORPHANS = 64


class Attempt:
    """One START to REPORT. Mutable while lines of it may still come."""

    __slots__ = ("failure", "fields", "first", "init", "report", "request_id", "reset", "started_at")

    def __init__(self, request_id: str, started_at: datetime | None, *, init: InitSeen | None, first: bool, reset: str | None) -> None:
        self.request_id, self.started_at = request_id, started_at
        self.init, self.first, self.reset = init, first, reset
        self.fields: dict[str, Any] = {}
        self.report: Report | None = None
        self.failure: Status | None = None

    @property
    def status(self) -> Status:
        said = self.report.status if self.report else None
        if said == "timeout" or self.failure == "timeout":
            return "timeout"
        return "error" if said in ("error", "failure") or self.failure else "ok"

    @property
    def left(self) -> str | None:
        """How it left its environment: "reset", "unclear" where the error does not say, or None for well."""
        status = self.status
        if status == "ok":
            return None
        error_type = self.report.error_type if self.report else None
        if status == "timeout" or self.failure or error_type in _FATAL or (error_type or "").startswith("Extension."):
            return "reset"
        return "unclear" if error_type is None or error_type.startswith("Runtime.") else None

    def take(self, fields: dict[str, Any]) -> None:
        """Lines of one request add up; the later value stands, but wall time never replaces a CUDA event's."""
        if fields.get("gpu_ms_source") == "handler_wall" and self.fields.get("gpu_ms_source") == "cuda_event":
            fields = {name: value for name, value in fields.items() if name not in ("gpu_ms", "gpu_ms_source")}
        if self.fields.get("synthetic"):
            fields = {**fields, "synthetic": True}
        self.fields = {**self.fields, **fields}


class Environment:
    """An execution environment, as its stream tells it."""

    def __init__(self, stream: str, first_seen_at: datetime) -> None:
        self.stream = stream
        self.first_seen_at = self.last_seen_at = first_seen_at
        self.open: dict[str, Attempt] = {}
        self.lingering: list[Attempt] = []
        self.orphans: dict[str, dict[str, Any]] = {}
        self.init: InitSeen | None = None
        self.first_init: InitSeen | None = None
        self.previous: Attempt | None = None
        self.served = False
        self.ended_id: str | None = None
        self.managed = False
        self.dropped_at: datetime | None = None
        self.start_reason: str | None = None
        self.init_ms: float | None = None

    def initialise(self, line: Init) -> None:
        self.managed = self.managed or line.type == MANAGED
        if line.phase == "invoke" and self.init is None and len(self.open) == 1:
            (attempt,) = self.open.values()
            attempt.init = attempt.init or InitSeen(again=self.served and not attempt.first)
            attempt.init.add(line)
            return
        if self.init is None:
            self.init = InitSeen(again=self.served)
            if not self.served and self.first_init is None:
                self.first_init = self.init
                self.start_reason = {MANAGED: "managed", PROVISIONED: "provisioned"}.get(line.type or "")
        self.init.add(line)

    def start(self, line: Start) -> Attempt | None:
        """The attempt it opens; None where its REPORT came first, in the same millisecond."""
        for attempt in self.lingering:
            if attempt.request_id == line.request_id and attempt.started_at is None and attempt.report.at == line.at:  # type: ignore[union-attr]
                attempt.started_at = line.at
                return None
        attempt = self._next(line.request_id, line.at)
        self.open.pop(line.request_id, None)
        self.open[line.request_id] = attempt
        return attempt

    def _next(self, request_id: str, started_at: datetime | None) -> Attempt:
        attempt = Attempt(
            request_id,
            started_at,
            init=self.init,
            first=not self.served and self.ended_id in (None, request_id),
            reset=self.previous.left if self.previous else None,
        )
        if request_id in self.orphans:
            attempt.take(self.orphans.pop(request_id))
        self.init, self.served, self.previous = None, True, attempt
        return attempt

    def end(self, line: End) -> None:
        """An END whose START was not read proves that the environment had served before the next request."""
        if not self.served:
            self.ended_id = line.request_id

    def report(self, line: Report, *, linger: timedelta) -> Attempt | None:
        """The attempt it ends; None where the same REPORT was read before under another id."""
        attempt = self.open.pop(line.request_id, None)
        if attempt is None:
            if any(other.report == line for other in self.lingering):
                return None
            attempt = self._next(line.request_id, None)
        attempt.report = line
        self.managed = self.managed or line.is_managed
        self.lingering = [other for other in self.lingering if other.report.at + linger >= line.at]  # type: ignore[union-attr]
        self.lingering.append(attempt)
        return attempt

    def handler_line(self, line: HandlerLine, *, linger: timedelta) -> None:
        attempt = self._owner(line.request_id, line.at, linger)
        if attempt is not None:
            attempt.take(line.fields)
        elif line.request_id is not None:
            self.orphans[line.request_id] = {**self.orphans.get(line.request_id, {}), **line.fields}
            if len(self.orphans) > _ORPHANS:
                del self.orphans[next(iter(self.orphans))]

    def fail(self, line: Failure, *, linger: timedelta) -> None:
        attempt = self._owner(line.request_id, line.at, linger)
        if attempt is not None and attempt.failure != "timeout":
            attempt.failure = line.status

    def _owner(self, request_id: str | None, at: datetime, linger: timedelta) -> Attempt | None:
        """The request a line belongs to; without an id, the one running (on Managed Instances: the only one), else the last to end."""
        late = [attempt for attempt in self.lingering if attempt.report.at + linger >= at]  # type: ignore[union-attr]
        if request_id is None:
            if self.open:
                return None if self.managed and len(self.open) > 1 else next(reversed(self.open.values()))
            return late[-1] if late else None
        if request_id in self.open:
            return self.open[request_id]
        return next((attempt for attempt in reversed(late) if attempt.request_id == request_id), None)

    def release(self, attempt: Attempt) -> None:
        """Nothing more can be said about it."""
        if self.open.get(attempt.request_id) is attempt:
            del self.open[attempt.request_id]
        if attempt in self.lingering:
            self.lingering.remove(attempt)

    def explain(self, attempt: Attempt, judged: Judgement) -> None:
        """The first request's judgement also says why and how the environment itself started."""
        if attempt.first and (attempt.init is not None or judged.init_ms is not None) and self.start_reason is None:
            self.start_reason = judged.reason
        if attempt.first and self.init_ms is None:
            self.init_ms = judged.init_ms
