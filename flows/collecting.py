"""One endpoint's collection as two steps that Prefect can retry apart: pull raw events, then compute days from the store."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import Any

from collectors.registry import READ_WHOLE, collector
from expectations import invocations as expect_invocations
from expectations.result import SuiteResult
from flows import day as days
from flows import progress, pull, wiring
from flows.due import due_days, runs
from trial import pulls, raw
from trial.calendar import Calendar
from trial.config import Trial
from trial.errors import ConfigError, SourceError
from trial.meter import Meter
from trial.records import UsageBucket
from trial.store import Store
from trial.summary import DaySummary

log = logging.getLogger("fortnight")

# Six harvests overlap: one that fails, or a machine that sleeps for a while, loses nothing.
HARVEST_BACK = timedelta(minutes=30)

OpenClients = Callable[..., contextlib.AbstractContextManager[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulled:
    """What one pull brought: the provider's buckets by day (None where they could not be read), and what it cost."""

    days: tuple[date, ...]
    usage: dict[date, tuple[UsageBucket, ...] | None]
    new_events: int
    meter: Meter


def plan(trial: Trial, store: Store, endpoint: Any, *, now: datetime, days: list[date] | None = None) -> list[tuple[date, ...]]:
    """
    The pulls to make: one a day, or one for each unbroken run of days where a pull reads files from end to end.

    Raises:
        ConfigError: a day asked for lies outside the trial, or has not ended.
    """
    calendar = trial.calendar
    if days is None:
        todo = due_days(
            calendar,
            store.days(endpoint.name),
            now,
            watermark=timedelta(minutes=trial.collect.watermark_minutes),
            lookback=timedelta(hours=trial.collect.lookback_hours),
            pulled=_last_pulled(store, endpoint.name),
        )
    else:
        todo = sorted(set(days))
        for day in todo:
            if not trial.trial.start <= day < calendar.end:
                raise ConfigError(
                    f"{day} is no day of the trial", do=f"It runs from {trial.trial.start} to {calendar.end - timedelta(days=1)}"
                )
            if calendar.window(day).end > now:
                raise ConfigError(f"{day} has not ended yet in {trial.trial.timezone}", do="Collect it tomorrow")
    if endpoint.platform in READ_WHOLE or getattr(endpoint, "logs", None) is not None:
        return [tuple(first + timedelta(days=i) for i in range((last - first).days + 1)) for first, last in runs(todo)]
    return [(day,) for day in todo]


def pull_days(trial: Trial, endpoint: Any, span: tuple[date, ...], *, now: datetime, open_clients: OpenClients = wiring.clients) -> Pulled:
    """
    The days' raw events into the store, and the provider's own counts; what it took is noted beside the store's days.

    Args:
        open_clients: a context manager's function that gives the collector's clients, as wiring.clients.

    Raises:
        SourceError: the platform could not be read.
    """
    store, calendar, meter = Store.at(trial.store_url), trial.calendar, Meter()
    source = collector(endpoint.platform)
    with _noted(store, endpoint, meter, at=now, what="days", days=span), open_clients(endpoint, trial, now=now) as clients:
        window = pull.window_of(store, endpoint.name, span[0], span[-1], calendar)
        report = progress.current()
        new = pull.pull(
            store,
            source,
            clients,
            endpoint,
            window,
            calendar,
            meter=meter,
            keep_raw=trial.store.keep_raw,
            on_events=lambda n: report.events(endpoint.name, n),
        )
        usage = pull.usage(source, clients, endpoint, span, calendar, folder=trial.folder, meter=meter)
    return Pulled(days=span, usage=usage, new_events=new, meter=meter)


