"""What ends or thins a trial on SageMaker quietly: retention, requests without lines, refusals while scaling from zero."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import islice

from collectors.aws_log_groups import probe_log_group
from collectors.sagemaker.fetch import Clients, fetch
from collectors.sagemaker.parse import Line, TurnedAway, parse
from collectors.sagemaker.usage import fetch_usage
from trial.calendar import Window
from trial.config import SagemakerEndpoint, Trial
from trial.errors import SourceError
from trial.finding import Finding
from trial.meter import Meter
from trial.records import Ignored

LINES = 2_000


def probe(clients: Clients, endpoint: SagemakerEndpoint, trial: Trial, *, now: datetime) -> Iterator[Finding]:
    """
    Raises:
        SourceError: as `fetch`.
    """
    end = min(now, trial.calendar.window(trial.calendar.all_days()[-1]).end)
    window, meter = Window(start=end - timedelta(days=1), end=end), Meter()
    events = list(islice(fetch(clients, endpoint, window, meter=meter), LINES))
    kinds = [parse(event, endpoint) for event in events]
    lines = sum(isinstance(event.payload, str) for event in events)
    group = f"/aws/sagemaker/Endpoints/{endpoint.endpoint_name}"
    yield from probe_log_group(clients.logs, group, endpoint, trial, lines=lines)
    other = sum(isinstance(kind, Ignored) and kind.reason == "other_variant" for kind in kinds)
    if other and other == lines:
        yield Finding(
            endpoint=endpoint.name,
            check="variant",
            state="warn",
            detail=f"all of {lines:,} lines are of other variants than {endpoint.variant}",
            do="Check `variant`: a log stream's name begins with it",
        )
    try:
        counted = sum(b.requests or 0 for b in fetch_usage(clients, endpoint, window, meter=meter))
    except SourceError:
        counted = 0  # doctor says so in a row of its own
    spoke = any(isinstance(kind, Line) for kind in kinds)
    if counted and not spoke:
        yield Finding(
            endpoint=endpoint.name,
            check="requests in the log",
            state="warn",
            detail=f"CloudWatch counts {counted:,} requests in a day, and no line tells of one: SageMaker itself logs none",
            do="Print one line per request: `fortnight handler-line` shows the file to copy into the container",
        )
    refused = sum(kind.requests for kind in kinds if isinstance(kind, TurnedAway))
    if refused:
        yield Finding(
            endpoint=endpoint.name,
            check="scale to zero",
            state="warn",
            detail=f"{refused:,} requests were refused while no instance was up: it does not hold them",
            do="They count as cold hits of status throttled, the worst cold start there is; to have none, keep one instance",
        )
