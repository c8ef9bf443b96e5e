"""What stays unseen on Vertex AI: an access log that is off, a container log that is off, refusals while scaling from zero."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from collectors.google_api import Clients
from collectors.vertex_ai.fetch import fetch, fetch_usage
from trial.calendar import Window
from trial.config import Trial, VertexEndpoint
from trial.finding import Finding
from trial.meter import Meter


def probe(clients: Clients, endpoint: VertexEndpoint, trial: Trial, *, now: datetime) -> Iterator[Finding]:
    """
    Raises:
        SourceError: as `fetch` and `fetch_usage`.
    """
    end = min(now, trial.calendar.window(trial.calendar.all_days()[-1]).end)
    window, meter = Window(start=end - timedelta(days=1), end=end), Meter()
    buckets = list(fetch_usage(clients, endpoint, window, meter=meter))
    requests = sum(b.requests or 0 for b in buckets)
    if requests:
        for log, missing, do in (
            (
                "prediction_container",
                "no handler line can be seen",
                "Deploy the model without --disable-container-logging",
            ),
            (
                "prediction_access",
                "it is off unless asked for; nothing but a second count is lost",
                "To have it, undeploy and deploy the model with --enable-access-logging",
            ),
        ):
            seen = next(fetch(clients, endpoint, window, meter=meter, logs=(log,)), None) is not None
            yield Finding(
                endpoint=endpoint.name,
                check=log.replace("_", " ") + " log",
                state="ok" if seen else "warn",
                detail="entries seen" if seen else f"{requests:,} requests in a day and no entry: {missing}",
                do=None if seen else do,
            )
    refused = sum(b.errors or 0 for b in buckets if b.instances is not None and b.instances < 1)
    if refused:
        yield Finding(
            endpoint=endpoint.name,
            check="scale to zero",
            state="warn",
            detail=f"{refused:,} errors in hours with less than one replica: while it scales up, requests are refused, not held",
            do="Read these errors as cold starts, or keep one replica",
        )
