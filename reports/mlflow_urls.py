"""Addresses of MLflow's pages: charts of a trial, runs side by side, one metric. `base` is the server, without a trailing slash."""

from __future__ import annotations

import json
from collections.abc import Sequence
from urllib.parse import quote


def experiment_url(base: str, experiment_id: str, *, kind: str | None = "endpoint", charts: bool = True) -> str:
    """The runs of an experiment; as charts, with the endpoints as lines. `kind` keeps endpoint, what-if or dedicated runs, None all."""
    query = ["compareRunsMode=CHART"] if charts else []
    if kind is not None:
        wanted = f"tags.kind='{kind}'"
        query.append(f"searchFilter={quote(wanted, safe='')}")
    return f"{_page(base)}/experiments/{experiment_id}/runs{'?' if query else ''}{'&'.join(query)}"


def compare_url(base: str, experiment_id: str, run_ids: Sequence[str]) -> str:
    """Runs side by side: parallel coordinates, then parameters and metrics."""
    return f"{_page(base)}/compare-runs?runs={_json(list(run_ids))}&experiments={_json([experiment_id])}"


def metric_url(base: str, experiment_id: str, run_ids: Sequence[str], metric: str) -> str:
    """One metric of several runs over the trial's days."""
    runs, experiments = _json(list(run_ids)), _json([experiment_id])
    return f"{_page(base)}/metric?runs={runs}&metric={_json(metric)}&experiments={experiments}&plot_metric_keys={_json([metric])}"


def run_url(base: str, experiment_id: str, run_id: str, *, artifact: str | None = None) -> str:
    path = f"/artifacts/{quote(artifact)}" if artifact else ""
    return f"{_page(base)}/experiments/{experiment_id}/runs/{run_id}{path}"


def _page(base: str) -> str:
    return f"{base.rstrip('/')}/#"


def _json(value: object) -> str:
    return quote(json.dumps(value, separators=(",", ":")), safe="")
