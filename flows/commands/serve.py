"""`fortnight serve`: the schedules in one long process. What a stopped one missed, the next run makes up from the store."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from trial import config

HARVEST = "*/5 * * * *"  # RunPod stops an idle worker after seconds, and its log goes with it


def run(path: Path) -> None:
    # A server of one's own while this runs; PREFECT_API_URL names a shared one.
    os.environ["PREFECT_LOGGING_LEVEL"] = os.environ.get("FORTNIGHT_LOGGING_LEVEL", "INFO")
    # What Fortnight says of a run, such as worker logs that are lost for ever, stands in the run's own log too.
    os.environ.setdefault("PREFECT_LOGGING_EXTRA_LOGGERS", "fortnight")
    trial = config.load(path)
    logging.getLogger("fortnight").info("serving the schedules of %s", trial.trial.name)
    from prefect import serve

    from flows.prefect_server import answering

    with answering():
        serve(*deployments(path.resolve()), pause_on_shutdown=False)


def deployments(path: Path) -> list:
    """
    One deployment a schedule, each in the trial's time zone.

    The day is never taken from the clock: a scheduled run can start a little before its time.
    """
    from prefect.schedules import Cron

    from flows.daily import close_trial, collect_missing, harvest_workers

    trial = config.load(path)
    zone, name = trial.trial.timezone, trial.trial.name
    end = trial.calendar.end
    hour, minute = trial.collect.cron.split()[1], trial.collect.cron.split()[0]
    daily = collect_missing.to_deployment(
        name=f"{name}-daily",
        parameters={"config_path": str(path)},
        schedules=[Cron(trial.collect.cron, timezone=zone, slug="daily")],
        concurrency_limit=1,
    )
    closing = close_trial.to_deployment(
        name=f"{name}-close",
        parameters={"config_path": str(path)},
        # The day after the last: cron knows no year, so close_trial asks the calendar once more.
        schedules=[Cron(f"{minute} {_plus_one(hour)} {end.day} {end.month} *", timezone=zone, slug="close")],
        concurrency_limit=1,
    )
    made = [daily, closing]
    if any(e.platform == "runpod" for e in trial.endpoints):
        made.append(
            harvest_workers.to_deployment(
                name=f"{name}-harvest",
                parameters={"config_path": str(path)},
                schedules=[Cron(HARVEST, timezone=zone, slug="harvest")],
                concurrency_limit=1,
            )
        )
    return made


def _plus_one(hour: str) -> str:
    return str((int(hour) + 1) % 24) if hour.isdigit() else "5"
