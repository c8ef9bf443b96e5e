"""One attempt at one job, gathered from whatever spoke of it, and closed into an invocation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from collectors.runpod.cold import ColdRule, Evidence
from collectors.runpod.facts import HandlerLine, Job, RunpodFact, SdkLine
from collectors.runpod.workers import Workers
from trial.calendar import Calendar
from trial.records import GpuMsSource, Incomplete, Invocation, Status

_MEASURES = frozenset(("gpu_ms", "handler_ms", "cold_start"))
_ONE_REQUEST = timedelta(seconds=2)
# Frameworks and the console tell whole seconds, and a job object is as late as the network.
_APART = timedelta(seconds=2)


@dataclass(slots=True)
class Request:
    """Mutable while its facts come in."""

    id: str | None
    last_at: datetime
    line: HandlerLine | None = None
    job: Job | None = None
    sdk: dict[str, SdkLine] = field(default_factory=dict)
    idle_s: float | None = None
    first: bool | None = None

    @property
    def over(self) -> bool:
        return self.line is not None or self.job is not None or "finished" in self.sdk or "failed" in self.sdk

    def precedes(self, fact: RunpodFact) -> bool:
        """Whether `fact` opens another attempt at the same job."""
        if isinstance(fact, HandlerLine):
            # One line in two wrappings has one time; a keep-warm mark alone has none and belongs to the request it names.
            mine, other = self.line.fields if self.line else {}, fact.fields
            if "ts" not in mine or "ts" not in other or mine["ts"] == other["ts"]:
                return False
            # TorchServe tells a request's measures on lines of their own, which may fall into two seconds.
            return not mine.keys().isdisjoint(other.keys() & _MEASURES) or abs(mine["ts"] - other["ts"]) > _ONE_REQUEST
        ended = self.sdk.get("finished") or self.sdk.get("failed")
        # A worker's log has whole seconds, in which a start may stand behind its own end.
        return isinstance(fact, SdkLine) and fact.event == "started" and ended is not None and ("started" in self.sdk or fact.at > ended.at)

    def add(self, fact: RunpodFact, workers: Workers) -> None:
        self.last_at = fact.at
        if isinstance(fact, HandlerLine):
            self._add_line(fact, workers)
        elif isinstance(fact, Job):
            first_news = self.job is None and self.line is None
            again = self.job is not None and (self.job.status, self.job.execution_ms) == (fact.status, fact.execution_ms)
            if self.job is None or not (again and self.job.timed):
                self.job = fact  # one that was posted again tells nothing new, and stands further from the job's end
            if first_news and fact.timed and fact.worker:
                self.idle_s = workers.served(fact.worker, fact.at - _ms(fact.execution_ms), fact.at)
        else:
            self.sdk.setdefault(fact.event, fact)
            if fact.event == "started" and self.first is None:
                self.first = workers.first_after_banner(fact.stream)

    def _add_line(self, fact: HandlerLine, workers: Workers) -> None:
        if self.line is not None:
            told, more = self.line, {**fact.fields, **self.line.fields}
            if "ts" in told.fields or "ts" not in fact.fields:
                self.line = replace(told, fields=more)
                return
            fact = replace(fact, fields=more)
        self.line = fact
        known = workers.first_of_process(fact)
        self.first = self.first if known is None else known
        end = fact.done_at
        fields = fact.fields
        idle_s = workers.served(fields.get("instance"), end - _ms(_wall_ms(fields)), end, process=fields.get("process_start"))
        self.idle_s = idle_s if self.job is None or self.idle_s is None else self.idle_s

    @property
    def foreign(self) -> bool:
        """Whether a serving framework alone has spoken of it."""
        line = self.line
        return line is not None and line.foreign_id and self.job is None and not self.sdk

    def spans(self, at: datetime) -> timedelta | None:
        """How far `at` is from the end of this job, of which no line has told; None where it lies outside its time."""
        if self.line is not None:
            return None
        end = self.job.at if self.job and self.job.timed else _at(self.sdk.get("finished") or self.sdk.get("failed"))
        begin = end - _ms(self.job.execution_ms) if end and self.job and self.job.timed else _at(self.sdk.get("started"))
        if begin is None or end is None or not begin - _APART <= at <= end + _APART:
            return None
        return abs(end - at)

    def adopt(self, other: Request) -> None:
        """Takes a framework's line, whose id is none of RunPod's."""
        if other.line is not None:
            self.line = replace(other.line, fields={name: value for name, value in other.line.fields.items() if name != "request_id"})

    def close(self, endpoint: Any, calendar: Calendar, rule: ColdRule) -> Iterator[Invocation | Incomplete]:
        """The one record this attempt comes to."""
        if self.line is not None:
            yield self._from_line(self.line, endpoint, calendar, rule)
        elif self.job is not None and self.job.timed:
            yield self._from_job(self.job, endpoint, calendar, rule)
        elif "started" in self.sdk and self.over and self.sdk["started"].timed:
            yield self._from_sdk(self.sdk["started"], endpoint, calendar, rule)
        else:
            yield self._incomplete(endpoint, calendar)

    def _from_line(self, line: HandlerLine, endpoint: Any, calendar: Calendar, rule: ColdRule) -> Invocation:
        fields, job = line.fields, self.job
        delay_ms = job.delay_ms if job else None
        wall_ms = fields.get("handler_ms")
        if wall_ms is None:
            wall_ms = job.execution_ms if job and job.execution_ms is not None else fields.get("gpu_ms")
        began_at = line.done_at - _ms(wall_ms)
        process = fields.get("process_start")
        gap_ms = (began_at - process).total_seconds() * 1000 if process and process <= began_at else None
        judged = rule.judge(
            Evidence(
                flag=fields.get("cold_start"),
                first=self.first,
                delay_ms=delay_ms,
                idle_s=self.idle_s,
                gap_ms=gap_ms,
                load_ms=fields.get("load_ms"),
                handler_ms=fields.get("handler_ms"),
            )
        )
        # The handler knows when its process began, so a waited-for cold start's length is known without RunPod's help,
        # but for the container's own start before it.
        init_ms = gap_ms if judged.cold == "cold" and judged.waited and judged.reason != "flashboot_resume" else None
        gpu_ms, source = fields.get("gpu_ms"), fields.get("gpu_ms_source", "none")
        if gpu_ms is None:
            gpu_ms, source = (job.execution_ms, "platform_wall") if job and job.execution_ms is not None else (None, "none")
        before_ms = delay_ms if delay_ms is not None else init_ms
        latency_ms = wall_ms if before_ms is None or wall_ms is None else before_ms + wall_ms
        return self._invocation(
            endpoint,
            calendar,
            began_at - _ms(delay_ms),
            instance_id=fields.get("instance") or (job.worker if job else None) or None,
            queue_ms=delay_ms,
            init_ms=init_ms,
            load_ms=fields.get("load_ms"),
            handler_ms=fields.get("handler_ms"),
            gpu_ms=gpu_ms,
            gpu_ms_source=source,
            latency_ms=latency_ms,
            cold=judged.cold,
            cold_reason=judged.reason,
            waited=judged.waited,
            model=fields.get("model") or endpoint.model,
            input_tokens=fields.get("input_tokens"),
            output_tokens=fields.get("output_tokens"),
            ttft_ms=fields.get("ttft_ms"),
            synthetic=fields.get("synthetic", False),
        )

    def _from_job(self, job: Job, endpoint: Any, calendar: Calendar, rule: ColdRule) -> Invocation:
        judged = rule.judge(Evidence(first=self.first, delay_ms=job.delay_ms, idle_s=self.idle_s))
        source: GpuMsSource = "none" if job.execution_ms is None else "platform_wall"
        known = job.delay_ms is not None and job.execution_ms is not None
        return self._invocation(
            endpoint,
            calendar,
            job.at - _ms(job.execution_ms) - _ms(job.delay_ms),
            instance_id=job.worker,
            queue_ms=job.delay_ms,
            gpu_ms=job.execution_ms,
            gpu_ms_source=source,
            latency_ms=(job.delay_ms or 0.0) + (job.execution_ms or 0.0) if known else None,
            cold=judged.cold,
            cold_reason=judged.reason,
            waited=judged.waited,
            model=endpoint.model,
        )

    def _from_sdk(self, started: SdkLine, endpoint: Any, calendar: Calendar, rule: ColdRule) -> Invocation:
        judged = rule.judge(Evidence(first=self.first))
        # The console's times are whole seconds: good for the day and the order, not for a duration.
        return self._invocation(
            endpoint,
            calendar,
            started.at,
            instance_id=started.worker,
            cold=judged.cold,
            cold_reason=judged.reason,
            waited=judged.waited,
            model=endpoint.model,
        )

    def _invocation(self, endpoint: Any, calendar: Calendar, started_at: datetime, **columns: Any) -> Invocation:
        return Invocation(
            platform="runpod",
            endpoint=endpoint.name,
            day=calendar.day_of(started_at),
            request_id=self.id,
            started_at=started_at,
            status=self._status(),
            **columns,
        )

    def _status(self) -> Status:
        if self.job is not None:
            # Cancelled while it ran, it had reached a worker, and stays in the rate; only one that never did was aborted.
            ran = self.line is not None or bool(self.job.execution_ms)
            return "error" if self.job.status == "aborted" and ran else self.job.status
        if "failed" in self.sdk:
            return "error"
        return self.line.status if self.line else "ok"

    def _incomplete(self, endpoint: Any, calendar: Calendar) -> Incomplete:
        first = next(iter(self.sdk.values())).at if self.sdk else self.last_at
        if self.job is not None:
            reason = "job_without_time"
        elif not self.over:
            reason = "started_not_finished"
        else:
            reason = "sdk_without_time" if "started" in self.sdk else "finished_not_started"
        return Incomplete(
            endpoint=endpoint.name,
            day=calendar.day_of(first),
            request_id=self.id,
            instance_id=self.job.worker if self.job else None,
            started_at=first,
            reason=reason,
        )


def _at(line: SdkLine | None) -> datetime | None:
    return line.at if line is not None and line.timed else None


def _wall_ms(fields: dict[str, Any]) -> float:
    return fields.get("handler_ms", fields.get("gpu_ms", 0.0))


def _ms(value: float | None) -> timedelta:
    return timedelta(milliseconds=value or 0.0)
