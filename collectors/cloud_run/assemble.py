"""Facts joined into invocations: one per request of the request log, with what the instance log and the handler add."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from collectors.cloud_run.facts import Fact, HandlerLine, InstanceExit, InstanceReady, InstanceStart, Request
from collectors.cloud_run.instances import EARLY, Judgement, Life, Unlabelled, judge
from collectors.cloud_run.joining import SLACK, Joining, Open
from collectors.cloud_run.parse import LONGEST
from trial.calendar import Calendar
from trial.records import Incomplete, Instance, Invocation, Status

PLATFORM = "cloud-run"
# Answers that may be the front end's own although an instance is named: no proof that it served.
GIVEN_UP = frozenset({408, 429, 499})
_MS = timedelta(milliseconds=1)


def assemble(facts: Iterable[Fact], endpoint: Any, calendar: Calendar) -> Iterator[Invocation | Incomplete | Instance]:
    """
    Invocations as their requests are over, instances at the end.

    A request is held until ten seconds after its end, because its start entry, probe and handler line come after its own
    entry, which is stamped with the request's beginning. The state is the requests in flight and one small record per
    instance seen.

    Args:
        facts: in order of (at, stream, event_id); facts of the day before settle the first requests of a day.
    """
    assembly = _Assembly(endpoint, calendar)
    for fact in facts:
        yield from assembly.settle(fact.at)
        assembly.take(fact)
    yield from assembly.settle(datetime.max.replace(tzinfo=UTC))
    for life in sorted(assembly.lives.values(), key=lambda life: (life.seen_from, life.id)):
        yield life.record(endpoint.name)


class _Assembly:
    def __init__(self, endpoint: Any, calendar: Calendar) -> None:
        self.endpoint, self.calendar = endpoint, calendar
        self.lives: dict[str, Life] = {}
        self.joining = Joining()
        self.unlabelled = Unlabelled()

    def take(self, fact: Fact) -> None:
        if isinstance(fact, Request):
            # Without a latency the start entry still has to fall within reach, and it follows within a second.
            end = fact.at + (fact.latency if fact.latency is not None else EARLY)
            self.joining.add(fact, end)
            life = self._live(fact.instance_id, fact.at, end)
            if life:
                if life.first is None:
                    self.unlabelled.claimants.append((life, fact.revision))
                life.serve(fact.at, end)
            if life and fact.latency is not None and 0 < fact.status < 500 and fact.status not in GIVEN_UP:
                life.prove(end)
        elif isinstance(fact, HandlerLine):
            life = self._live(fact.instance_id, fact.at, fact.at)
            if life:
                life.prove(_began(fact))
            self.joining.offer(fact)
        elif isinstance(fact, InstanceStart):
            life = self._live(fact.instance_id, fact.at, fact.at)
            if life is None:
                self.unlabelled.starts.append(fact)
            elif life.start is None or life.inferred:
                life.start, life.inferred = fact, False
        elif isinstance(fact, InstanceReady):
            life = self._live(fact.instance_id, fact.at, fact.at)
            if life is None:
                self.unlabelled.readies.append(fact)
            else:
                life.ready_at = fact.at
        elif isinstance(fact, InstanceExit):
            self._live(fact.instance_id, fact.at, fact.at)

    def _live(self, instance_id: str | None, start: datetime, end: datetime) -> Life | None:
        if instance_id is None:
            return None
        life = self.lives.get(instance_id)
        if life is None:
            life = self.lives[instance_id] = Life(id=instance_id, seen_from=start, seen_to=end)
        life.see(start, end)
        return life

    def settle(self, now: datetime) -> Iterator[Invocation | Incomplete]:
        for held in self.joining.due(now):
            yield self._invocation(held)
        for line in self.joining.strays(now):
            yield self._stray(line)
        if now.year < 9999:
            self.unlabelled.forget(now - LONGEST - SLACK)

    def _invocation(self, held: Open) -> Invocation:
        request, line = held.request, held.line
        fields = line.fields if line else {}
        instance_id = request.instance_id or (line.instance_id if line else None)
        synthetic = request.synthetic or fields.get("synthetic", False)
        aborted = instance_id is None and (request.status == 0 or request.status >= 400)
        if aborted:
            found = Judgement(cold="unknown", reason="no_instance")
        else:
            life = self.lives.get(instance_id) if instance_id else None
            if life:
                self.unlabelled.claim(life, request)
            found = judge(request, held.end, life, fields)
        latency_ms = request.latency / _MS if request.latency is not None and not (aborted and not request.latency) else None
        return Invocation(
            platform=PLATFORM,
            endpoint=self.endpoint.name,
            day=self.calendar.day_of(request.at),
            request_id=request.request_id,
            instance_id=instance_id,
            started_at=request.at,
            queue_ms=_queue_ms(found, latency_ms, fields),
            init_ms=found.init_ms,
            gpu_ms_source=fields.get("gpu_ms_source", "none") if "gpu_ms" in fields else "none",
            latency_ms=latency_ms,
            cold=found.cold,
            cold_reason=found.reason,
            waited=False if found.waited and synthetic else found.waited,
            status="aborted" if aborted else _status(request.status),
            model=fields.get("model") or self.endpoint.model,
            synthetic=synthetic,
            load_ms=fields.get("load_ms"),
            handler_ms=fields.get("handler_ms"),
            gpu_ms=fields.get("gpu_ms"),
            input_tokens=fields.get("input_tokens"),
            output_tokens=fields.get("output_tokens"),
            ttft_ms=fields.get("ttft_ms"),
        )

    def _stray(self, line: HandlerLine) -> Incomplete:
        started_at = _began(line)
        return Incomplete(
            endpoint=self.endpoint.name,
            day=self.calendar.day_of(started_at),
            request_id=line.fields.get("request_id") or line.trace,
            instance_id=line.instance_id,
            started_at=started_at,
            reason="request_entry_missing",
        )


def _began(line: HandlerLine) -> datetime:
    return line.at - timedelta(milliseconds=min(line.fields.get("handler_ms", 0.0), LONGEST / _MS))


def _queue_ms(found: Judgement, latency_ms: float | None, fields: dict[str, Any]) -> float | None:
    """What a request that met a start waited before the handler took it, start-up included; told only by a handler line."""
    if found.cold != "cold" or found.reason == "lazy_load" or latency_ms is None or "handler_ms" not in fields:
        return None
    return max(0.0, latency_ms - fields["handler_ms"])


_STATUSES: dict[int, Status] = {429: "throttled", 408: "timeout", 504: "timeout"}


def _status(status: int) -> Status:
    if 0 < status < 400:
        return "ok"
    return _STATUSES.get(status, "error")
