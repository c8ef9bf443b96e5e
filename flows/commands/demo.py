"""`fortnight demo`: a whole trial against the sandbox, day by day through the real clients, beside the planted truth."""

from __future__ import annotations

import json
import os
import textwrap
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from trial import config
from trial.config import Trial
from trial.errors import ConfigError, SourceError
from trial.results import TrialResult

if TYPE_CHECKING:
    from reports.html import ReportFiles
    from sandbox.world import World

# Collected at 03:30 after each day, and once more when the last late lines have come.
COLLECTED_AFTER = timedelta(hours=3, minutes=30)
LATEST_LINES = timedelta(days=3)


def run(*, days: int, seed: int, out: Path, as_json: bool) -> None:
    marker = out / "trial.toml"
    if out.exists() and any(out.iterdir()) and not marker.exists():
        raise ConfigError("holds something that is no demo", where=str(out), do="Name an empty folder with --out")
    from sandbox.world import build_world

    typer.echo(f"Planting {days} days of traffic on three endpoints (seed {seed})", err=True)
    world = build_world(seed=seed, days=days)
    _fresh(out)
    with world.serve(out) as addresses, _environment(world.environment()):
        # Absolute: what trial.toml names is taken from its own folder, and --out from where the command stands.
        marker.write_text(world.trial_toml(addresses, out.resolve()), encoding="utf-8")
        trial = config.load(marker)
        _collect(world, trial, marker)
        result, files = _publish(world, trial)
    rows = compare(world.truth, result)
    if as_json:
        print(json.dumps({"rows": rows, "report": str(files.html), "tracking": trial.tracking_uri, "trial": str(marker)}, indent=1))
    else:
        _print(rows, result, files, marker)
    wrong = [row for row in rows if row["measured"]["cold_hits"] != row["planted"]["cold_hits"]]
    if wrong:
        raise SourceError(f"{wrong[0]['endpoint']}: measured cold hits differ from the planted ones", do="Please report this with the seed")


def compare(truth: Mapping[str, Mapping[Any, Any]], result: TrialResult) -> list[dict[str, Any]]:
    """Per endpoint what was measured beside what was planted."""
    rows = []
    for endpoint in result.endpoints:
        planted, total = truth[endpoint.endpoint].values(), endpoint.total
        if total is None:
            continue
        gpu = total.sketches.get("gpu_ms")
        days = endpoint.cost.days if endpoint.cost else ()
        rows.append(
            {
                "endpoint": endpoint.endpoint,
                "platform": endpoint.platform,
                "measured": {
                    "requests": total.requests,
                    "cold_hits": total.cold_hits,
                    "gpu_seconds": (gpu.sum_us if gpu else 0) / 1e6,
                    "usd": float(endpoint.cost.total_usd) if endpoint.cost else None,
                    "usd_bounds": [float(sum(d.low for d in days)), float(sum(d.high for d in days))] if days else None,
                },
                "planted": {
                    "requests": sum(d.requests for d in planted),
                    "cold_hits": sum(d.cold_hits for d in planted),
                    "gpu_seconds": sum(d.gpu_us for d in planted) / 1e6,
                    "usd": float(sum(d.billed_usd for d in planted)),
                },
                "decision": endpoint.verdict.decision,
                "evidence": endpoint.verdict.evidence,
            }
        )
    return rows


def _collect(world: World, trial: Trial, path: Path) -> None:
    from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

    from flows import progress
    from flows.bars import bar
    from flows.daily import collect_missing

    ends = [trial.calendar.window(day).end for day in trial.calendar]
    looks = [end + COLLECTED_AFTER for end in ends] + [ends[-1] + LATEST_LINES]
    # A heartbeat per run is for runs that a machine may lose; here it is a second a day.
    with bar() as showing, progress.showing(showing), temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
        for now in looks:
            world.set_now(now)
            failures = collect_missing(str(path.resolve()), now=now, days=_young(trial, now) if now is looks[-1] else None, publish=False)
            if failures:
                raise SourceError(failures[0])


def _young(trial: Trial, now: datetime) -> list:
    """The last look takes in every day that a late line can still belong to."""
    return [day for day in trial.calendar if trial.calendar.window(day).end > now - LATEST_LINES - timedelta(days=3)]


def _publish(world: World, trial: Trial) -> tuple[TrialResult, ReportFiles]:
    from flows import publishing

    typer.echo("Logging to MLflow and writing the report", err=True)
    planted = {
        name: {
            "cold_hits": sum(d.cold_hits for d in days.values()),
            "gpu_ms": sum(d.gpu_us for d in days.values()) / 1000,
            "usd": float(sum(d.billed_usd for d in days.values())),
        }
        for name, days in world.truth.items()
    }
    return publishing.publish(trial, now=trial.calendar.window(trial.calendar.all_days()[-1]).end + LATEST_LINES, planted=planted)


def _fresh(out: Path) -> None:
    """An earlier demo is replaced: its servers are gone, and its days are not these."""
    import shutil

    for name in ("fortnight-data", "store", "handler-lines", "bills", "trial.toml"):
        target = out / name
        shutil.rmtree(target) if target.is_dir() else target.unlink(missing_ok=True)
    out.mkdir(parents=True, exist_ok=True)


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})


def _print(rows: list[dict[str, Any]], result: TrialResult, files: ReportFiles, marker: Path) -> None:
    print("\nMeasured beside planted")
    for row in rows:
        measured, planted = row["measured"], row["planted"]
        same = "equal" if measured["cold_hits"] == planted["cold_hits"] else "DIFFERENT"
        usd = "-" if measured["usd"] is None else f"${measured['usd']:,.2f}"
        bounds = " to ".join(f"${end:,.2f}" for end in measured["usd_bounds"] or ())
        print(f"  {row['endpoint']}")
        print(f"    cold hits  {measured['cold_hits']:,} of {measured['requests']:,} requests; planted {planted['cold_hits']:,}: {same}")
        print(f"    GPU time   {measured['gpu_seconds']:,.1f} s; planted {planted['gpu_seconds']:,.1f} s")
        print(f"    cost       {usd} modelled, within {bounds}; planted bill ${planted['usd']:,.2f}")
    print("\nVerdicts")
    for endpoint in result.endpoints:
        verdict = endpoint.verdict
        print(f"  {endpoint.endpoint}: {verdict.decision} ({verdict.evidence})")
        print(textwrap.fill(verdict.reasons[0], width=96, initial_indent="    ", subsequent_indent="    "))
    print(f"\nReport       {files.html}")
    print(f"MLflow       fortnight ui --config {marker}")
    print(f"Look around  fortnight status --config {marker}")
