"""`fortnight doctor`: tries every source and says what works, what is thin, and what to mend. Keeps only the number of warnings."""

from __future__ import annotations

import contextlib
import json
import textwrap
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

from trial import config
from trial.calendar import Window
from trial.config import Trial
from trial.errors import FortnightError, SourceError, StoreError, Unreachable
from trial.finding import Finding
from trial.meter import Meter
from trial.records import Ignored, Rejected

# Enough to see a handler line and a start; not so many that a look costs what a collection does.
LOOK = timedelta(hours=24)
LOOK_EVENTS = 20_000
SKEW = timedelta(minutes=2)


def run(path: Path, *, endpoint: str | None, as_json: bool) -> None:
    from flows import operations, wiring
    from trial.store import Store

    trial = config.load(path)
    endpoints = [trial.endpoint(endpoint)] if endpoint else list(trial.endpoints)
    findings = [f for e in endpoints for f in look(trial, e, now=wiring.now())]
    findings += look_around(trial)
    with contextlib.suppress(StoreError):  # already among the findings
        operations.note_doctor(Store.at(trial.store_url), findings, names=[e.name for e in endpoints], now=wiring.now())
    if as_json:
        print(json.dumps({"trial": trial.trial.name, "findings": [_json(f) for f in findings]}, indent=1))
    else:
        _print(findings)
    failed = [f for f in findings if f.state == "fail"]
    if failed:
        raise SourceError(f"{len(failed)} of {len(findings)} checks failed", do=failed[0].do or "See what is marked `fail` above")


def look(trial: Trial, endpoint: Any, *, now: datetime) -> Iterator[Finding]:
    """Everything that can be said of one endpoint's sources."""
    from collectors.registry import collector
    from flows import bills, pinging, wiring

    source, meter = collector(endpoint.platform), Meter()
    window = _window(trial, now)
    try:
        with wiring.clients(endpoint, trial, now=now) as clients:
            events = list(islice(source.fetch(clients, endpoint, window, meter=meter), LOOK_EVENTS))
            yield Finding(
                endpoint=endpoint.name,
                check="logs",
                state="ok" if events else "warn",
                detail=f"{len(events):,} events from {window.start:%Y-%m-%d %H:%M} to {window.end:%Y-%m-%d %H:%M} UTC",
                do=None if events else "Send a request, wait a minute and look again; or check the names in trial.toml",
            )
            yield from _contents(source, endpoint, events, now)
            yield from pinging.suggest(source, endpoint, events, trial.calendar)
            yield _usage(source, clients, endpoint, window, meter)
            yield from _triton(endpoint, window, trial.folder, meter)
            yield from _probe(source, clients, endpoint, trial, now)
    except FortnightError as exc:
        yield Finding(endpoint=endpoint.name, check="logs", state="fail", detail=_with_place(endpoint, exc), do=exc.do)
    yield from bills.look(trial, endpoint)


def _with_place(endpoint: Any, exc: FortnightError) -> str:
    """What went wrong, and where: a refused connection names no address of its own."""
    if isinstance(exc, Unreachable) and endpoint.api_endpoint and endpoint.api_endpoint not in exc.what:
        return f"{exc.what} (api_endpoint {endpoint.api_endpoint})"
    return exc.what


def _probe(source: Any, clients: Any, endpoint: Any, trial: Trial, now: datetime) -> Iterator[Finding]:
    """What only this platform can ask: retention, log classes, limits that end a trial quietly."""
    probe = getattr(source, "probe", None)
    if probe is not None:
        yield from probe(clients, endpoint, trial, now=now)


def look_around(trial: Trial) -> Iterator[Finding]:
    """The store and the prices."""
    from trial.store import Store

    store = Store.at(trial.store_url)
    try:
        with store.files.scratch() as folder:
            (folder / "probe").write_bytes(b"ok")
            store.files.publish(folder / "probe", ".probe")
        store.files.delete(".probe")
        yield Finding(endpoint="-", check="store", state="ok", detail=f"{trial.store_url} can be written")
    except FortnightError as exc:
        yield Finding(endpoint="-", check="store", state="fail", detail=str(exc), do=exc.do)
    from analysis import prices

    try:
        book = prices.load(trial.prices.book, folder=trial.folder)
    except FortnightError as exc:
        yield Finding(endpoint="-", check="prices", state="fail", detail=exc.what, do=exc.do)
        return
    for item in (*trial.endpoints, *trial.dedicated):
        if item.price is None:
            yield Finding(
                endpoint=item.name,
                check="price",
                state="warn",
                detail="no `price`: no cost is computed",
                do="Choose a row of `fortnight prices list`",
            )
            continue
        try:
            yield Finding(endpoint=item.name, check="price", state="ok", detail=book.row(item.price).name)
        except FortnightError as exc:
            yield Finding(endpoint=item.name, check="price", state="fail", detail=exc.what, do=exc.do)


