"""What ends or thins a trial on RunPod quietly: an endpoint cut back for want of requests, lines shipped nowhere, changed settings."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import quote

from collectors.rest import get_json
from collectors.runpod.envelope import instant
from collectors.runpod.fetch import Clients
from collectors.runpod.usage import fetch_usage
from trial.calendar import Window
from trial.config import RunpodEndpoint, Trial
from trial.errors import SourceError
from trial.finding import Finding
from trial.meter import Meter

# RunPod's own rule: without requests an endpoint has two workers at most from the third day on, and none from the seventh.
CUT_AFTER, OFF_AFTER, CUT_TO = timedelta(days=3), timedelta(days=7), 2
WARN_AFTER = timedelta(days=2)


def probe(
    clients: Clients, endpoint: RunpodEndpoint, trial: Trial, *, now: datetime, sleep: Callable[[float], None] = time.sleep
) -> Iterator[Finding]:
    """
    Asks for the endpoint's settings, its releases and its last spending. What the key may not read is a finding, not an
    error: shipped lines are collected without it.
    """
    if endpoint.handler_lines is None:
        yield Finding(
            endpoint=endpoint.name,
            check="shipped lines",
            state="warn",
            detail="no `handler_lines`: only what `fortnight serve` reads while a worker lives is kept",
            do="Keep `fortnight serve` running, or ship the handler's lines and set `handler_lines`",
        )
    try:
        yield from _api(clients, endpoint, trial, now, sleep)
    except SourceError as exc:
        state = "warn" if endpoint.handler_lines else "fail"
        yield Finding(endpoint=endpoint.name, check="RunPod API", state=state, detail=exc.what, do=exc.do)  # type: ignore[arg-type]


def _api(clients: Clients, endpoint: RunpodEndpoint, trial: Trial, now: datetime, sleep: Callable[[float], None]) -> Iterator[Finding]:
    if clients.http is None:
        yield Finding(
            endpoint=endpoint.name,
            check="RunPod API",
            state="warn",
            detail="no key: neither the bill nor live workers can be read",
            do=f"Set {endpoint.api_key_env} to a RunPod API key",
        )
        return
    where, meter = f"{endpoint.name} (RunPod endpoint {endpoint.endpoint_id})", Meter()
    base = f"/v2/serverless/{quote(endpoint.endpoint_id, safe='')}"

    def get(path: str) -> dict[str, Any]:
        return get_json(clients.http, path, meter=meter, where=where, key_env=endpoint.api_key_env, sleep=sleep)  # type: ignore[arg-type]

    settings = get(base)
    yield Finding(endpoint=endpoint.name, check="RunPod API", state="ok", detail=f"the key in {endpoint.api_key_env} reads the endpoint")
    yield from _workers(settings, endpoint)
    yield from _quiet(clients, endpoint, now, sleep)
    yield from _changes(get(f"{base}/releases"), endpoint, trial)


def _workers(settings: Mapping[str, Any], endpoint: RunpodEndpoint) -> Iterator[Finding]:
    workers = settings.get("workers")
    workers = workers if isinstance(workers, Mapping) else {}
    most, least, idle_s = workers.get("max"), workers.get("min"), workers.get("idleTimeout")
    if isinstance(most, int):
        yield Finding(
            endpoint=endpoint.name,
            check="workers",
            state="fail" if most == 0 else "warn" if most <= CUT_TO else "ok",
            detail=f"at most {most}"
            + (": none can start" if most == 0 else "")
            + (f"; RunPod itself sets {CUT_TO} after 3 days without requests, and 0 after 7" if most <= CUT_TO else ""),
            do="If that is not what you set, raise the maximum again in the endpoint's settings" if most <= CUT_TO else None,
        )
    if isinstance(least, int) and least != endpoint.min_workers:
        yield Finding(
            endpoint=endpoint.name,
            check="active workers",
            state="warn",
            detail=f"RunPod keeps {least} warm, trial.toml says {endpoint.min_workers}: the what-ifs start from the latter",
            do=f"Set `min_workers = {least}`",
        )
    if isinstance(idle_s, int) and endpoint.idle_timeout_s is not None and idle_s != endpoint.idle_timeout_s:
        yield Finding(
            endpoint=endpoint.name,
            check="idle time-out",
            state="warn",
            detail=f"RunPod has {idle_s} s, trial.toml {endpoint.idle_timeout_s:g} s",
            do=f"Set `idle_timeout_s = {idle_s}`",
        )


def _quiet(clients: Clients, endpoint: RunpodEndpoint, now: datetime, sleep: Callable[[float], None]) -> Iterator[Finding]:
    """Spending is the one trace of requests that the API keeps; disks are billed without any."""
    window = Window(start=now - OFF_AFTER, end=now)
    buckets = fetch_usage(clients, endpoint, window, meter=Meter(), sleep=sleep)
    busy = [b.end for b in buckets if (b.billed_usd.get("gpu") or Decimal(0)) + (b.billed_usd.get("cpu") or Decimal(0)) > 0]
    quiet = now - max(busy, default=window.start)
    if quiet >= WARN_AFTER:
        days = f"{'' if busy else 'at least '}{quiet / timedelta(days=1):.1f} days"
        yield Finding(
            endpoint=endpoint.name,
            check="quiet",
            state="warn",
            detail=f"no worker was billed for {days}; after 3 RunPod leaves two workers, after 7 none",
            do="Send a request a day, marked synthetic, to keep the endpoint alive",
        )


def _changes(answer: Mapping[str, Any], endpoint: RunpodEndpoint, trial: Trial) -> Iterator[Finding]:
    days = trial.calendar.all_days()
    window = Window(start=trial.calendar.window(days[0]).start, end=trial.calendar.window(days[-1]).end)
    releases = answer.get("releases")
    times = [instant(r.get("createdAt")) for r in releases if isinstance(r, Mapping)] if isinstance(releases, list) else []
    changed = sorted(at for at in times if at is not None and at in window)
    if changed:
        shown = ", ".join(f"{at:%Y-%m-%d %H:%M}" for at in changed[:3]) + (f" and {len(changed) - 3} more" if len(changed) > 3 else "")
        yield Finding(
            endpoint=endpoint.name,
            check="changes",
            state="warn",
            detail=f"released during the trial: {shown} UTC; the days before and after measure two things",
            do="Read the days of each release for themselves, or begin the trial anew",
        )
