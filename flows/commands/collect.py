"""`fortnight collect`: the collection flow, with a progress bar on standard error."""

from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path

from trial import config
from trial.config import Trial
from trial.errors import ConfigError, SourceError


def run(
    path: Path, *, day: str | None, from_day: str | None, to_day: str | None, endpoint: str | None, publish: bool, as_json: bool
) -> None:
    trial = config.load(path)
    days = _days(trial, day, from_day, to_day)
    chosen = [trial.endpoint(endpoint)] if endpoint else trial.endpoints
    from flows import progress, wiring

    # A key that is not set is a mistake of the configuration: said before anything is started.
    for one in chosen:
        if key := getattr(one, "api_key_env", None):
            wiring.secret(key, endpoint=one.name)
    from flows.bars import bar
    from flows.daily import collect_missing
    from flows.prefect_server import answering

    with answering(), bar() as showing, progress.showing(showing):
        failures = collect_missing(str(path.resolve()), endpoint=endpoint, days=days, publish=publish)
    if as_json:
        from flows.commands import status
        from trial.store import Store

        names = [endpoint] if endpoint else [e.name for e in trial.endpoints]
        print(json.dumps({**status.document(trial, Store.at(trial.store_url), names), "failures": failures}, indent=1))
    if failures:
        # Each was named when it happened.
        count = f"{len(failures)} failure{'' if len(failures) == 1 else 's'}"
        raise SourceError(f"{count}, named above; what is stored stays as it is", do="Mend it and run `fortnight collect` again")


def _days(trial: Trial, day: str | None, first: str | None, last: str | None) -> list[date] | None:
    if day is not None and (first or last):
        raise ConfigError("--day and --from/--to exclude each other", do="Use one or the other")
    if day is not None:
        return [_date(day)]
    if first is None and last is None:
        return None
    start = _date(first) if first else trial.trial.start
    end = _date(last) if last else trial.calendar.end - timedelta(days=1)
    if end < start:
        raise ConfigError(f"--to {end} lies before --from {start}")
    return [start + timedelta(days=i) for i in range((end - start).days + 1)]


def _date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as exc:
        raise ConfigError(f"{text!r} is not a day", do="Write it as YYYY-MM-DD, for example 2026-11-02") from exc