def _window(trial: Trial, now: datetime) -> Window:
    """The last day, or the trial's last if it is over: what is on disk may be old."""
    end = min(now, trial.calendar.window(trial.calendar.all_days()[-1]).end)
    return Window(start=end - LOOK, end=end)


def _contents(source: Any, endpoint: Any, events: list[Any], now: datetime) -> Iterator[Finding]:
    kinds: Counter[str] = Counter()
    rejected: Counter[str] = Counter()
    for event in events:
        match source.parse(event, endpoint):
            case Ignored():
                pass
            case Rejected(reason=reason):
                rejected[reason] += 1
            case fact:
                kinds[fact.kind] += 1
    if not events:
        return
    lines = kinds["handler_line"]
    yield Finding(
        endpoint=endpoint.name,
        check="handler line",
        state="ok" if lines else "warn",
        detail=f"{lines:,} seen" if lines else "none seen: GPU time, model loading and lazy loads stay unknown",
        do=None if lines else "Print one line per request: `fortnight handler-line` shows the file to copy into the image",
    )
    if rejected:
        named = ", ".join(f"{n} {reason}" for reason, n in rejected.most_common(3))
        yield Finding(
            endpoint=endpoint.name,
            check="lines understood",
            state="warn",
            detail=f"not understood: {named}",
            do="After a collection: `fortnight status --rejected`",
        )
    ahead = max(event.at for event in events) - now
    if ahead > SKEW:
        yield Finding(
            endpoint=endpoint.name,
            check="clock",
            state="warn",
            detail=f"events lie {ahead} in the future",
            do="Set this machine's clock by NTP",
        )


def _usage(source: Any, clients: Any, endpoint: Any, window: Window, meter: Meter) -> Finding:
    try:
        buckets = list(source.fetch_usage(clients, endpoint, window, meter=meter))
    except FortnightError as exc:
        return Finding(
            endpoint=endpoint.name,
            check="provider's counts",
            state="warn",
            detail=f"{_with_place(endpoint, exc)}: completeness stays unknown",
            do=exc.do,
        )
    if not buckets:
        return Finding(endpoint=endpoint.name, check="provider's counts", state="warn", detail="none: completeness stays unknown")
    return Finding(endpoint=endpoint.name, check="provider's counts", state="ok", detail=f"{len(buckets)} buckets")


def _triton(endpoint: Any, window: Window, folder: Path, meter: Meter) -> Iterator[Finding]:
    from collectors.triton import fetch_usage

    if endpoint.triton is None:
        return
    check = "Triton's statistics"
    try:
        buckets = list(fetch_usage(endpoint, window, folder=folder, meter=meter))
    except SourceError as exc:
        yield Finding(endpoint=endpoint.name, check=check, state="warn", detail=f"{exc.where}: {exc.what}", do=exc.do)
        return
    requests, gpu_ms = sum(b.requests or 0 for b in buckets), sum(b.gpu_ms or 0.0 for b in buckets)
    yield Finding(
        endpoint=endpoint.name,
        check=check,
        state="ok" if buckets else "warn",
        detail=f"{requests:,} requests and {gpu_ms:,.0f} ms of GPU time" if buckets else "no two readings of the last day",
        do=None if buckets else "Keep a reading a minute: docs/platforms/sagemaker.md, Triton",
    )


def _json(finding: Finding) -> dict[str, Any]:
    return {"endpoint": finding.endpoint, "check": finding.check, "state": finding.state, "detail": finding.detail, "do": finding.do}


def _print(findings: list[Finding]) -> None:
    from rich.console import Console

    width = min(Console().width, 110)
    lead = max((len(f.check) for f in findings), default=0) + 10
    for name in dict.fromkeys(f.endpoint for f in findings):
        print("the trial" if name == "-" else name)
        for finding in (f for f in findings if f.endpoint == name):
            print(_wrapped(finding.detail, width, first=f"  {finding.state:<4}  {finding.check}".ljust(lead), rest=" " * lead))
            if finding.do and finding.state != "ok":
                print(_wrapped(finding.do, width, first=f"{' ' * lead}-> ", rest=" " * (lead + 3)))


def _wrapped(text: str, width: int, *, first: str, rest: str) -> str:
    # Paths and names stay whole, to be copied.
    return textwrap.fill(text, width=width, initial_indent=first, subsequent_indent=rest, break_on_hyphens=False, break_long_words=False)
