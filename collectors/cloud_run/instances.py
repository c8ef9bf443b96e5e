"""The lives of instances as the logs show them, and the rule that says which request met one that was not ready."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from collectors.cloud_run.facts import AUTOSCALING, InstanceReady, InstanceStart, Request
from trial.records import Cold, Instance

# "Starting new instance" is logged 35 to 52 ms after the request that causes it; a second covers clocks apart.
EARLY = timedelta(seconds=1)
# Instance lines trail the request log by 0.17 to 0.33 s, so a probe line says when an instance was ready only this closely.
PROBE_LAG = timedelta(milliseconds=500)
# No container was seen to start in less than 0.9 s; who waited less than this met one that was ready.
SHORTEST_WAIT = timedelta(milliseconds=100)
# An instance that does not listen within the default start-up probe's 240 s is given up.
LONGEST_START = timedelta(seconds=240)


@dataclass(slots=True, kw_only=True)
class Life:
    """
    One instance, as far as read.

    Args:
        seen_from, seen_to: first and last moment it is known to exist.
        first: begin and end of the earliest request it served.
        start: its start entry; `inferred` if that entry named no instance and was matched by revision and time.
        ready_at: the last start-up probe that succeeded (with sidecars there are several).
        serving_by: earliest proof that it served: the end of an answered request, or the begin of a handler.
    """

    id: str
    seen_from: datetime
    seen_to: datetime
    first: tuple[datetime, datetime] | None = None
    start: InstanceStart | None = None
    inferred: bool = False
    ready_at: datetime | None = None
    serving_by: datetime | None = None

    def see(self, start: datetime, end: datetime) -> None:
        self.seen_from, self.seen_to = min(self.seen_from, start), max(self.seen_to, end)

    def serve(self, start: datetime, end: datetime) -> None:
        self.see(start, end)
        if self.first is None or start < self.first[0]:
            self.first = (start, end)

    def prove(self, at: datetime) -> None:
        self.serving_by = at if self.serving_by is None else min(self.serving_by, at)

    @property
    def init_ms(self) -> float | None:
        """From the start entry to the probe's, within about 0.3 s."""
        if self.start is None or self.ready_at is None or self.ready_at < self.start.at:
            return None
        return (self.ready_at - self.start.at) / timedelta(milliseconds=1)

    def record(self, endpoint: str) -> Instance:
        # The request that causes a start is older than the instance, so a known start is the better first moment.
        first = self.start.at if self.start else self.seen_from
        return Instance(
            endpoint=endpoint,
            id=self.id,
            first_seen_at=first,
            last_seen_at=max(first, self.seen_to),
            started_at=self.start.at if self.start else None,
            ready_at=self.ready_at if self.ready_at and self.ready_at >= first else None,
            start_reason=self.start.reason.lower() if self.start else None,
            init_ms=self.init_ms,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    cold: Cold
    reason: str | None = None
    waited: bool | None = None
    init_ms: float | None = None


def judge(request: Request, end: datetime, life: Life | None, line: dict[str, Any]) -> Judgement:
    """
    Whether the request met an instance that was not ready, and whether a caller waited for it.

    Cold is a request in whose time, from a second before it to its end, the instance that served it was started; or that
    came while that instance was still starting for another. `waited` is True where the start answers to traffic
    (AUTOSCALING). Where a rollout or a minimum of instances caused it, the request is cold but waited is False: no caller's
    request brought the start about, and scaling to zero or not would not change it.

    Args:
        end: the request's end.
        life: of its instance; None where no instance is known.
        line: the handler line's fields, empty where there is none.
    """
    by_instance = _by_instance(request, end, life, line) if life else Judgement(cold="unknown", reason="no_instance_label")
    if by_instance.cold != "cold" and _loaded_within(line):
        return Judgement(cold="cold", reason="lazy_load", waited=True)
    return by_instance


def _by_instance(request: Request, end: datetime, life: Life, line: dict[str, Any]) -> Judgement:
    start = life.start
    if start is None:
        return _without_start(request, life, line)
    caused = start.reason == AUTOSCALING
    reason = ("instance_start_inferred" if life.inferred else "instance_start") if caused else start.reason.lower()
    cold = Judgement(cold="cold", reason=reason, waited=caused, init_ms=life.init_ms)
    if start.at <= request.at and _ready_before(request, life):
        return Judgement(cold="warm")
    if request.at - EARLY <= start.at <= end:
        return cold
    if start.at > end:
        return Judgement(cold="unknown", reason="start_after_request")
    # From here on the instance was started earlier, for another request or none.
    if _waited_for_nothing(request, line):
        return Judgement(cold="warm")
    if life.ready_at is None:
        if request.at - start.at > LONGEST_START:
            return Judgement(cold="warm")
        # Nothing had run on it when the request came, and the request's own handler began much later.
        return cold if _waited_long(request, line) else Judgement(cold="unknown", reason="ready_time_unknown")
    return cold if request.at < life.ready_at - PROBE_LAG else Judgement(cold="unknown", reason="ready_time_unknown")


def _without_start(request: Request, life: Life, line: dict[str, Any]) -> Judgement:
    """
    The start lies before what was read, or the instance log is not kept: other evidence, else unknown.

    The handler's cold_start is none: of several requests that wait for one instance only the first to run says it.
    """
    if _ready_before(request, life) or _waited_for_nothing(request, line):
        return Judgement(cold="warm")
    if life.ready_at is not None and life.ready_at > request.at + PROBE_LAG:
        return Judgement(cold="cold", reason="ready_after_request", waited=True)
    process_start = line.get("process_start")
    if process_start is not None and process_start >= request.at:
        return Judgement(cold="cold", reason="handler_flag", waited=True)
    if process_start is not None and request.at - process_start > LONGEST_START:
        return Judgement(cold="warm")
    return Judgement(cold="unknown", reason="start_not_seen")


def _waited_for_nothing(request: Request, line: dict[str, Any]) -> bool:
    """The whole latency, or what of it the handler did not use, is too short to hold a start."""
    return request.latency is not None and request.latency - timedelta(milliseconds=line.get("handler_ms", 0)) < SHORTEST_WAIT


def _waited_long(request: Request, line: dict[str, Any]) -> bool:
    return request.latency is not None and "handler_ms" in line and request.latency - timedelta(milliseconds=line["handler_ms"]) > PROBE_LAG


def _ready_before(request: Request, life: Life) -> bool:
    return any(proof is not None and proof <= request.at for proof in (life.serving_by, life.ready_at))


def _loaded_within(line: dict[str, Any]) -> bool:
    """A model loaded inside the request; a longer time than the handler's own was spent before it, at start-up."""
    load_ms, handler_ms = line.get("load_ms", 0), line.get("handler_ms")
    return load_ms > 0 and (handler_ms is None or load_ms <= handler_ms)


@dataclass(slots=True)
class Unlabelled:
    """
    Start and probe entries that name no instance, until an instance of their revision claims them.

    Starts follow the requests that cause them, so instances claim them in the order in which their first requests came;
    a probe's entry goes to the instance whose request ends first, which must have been ready by then.

    Args:
        claimants: instances whose first request is not settled yet, with its revision, in order of that request.
    """

    starts: list[InstanceStart] = field(default_factory=list)
    readies: list[InstanceReady] = field(default_factory=list)
    claimants: list[tuple[Life, str | None]] = field(default_factory=list)

    def claim(self, life: Life, request: Request) -> None:
        """Gives the instance of a settled request the start that its first request seems to have caused, if there is one."""
        for other, revision in self.claimants:
            if other.first is not None and other.first[0] <= request.at:
                self._claim_start(other, revision)
        self._claim_ready(life, request.revision)
        if life.first is not None and request.at <= life.first[0]:
            self.claimants = [claimant for claimant in self.claimants if claimant[0] is not life]

    def _claim_start(self, life: Life, revision: str | None) -> None:
        if life.start is not None or life.first is None or (life.serving_by is not None and life.serving_by <= life.first[0]):
            return
        began, ended = life.first
        fitting = [s for s in self.starts if s.revision == revision and began - EARLY <= s.at <= ended]
        if not fitting:
            return
        # The entry follows its request closely: the first one after it, else the last one before.
        start = next((s for s in fitting if s.at >= began), fitting[-1])
        self.starts.remove(start)
        life.start, life.inferred = start, True

    def _claim_ready(self, life: Life, revision: str | None) -> None:
        if life.start is None or not life.inferred or life.ready_at is not None or life.first is None:
            return
        start = life.start
        ready = next((r for r in self.readies if r.revision == revision and r.at > start.at), None)
        if ready is not None and ready.at <= life.first[1] + PROBE_LAG:
            self.readies.remove(ready)
            life.ready_at = ready.at

    def forget(self, before: datetime) -> None:
        while self.starts and self.starts[0].at < before:
            self.starts.pop(0)
        while self.readies and self.readies[0].at < before:
            self.readies.pop(0)
