"""The Prefect flows: collect_day, collect_missing and close_trial. They gather, decide and apply; the work is elsewhere."""

from __future__ import annotations

import logging
from datetime import date, datetime
from pathlib import Path
from typing import Any

import prefect.runtime
from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.tasks import exponential_backoff

from flows import collecting, engine, progress, publishing, results, telling, wiring
from flows.collecting import Pulled
from trial import config
from trial.errors import FortnightError, Transient
from trial.store import Store

log = logging.getLogger("fortnight")


def only_transient(_task: Any, _run: Any, state: Any) -> bool:
    """Throttling and lost connections pass; a missing permission does not get better by asking again."""
    try:
        state.result()
    except Transient:
        return True
    except BaseException:  # noqa: BLE001 - whatever else it is, another try does not mend it
        return False
    return False


# Not cached: a cache keyed by its inputs would hide the lines that arrived since.
@task(
    task_run_name="pull {endpoint.name} {span[0]}",
    retries=4,
    retry_delay_seconds=exponential_backoff(backoff_factor=2),
    retry_jitter_factor=0.5,
    retry_condition_fn=only_transient,
    cache_policy=NO_CACHE,
)
def pull(trial: Any, endpoint: Any, span: tuple[date, ...], now: datetime) -> Pulled:
    return collecting.pull_days(trial, endpoint, span, now=now)


@task(task_run_name="compute {endpoint.name} {day}", cache_policy=NO_CACHE)
def compute(trial: Any, endpoint: Any, day: date, usage: Any, now: datetime) -> None:
    collecting.compute_day(trial, endpoint, day, usage, now=now)


@task(task_run_name="publish", cache_policy=NO_CACHE)
def show(trial: Any, now: datetime) -> list[str]:
    """MLflow and the report; what is collected stays collected where they fail, and the next run makes up for it."""
    try:
        publishing.publish(trial, now=now, pdf=False)
    except FortnightError as exc:
        log.error("not published: %s", exc)
        return [f"publishing: {exc}"]
    return []


@flow(name="collect-day", validate_parameters=False)
def collect_day(config_path: str, day: date, endpoint: str | None = None, now: datetime | None = None, publish: bool = True) -> list[str]:
    """One day of every endpoint (or one), whether or not it was collected before."""
    return _collect(config_path, [day], endpoint, now, publish)


@flow(name="collect-missing", validate_parameters=False)
def collect_missing(
    config_path: str, endpoint: str | None = None, now: datetime | None = None, days: list[date] | None = None, publish: bool = True
) -> list[str]:
    """
    Every complete day that is missing or young enough for late events, read off the store and never off the schedule,
    which loses runs across restarts.

    Args:
        publish: log the days to MLflow and write the report beside the store.

    Returns:
        one line per endpoint that failed; the others are collected all the same.
    """
    return _collect(config_path, days, endpoint, now, publish)


@flow(name="close-trial", validate_parameters=False)
def close_trial(config_path: str, now: datetime | None = None) -> list[str]:
    """
    The last collection and the report. Before the trial's end it says so and does nothing.

    Every day is read once more: some events arrive after the look-back of the daily runs.
    """
    trial = config.load(Path(config_path))
    at = now or scheduled()
    calendar = trial.calendar
    if calendar.window(calendar.all_days()[-1]).end > at:
        return [f"the trial runs until {calendar.end}; nothing to close yet"]
    return _collect(config_path, calendar.all_days(), None, at, publish=True)


@flow(name="harvest-workers", validate_parameters=False)
def harvest_workers(config_path: str, now: datetime | None = None) -> dict[str, int]:
    """Every few minutes: the logs of RunPod's live workers, which are gone with the worker and in no daily pull."""
    trial = config.load(Path(config_path))
    endpoints = [e for e in trial.endpoints if e.platform == "runpod"]
    return {e.name: harvest(trial, e, now or wiring.now()) for e in endpoints}


@task(
    task_run_name="harvest {endpoint.name}",
    retries=2,
    retry_delay_seconds=5,
    retry_condition_fn=only_transient,
    cache_policy=NO_CACHE,
)
def harvest(trial: Any, endpoint: Any, now: datetime) -> int:
    return collecting.harvest_workers(trial, endpoint, now=now)


def scheduled() -> datetime:
    """The time a run was scheduled for, which it may start before; the clock only where there was none."""
    return prefect.runtime.flow_run.scheduled_start_time or wiring.now()


def _collect(config_path: str, days: list[date] | None, only: str | None, now: datetime | None, publish: bool) -> list[str]:
    trial = config.load(Path(config_path))
    at = now or scheduled()
    store = Store.at(trial.store_url)
    endpoints = [trial.endpoint(only)] if only else list(trial.endpoints)
    results.register(trial, store, now=at)
    missed = telling.missed_days(trial, store, now=at)
    plans = {endpoint.name: collecting.plan(trial, store, endpoint, now=at, days=days) for endpoint in endpoints}
    progress.current().plan(sum(len(span) for spans in plans.values() for span in spans))
    failures = engine.collect(trial, plans, at=at, pull=pull, compute=compute) if any(plans.values()) else []
    if publish and any(plans.values()):
        failures += show(trial, at)
    telling.tell(trial, store, failures=failures, now=at, missed=missed)
    return failures