def harvest_workers(trial: Trial, endpoint: Any, *, now: datetime) -> int:
    """
    The log lines of RunPod workers that are alive now, kept raw before they are gone with the worker.

    Returns:
        how many lines were new; reading a line again, here or in a shipped file, changes nothing.

    Raises:
        SourceError: the API could not be read.
    """
    from collectors.runpod.harvest import harvest

    store, meter = Store.at(trial.store_url), Meter()
    with _noted(store, endpoint, meter, at=now, what="harvest"), wiring.clients(endpoint, trial, now=now) as clients:
        found = harvest(clients, endpoint, since=now - HARVEST_BACK, meter=meter)
        events = pull.kept(found, collector(endpoint.platform), endpoint, keep_raw=trial.store.keep_raw)
        new = sum(raw.merge(store.files, endpoint=endpoint.name, events=events, day_of=trial.calendar.day_of).values())
    for since, until in harvest_gaps(store, endpoint.name, calendar=trial.calendar)[-1:]:
        if until == now:
            log.warning("%s: %s", endpoint.name, lost_logs(since, until))
    return new


def lost_logs(since: datetime, until: datetime | None) -> str:
    """What nobody can read any more after a harvest_gaps gap."""
    if until is None:
        return (
            f"no harvest since {since:%Y-%m-%d %H:%M} UTC: the logs of RunPod workers that ended since then are lost for ever, but for "
            "lines that were shipped. Is `fortnight serve` running?"
        )
    return (
        f"no harvest from {since:%Y-%m-%d %H:%M} to {until:%Y-%m-%d %H:%M} UTC: the logs of RunPod workers that ended in between are "
        "lost for ever, but for lines that were shipped"
    )


def _last_pulled(store: Store, endpoint: str) -> dict[date, datetime]:
    found: dict[date, datetime] = {}
    for done in pulls.read(store.files, endpoint=endpoint):
        if done.first is not None and done.last is not None and not done.failed:
            for i in range((done.last - done.first).days + 1):
                day = done.first + timedelta(days=i)
                found[day] = max(done.at, found.get(day, done.at))
    return found


def harvest_gaps(store: Store, endpoint: str, *, calendar: Calendar, now: datetime | None = None) -> list[tuple[datetime, datetime | None]]:
    """
    Between which harvests of RunPod's workers more time went by than a harvest reads back: what ended in between took its
    logs with it, and no source has them any more. From the trial's start on to its end; nothing where there never was a harvest.

    Args:
        now: also look at the time since the last harvest; its end is None while the trial runs.

    Raises:
        StoreError: the notes of what was pulled are damaged.
    """
    first, last = calendar.window(calendar.start).start, calendar.window(calendar.all_days()[-1]).end
    at: list[datetime] = [p.at for p in pulls.read(store.files, endpoint=endpoint) if p.what == "harvest" and not p.failed]
    if not at:
        return []
    found: list[tuple[datetime, datetime | None]] = [(a, b) for a, b in pairwise([min(first, at[0]), *at]) if b - a > HARVEST_BACK]
    if now is not None and min(now, last) - at[-1] > HARVEST_BACK:
        found.append((at[-1], last if now > last else None))
    return found


@contextlib.contextmanager
def _noted(store: Store, endpoint: Any, meter: Meter, *, at: datetime, what: str, days: tuple[date, ...] = ()) -> Iterator[None]:
    """Notes what was called inside, whether or not it succeeds: a pull that fails has been paid for too, or was refused at once."""
    failed, refused = True, False
    try:
        yield
        failed = False
    except SourceError:
        refused = True
        raise
    finally:
        if meter.calls or meter.events or refused:
            pulls.record(store.files, endpoint=endpoint.name, pull=pulls.of(meter, at=at, what=what, days=days, failed=failed))


def compute_day(
    trial: Trial,
    endpoint: Any,
    day: date,
    usage: tuple[UsageBucket, ...] | None,
    *,
    now: datetime | None = None,
    check: Callable[[Any], SuiteResult] = expect_invocations.check,
) -> DaySummary:
    """The day from the raw store alone; `now` is noted in the store's chain."""
    summary = days.process(
        Store.at(trial.store_url),
        collector(endpoint.platform),
        endpoint,
        day,
        trial.calendar,
        slo_ms=trial.trial.latency_slo_ms,
        usage=usage,
        when=now,
        check=check,
        part_mb=trial.engine.part_mb,
    )
    progress.current().day(endpoint.name, day)
    return summary
