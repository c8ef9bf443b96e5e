"""MLflow runs of a trial: logged once, extended day by day, replaced where a day was corrected."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from reports import format as say
from reports import sentences
from reports.mlflow_runs import Step, WantedRun, wanted_runs
from reports.mlflow_urls import compare_url, experiment_url, run_url
from trial.config import Trial
from trial.errors import StoreError
from trial.results import TrialResult

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

# Read by MLflow when it is imported; a value the user has set stays. Whoever imports mlflow before this module must set them.
QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",  # its own 7, each twice as late, keep a command waiting for minutes
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackingSummary:
    """
    Where the trial is in MLflow.

    Args:
        run_ids: by run name, endpoints first.
        endpoint_runs: those of the endpoints alone, by endpoint.
        urls: "charts", "compare" and "what-if" pages; empty where the store is a file that no server shows.
        changed: names of the runs that were created, extended or replaced.
    """

    experiment_id: str
    run_ids: Mapping[str, str]
    endpoint_runs: Mapping[str, str]
    urls: Mapping[str, str] = field(default_factory=dict)
    changed: tuple[str, ...] = ()


def log_trial(result: TrialResult, *, config: Trial, tracking_uri: str, artifacts: Sequence[Path] = ()) -> TrackingSummary:
    """
    Makes MLflow show the trial as `result` has it, and nothing else: logging the same again changes nothing.

    Two processes must not log one trial at once: MLflow has no way to say "create unless it is there".

    Args:
        artifacts: files (the report, its figures) put under report/ of every endpoint's run.

    Raises:
        StoreError: MLflow cannot be reached or refuses.
    """
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    database = _sqlite_path(tracking_uri)
    if database is not None:
        database.parent.mkdir(parents=True, exist_ok=True)
    try:
        client = MlflowClient(tracking_uri=tracking_uri)
        experiment_id = _experiment(client, result.trial, database)
        return _log(client, experiment_id, result, config=config, tracking_uri=tracking_uri, artifacts=artifacts)
    except MlflowException as exc:
        first = str(exc).strip().splitlines()[0][:300]
        raise StoreError(f"MLflow: {first}", where=tracking_uri, do="Check [tracking] uri, and that the server runs") from exc


def _log(
    client: MlflowClient, experiment_id: str, result: TrialResult, *, config: Trial, tracking_uri: str, artifacts: Sequence[Path]
) -> TrackingSummary:
    known: dict[str, list[Run]] = {}
    others = False
    for run in _all_runs(client, experiment_id):
        known.setdefault(run.data.tags.get("fortnight.key", ""), []).append(run)
        others |= run.data.tags.get("trial_start", config.trial.start.isoformat()) != config.trial.start.isoformat()
    run_ids: dict[str, str] = {}
    by_key: dict[str, str] = {}
    changed: list[str] = []
    wanted = wanted_runs(result, config=config)
    # MLflow lists what started last first: a millisecond apart, runs stand in the order of trial.toml.
    first_ms = int(config.calendar.window(config.trial.start).start.timestamp() * 1000)
    for rank, want in enumerate(wanted):
        # A later trial under the same name stands beside the earlier one, and must be told from it in a legend.
        name = f"{want.name} ({config.trial.start})" if others else want.name
        tags = {
            **want.tags,
            "kind": want.kind,
            "trial": result.trial,
            "trial_start": config.trial.start.isoformat(),
            "fortnight.key": want.key,
        }
        tags |= {"mlflow.runName": name, "mlflow.source.name": "fortnight", "mlflow.user": "fortnight"}
        run_id, touched = _upsert(client, experiment_id, want, tags=tags, found=known.get(want.key, []), start_ms=first_ms - rank)
        touched |= _upload(client, run_id, want, artifacts if want.kind == "endpoint" else ())
        run_ids[name], by_key[want.key] = run_id, run_id
        changed += [name] if touched else []
    _delete_stale(client, known, wanted)
    endpoint_runs = {
        e.endpoint: by_key[want.key] for want in wanted for e in result.endpoints if want.kind == "endpoint" and want.name == e.endpoint
    }
    _describe(client, experiment_id, result, config=config, tracking_uri=tracking_uri, runs=endpoint_runs, artifacts=artifacts)
    urls = {}
    if tracking_uri.startswith(("http://", "https://")):
        urls = {
            "charts": experiment_url(tracking_uri, experiment_id),
            "compare": compare_url(tracking_uri, experiment_id, list(endpoint_runs.values())),
            "what-if": experiment_url(tracking_uri, experiment_id, kind="what-if"),
        }
    return TrackingSummary(experiment_id=experiment_id, run_ids=run_ids, endpoint_runs=endpoint_runs, urls=urls, changed=tuple(changed))


def _experiment(client: MlflowClient, name: str, database: Path | None) -> str:
    found = client.get_experiment_by_name(name)
    if found is not None:
        if found.lifecycle_stage == "deleted":
            client.restore_experiment(found.experiment_id)
        return str(found.experiment_id)
    # Without a location of its own an experiment in a file store keeps artifacts under whatever folder the process ran in.
    location = (database.parent / "mlartifacts" / name).as_uri() if database is not None else None
    return str(client.create_experiment(name, artifact_location=location))


def _sqlite_path(uri: str) -> Path | None:
    match = re.match(r"^sqlite:///(.+?)(\?.*)?$", uri)
    return Path(match[1]).resolve() if match else None


def _all_runs(client: MlflowClient, experiment_id: str) -> list[Run]:
    runs: list[Run] = []
    token = None
    while True:
        page = client.search_runs([experiment_id], max_results=1000, page_token=token)
        runs.extend(page)
        token = page.token
        if not token:
            return runs


def _upsert(
    client: MlflowClient, experiment_id: str, want: WantedRun, *, tags: Mapping[str, str], found: list[Run], start_ms: int
) -> tuple[str, bool]:
    """
    The id of the run that holds exactly what is wanted, and whether anything had to be written.

    A day that is only added goes into the same run. A day that was corrected needs a new one: at the same step and time MLflow
    keeps the old value beside the new, and shows whichever is larger.
    """
    hashes = " ".join(f"{s.number}:{s.sha}" for s in want.steps)
    tags = {**tags, "fortnight.base": want.base_sha, "fortnight.steps": hashes}
    keep = next((run for run in found if _extends(run, want)), None)
    if keep is not None:
        run_id = keep.info.run_id
        logged = set(keep.data.tags["fortnight.steps"].split())
        new = [s for s in want.steps if f"{s.number}:{s.sha}" not in logged]
        stale = {k: v for k, v in tags.items() if keep.data.tags.get(k, "") != v}
        if new:
            client.set_tag(run_id, "fortnight.writing", "yes")
            _log_steps(client, run_id, new)
        for name, value in stale.items():
            client.set_tag(run_id, name, value)
        if new:
            client.delete_tag(run_id, "fortnight.writing")
        touched = bool(new or stale)
    else:
        created = client.create_run(
            experiment_id, start_time=start_ms, run_name=tags["mlflow.runName"], tags={**tags, "fortnight.writing": "yes"}
        )
        run_id, touched = created.info.run_id, True
        _log_params(client, run_id, want)
        _log_steps(client, run_id, want.steps)
        client.set_terminated(run_id, end_time=max(start_ms, *(s.at_ms for s in want.steps)) if want.steps else start_ms)
        client.delete_tag(run_id, "fortnight.writing")
    for run in found:
        if run.info.run_id != run_id:
            client.delete_run(run.info.run_id)
    return run_id, touched


def _extends(run: Run, want: WantedRun) -> bool:
    """Whether everything `run` holds is wanted as it is, and it was written to its end."""
    tags = run.data.tags
    if "fortnight.writing" in tags or tags.get("fortnight.base") != want.base_sha:
        return False
    return set(tags.get("fortnight.steps", "").split()) <= {f"{s.number}:{s.sha}" for s in want.steps}


def _log_params(client: MlflowClient, run_id: str, want: WantedRun) -> None:
    from mlflow.entities import Dataset, DatasetInput, InputTag, Param

    client.log_batch(run_id, params=[Param(k, v) for k, v in want.params.items()])
    if want.dataset is not None:
        import json

        name, sha, profile = want.dataset
        dataset = Dataset(
            name=name, digest=sha[:32], source_type="fortnight", source=json.dumps({"key": want.key}), profile=json.dumps(profile)
        )
        client.log_inputs(run_id, [DatasetInput(dataset, tags=[InputTag("mlflow.data.context", "trial"), InputTag("sha256", sha)])])


def _log_steps(client: MlflowClient, run_id: str, steps: Iterable[Step]) -> None:
    from mlflow.entities import Metric

    metrics = [Metric(k, v, s.at_ms, s.number) for s in steps for k, v in s.metrics.items()]
    for at in range(0, len(metrics), 1000):  # log_batch takes a thousand at most
        client.log_batch(run_id, metrics=metrics[at : at + 1000])


def _upload(client: MlflowClient, run_id: str, want: WantedRun, artifacts: Sequence[Path]) -> bool:
    """Puts tables and files into the run unless they are there; an artifact, unlike a metric, can be overwritten."""
    files = {f"report/{path.name}": path.read_bytes() for path in artifacts}
    files |= {name: text.encode() for name, text in want.tables.items()}
    if not files:
        return False
    sha = hashlib.sha256(b"".join(name.encode() + hashlib.sha256(content).digest() for name, content in sorted(files.items()))).hexdigest()
    if client.get_run(run_id).data.tags.get("fortnight.artifacts") == sha:
        return False
    for path in artifacts:
        client.log_artifact(run_id, str(path), "report")
    for name, text in want.tables.items():
        client.log_text(run_id, text, name)
    client.set_tag(run_id, "fortnight.artifacts", sha)
    return True


def _delete_stale(client: MlflowClient, known: Mapping[str, list[Run]], wanted: Sequence[WantedRun]) -> None:
    """Settings that are no longer replayed; runs of anything else are left to their owner."""
    keys = {want.key for want in wanted}
    prefixes = tuple(want.key.replace("/endpoint/", "/what-if/", 1) + "/" for want in wanted if want.kind == "endpoint")
    for name, runs in known.items():
        if name not in keys and prefixes and name.startswith(prefixes):
            for run in runs:
                client.delete_run(run.info.run_id)


def _describe(
    client: MlflowClient,
    experiment_id: str,
    result: TrialResult,
    *,
    config: Trial,
    tracking_uri: str,
    runs: Mapping[str, str],
    artifacts: Sequence[Path],
) -> None:
    base = tracking_uri if tracking_uri.startswith(("http://", "https://")) else ""
    lines = [f"**{' '.join(sentences.headline(result))}**", "", f"{sentences.standing(result)}.", ""]
    lines += ["| endpoint | verdict | cold-hit rate | long-run interval | USD a day |", "|---|---|---|---|---|"]
    for e in result.endpoints:
        cost = say.usd(e.cost.usd_per_day) if e.cost else "no price"
        verdict = f"{say.DECISIONS[e.verdict.decision]}, {e.verdict.evidence}"
        lines.append(f"| {e.endpoint} | {verdict} | {say.percent(e.verdict.realised)} | {say.long_run(e.verdict.long_run)} | {cost} |")
    page = next((path.name for path in artifacts if path.suffix == ".html"), None)
    if page and runs:
        lines += ["", f"[The report]({run_url(base, experiment_id, next(iter(runs.values())), artifact=f'report/{page}')})"]
    lines += [
        "",
        f"Steps are days of the trial; day 1 is {config.trial.start}. The tag `kind` tells endpoint, dedicated and what-if runs apart.",
    ]
    text = "\n".join(lines)
    if client.get_experiment(experiment_id).tags.get("mlflow.note.content") != text:
        client.set_experiment_tag(experiment_id, "mlflow.note.content", text)
