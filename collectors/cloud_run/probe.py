"""What ends a trial on Cloud Run quietly: an excluded log, a retention shorter than the trial."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from collectors.cloud_run.fetch import fetch, fetch_usage
from collectors.google_api import Clients
from trial.calendar import Window
from trial.config import CloudRunEndpoint, Trial
from trial.finding import Finding
from trial.meter import Meter

DEFAULT_RETENTION_DAYS = 30


def probe(clients: Clients, endpoint: CloudRunEndpoint, trial: Trial, *, now: datetime) -> Iterator[Finding]:
    """
    Holds the request and instance logs of the last day against Cloud Monitoring's counters, which no exclusion touches.

    Raises:
        SourceError: as `fetch` and `fetch_usage`.
    """
    end = min(now, trial.calendar.window(trial.calendar.all_days()[-1]).end)
    window, meter = Window(start=end - timedelta(days=1), end=end), Meter()
    buckets = list(fetch_usage(clients, endpoint, window, meter=meter))
    sink = "_Default" if endpoint.logs is None else "NAME"
    for log, counted, what, without in (
        ("requests", sum(b.requests or 0 for b in buckets), "requests", "no request can be seen"),
        ("varlog%2Fsystem", sum(b.starts or 0 for b in buckets), "instance starts", "most cold starts stay unknown"),
    ):
        if not counted:
            continue
        seen = next(fetch(clients, endpoint, window, meter=meter, logs=(log,)), None) is not None
        yield Finding(
            endpoint=endpoint.name,
            check=f"{what} logged",
            state="ok" if seen else "warn",
            detail=f"Cloud Monitoring counts {counted:,} {what} in a day, the log has {'them' if seen else f'none: {without}'}",
            do=None if seen else f"Look at the sink's filter and exclusions: `gcloud logging sinks describe {sink}`",
        )
    if endpoint.logs is None:
        yield retention(endpoint.name, trial)


def retention(endpoint: str, trial: Trial) -> Finding:
    """The whole trial should still be readable at its end, should it have to be collected again."""
    short = trial.trial.days >= DEFAULT_RETENTION_DAYS
    return Finding(
        endpoint=endpoint,
        check="retention",
        state="warn" if short else "ok",
        detail=f"the _Default bucket keeps {DEFAULT_RETENTION_DAYS} days unless changed, the trial lasts {trial.trial.days}",
        do="Lengthen it: `gcloud logging buckets update _Default --location=global --retention-days=90`" if short else None,
    )
