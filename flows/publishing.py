"""A trial's result made visible: the report beside the store, and the runs in MLflow."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from flows import evidence, results
from flows.seen import Seen
from reports.html import ReportFiles, write_report
from trial.config import Trial
from trial.results import TrialResult
from trial.store import Store


def report(
    trial: Trial, *, now: datetime, out: Path | None = None, planted: Mapping[str, Mapping[str, Any]] | None = None, pdf: bool = True
) -> tuple[TrialResult, ReportFiles]:
    """Writes the report to `out`, or beside the store."""
    store = Store.at(trial.store_url)
    seen = Seen(trial, store)
    result = results.gather(trial, store, now=now, seen=seen)
    extras = evidence.gather(trial, store, result, seen=seen, planted=planted)
    return result, write_report(result, config=trial, out=out or folder(trial), extras=extras, pdf=pdf)


def publish(
    trial: Trial, *, now: datetime, planted: Mapping[str, Mapping[str, Any]] | None = None, pdf: bool = True
) -> tuple[TrialResult, ReportFiles]:
    """The report and the MLflow runs; both may be made again at any time and then replace what they were."""
    from reports.tracking import log_trial

    result, files = report(trial, now=now, planted=planted, pdf=pdf)
    log_trial(result, config=trial, tracking_uri=trial.tracking_uri, artifacts=[files.html, files.json, *files.figures])
    return result, files


def folder(trial: Trial) -> Path:
    """Beside the store; a store elsewhere than on a disk has its report beside trial.toml."""
    base = Path(trial.store_url) if "://" not in trial.store_url else trial.folder / "fortnight-data"
    return base / "report"
