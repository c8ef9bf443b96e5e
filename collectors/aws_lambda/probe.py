"""What ends or thins a trial on Lambda quietly: retention, log classes, system logs at WARN, a role that may not log."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from collectors.aws_lambda.facts import HandlerLine, Report
from collectors.aws_lambda.fetch import Clients, fetch, fetch_usage
from collectors.aws_lambda.parse import parse
from collectors.aws_lambda.streams import log_group
from collectors.aws_log_groups import probe_log_group
from trial.calendar import Window
from trial.config import AwsLambdaEndpoint, Trial
from trial.errors import SourceError
from trial.finding import Finding
from trial.meter import Meter
from trial.records import Ignored, RawEvent, Rejected

LINES = 2_000
# Without one platform line among so many, the platform writes none: each request writes two.
LEAST_LINES = 20
_OF_THE_APPLICATION = frozenset({"application_line", "blank", "other_function"})


def probe(clients: Clients, endpoint: AwsLambdaEndpoint, trial: Trial, *, now: datetime) -> Iterator[Finding]:
    """
    Looks at the log group's settings and at the first lines of the last day, beside CloudWatch's own count of requests.

    Raises:
        SourceError: as `fetch`.
    """
    end = min(now, trial.calendar.window(trial.calendar.all_days()[-1]).end)
    window, meter = Window(start=end - timedelta(days=1), end=end), Meter()
    events = list(islice(fetch(clients, endpoint, window, meter=meter), LINES))
    group = endpoint.logs or log_group(endpoint.function, endpoint.log_group)
    if endpoint.logs is None:
        yield from probe_log_group(clients.logs, group, endpoint, trial, lines=len(events))
    counted = _counted(clients, endpoint, window, meter)
    if counted and not events:
        yield Finding(
            endpoint=endpoint.name,
            check="lines written",
            state="fail",
            detail=f"CloudWatch counts {counted:,} requests in a day, and {group} has no line of it",
            do="Attach AWSLambdaBasicExecutionRole to the function's role; or name the group it logs to as `log_group`"
            if endpoint.logs is None
            else "Look at the export: its filter, and whether its records are of the function's log group; or name that as `log_group`",
        )
    yield from judge_lines(events, endpoint, counted=counted)


def judge_lines(events: Iterable[RawEvent], endpoint: AwsLambdaEndpoint, *, counted: int = 0) -> Iterator[Finding]:
    """
    What the lines themselves tell: no word of the platform among them, or another memory size than trial.toml's.

    Args:
        counted: requests CloudWatch counted in the same time; 0 where it is not known.
    """
    application = 0
    platform, memory = False, set[float]()
    for event in events:
        match parse(event, endpoint):
            case Ignored(reason=reason):
                application += reason == "application_line"
                platform = platform or reason not in _OF_THE_APPLICATION
            case HandlerLine():
                application += 1
            case Rejected(reason=reason):
                platform = platform or reason != "broken_handler_line"
            case fact:
                platform = True
                if isinstance(fact, Report) and fact.memory_mb is not None:
                    memory.add(fact.memory_mb)
    if application and not platform and (application >= LEAST_LINES or counted):
        yield Finding(
            endpoint=endpoint.name,
            check="system log level",
            state="fail",
            detail=f"{application:,} lines of the application and not one START or REPORT: the level looks like WARN",
            do=f"`aws lambda update-function-configuration --function-name {endpoint.function} "
            "--logging-config LogFormat=JSON,SystemLogLevel=INFO`",
        )
    yield from _memory(memory, endpoint)


def _memory(found: set[float], endpoint: Any) -> Iterator[Finding]:
    said = endpoint.resources.memory_mb
    if said is None or not found or found == {said}:
        return
    sizes = ", ".join(f"{mb:g}" for mb in sorted(found))
    yield Finding(
        endpoint=endpoint.name,
        check="memory",
        state="warn",
        detail=f"REPORT says {sizes} MB, trial.toml {said} MB: the cost is computed from the latter",
        do="Set `resources = { memory_mb = ... }` to the function's memory size",
    )


def _counted(clients: Clients, endpoint: AwsLambdaEndpoint, window: Window, meter: Meter) -> int:
    try:
        return sum(b.requests or 0 for b in fetch_usage(clients, endpoint, window, meter=meter))
    except SourceError:
        return 0  # doctor says so in a row of its own
