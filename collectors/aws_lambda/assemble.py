"""
Facts joined into invocations, per log stream: on Lambda one stream is one execution environment.

Facts must come in order of (at, stream, event_id): ids rise within a millisecond of a stream, so ties fall as written.
Order between streams does not matter to what is said about each of them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any

from collectors.aws_lambda import cold
from collectors.aws_lambda.environment import Attempt, Environment
from collectors.aws_lambda.facts import End, Failure, HandlerLine, Init, LambdaFact, LogsDropped, Report, Start
from trial.calendar import Calendar
from trial.records import Incomplete, Instance, Invocation

PLATFORM = "aws-lambda"

# How long after its REPORT a request still takes lines: buffered output, and the `Task timed out` of old streams.
LINGER = timedelta(seconds=5)
# No attempt runs longer: 900 s, and 5,400 s for asynchronous ones on Managed Instances.
LONGEST = timedelta(seconds=5_400 + 600)


def assemble(facts: Iterable[LambdaFact], endpoint: Any, calendar: Calendar) -> Iterator[Invocation | Incomplete | Instance]:
    """
    Invocations and incomplete requests as soon as nothing more can be said about them; instances at the end.

    An invocation starts when the platform took the request: at INIT_START where its caller waited for the initialisation.
    Give the day before as well: an environment's first START, without an INIT_START in what was read, is `unknown`.
    """
    environments: dict[str, Environment] = {}
    reported: deque[tuple[datetime, Environment, Attempt]] = deque()
    running: deque[tuple[datetime, Environment, Attempt]] = deque()
    for fact in facts:
        at = fact.at
        while reported and reported[0][0] < at:
            _, environment, attempt = reported.popleft()
            yield _invocation(environment, attempt, endpoint, calendar)
        while running and running[0][0] < at:
            _, environment, attempt = running.popleft()
            if attempt.report is None:
                yield _incomplete(environment, attempt, endpoint, calendar)
        if fact.stream not in environments:
            environments[fact.stream] = Environment(fact.stream, at)
        environment = environments[fact.stream]
        environment.last_seen_at = at
        if type(fact) is Start:
            started = environment.start(fact)
            if started is not None:
                running.append((at + LONGEST, environment, started))
        elif type(fact) is Report:
            ended = environment.report(fact, linger=LINGER)
            if ended is not None:
                reported.append((at + LINGER, environment, ended))
        elif type(fact) is HandlerLine:
            environment.handler_line(fact, linger=LINGER)
        elif type(fact) is End:
            environment.end(fact)
        elif type(fact) is Init:
            environment.initialise(fact)
        elif type(fact) is Failure:
            environment.fail(fact, linger=LINGER)
        elif type(fact) is LogsDropped:
            environment.dropped_at = at
    for _, environment, attempt in reported:
        yield _invocation(environment, attempt, endpoint, calendar)
    for _, environment, attempt in running:
        if attempt.report is None:
            yield _incomplete(environment, attempt, endpoint, calendar)
    for environment in environments.values():
        yield _instance(environment, endpoint)


def _invocation(environment: Environment, attempt: Attempt, endpoint: Any, calendar: Calendar) -> Invocation:
    report, fields = attempt.report, attempt.fields
    assert report is not None
    environment.release(attempt)
    evidence = cold.Evidence(
        report=report,
        init=attempt.init,
        first=attempt.first,
        reset=attempt.reset,
        started_at=attempt.started_at,
        handler_cold=fields.get("cold_start"),
        load_ms=fields.get("load_ms"),
        managed=environment.managed,
        provisioned=getattr(endpoint, "provisioned_concurrency", 0) > 0,
    )
    judged = cold.judge(evidence)
    environment.explain(attempt, judged)
    started_at = cold.began(evidence)
    if judged.wait_ms:
        taken_at = attempt.init.started_at if attempt.init else None
        started_at = min(started_at, taken_at or started_at - timedelta(milliseconds=judged.wait_ms))
    handler_ms = fields.get("handler_ms")
    if handler_ms is None and not judged.inside:
        handler_ms = report.duration_ms
    return Invocation(
        platform=PLATFORM,
        endpoint=endpoint.name,
        day=calendar.day_of(started_at),
        request_id=report.request_id,
        instance_id=environment.stream,
        started_at=started_at,
        init_ms=judged.init_ms,
        load_ms=fields.get("load_ms"),
        handler_ms=handler_ms,
        gpu_ms=fields.get("gpu_ms"),
        gpu_ms_source=fields["gpu_ms_source"] if "gpu_ms" in fields else "none",
        billed_ms=report.billed_ms,
        latency_ms=None if report.duration_ms is None else report.duration_ms + judged.wait_ms,
        cold=judged.cold,
        cold_reason=judged.reason,
        waited=judged.waited,
        status=attempt.status,
        model=fields.get("model", endpoint.model),
        input_tokens=fields.get("input_tokens"),
        output_tokens=fields.get("output_tokens"),
        ttft_ms=fields.get("ttft_ms"),
        synthetic=fields.get("synthetic", False),
    )


def _incomplete(environment: Environment, attempt: Attempt, endpoint: Any, calendar: Calendar) -> Incomplete:
    assert attempt.started_at is not None
    environment.release(attempt)
    dropped = environment.dropped_at is not None and environment.dropped_at >= attempt.started_at
    return Incomplete(
        endpoint=endpoint.name,
        day=calendar.day_of(attempt.started_at),
        request_id=attempt.request_id,
        instance_id=environment.stream,
        started_at=attempt.started_at,
        reason="logs_dropped" if dropped else "no_report",
    )


def _instance(environment: Environment, endpoint: Any) -> Instance:
    init = environment.first_init
    started_at = init.started_at if init else None
    ready_at = init.ended_at if init else None
    init_ms = environment.init_ms if environment.init_ms is not None or init is None else init.before_ms
    if ready_at is None and started_at is not None and init_ms is not None:
        ready_at = started_at + timedelta(milliseconds=init_ms)
    return Instance(
        endpoint=endpoint.name,
        id=environment.stream,
        first_seen_at=environment.first_seen_at,
        last_seen_at=environment.last_seen_at,
        started_at=started_at,
        ready_at=ready_at,
        start_reason=environment.start_reason,
        init_ms=init_ms,
    )
