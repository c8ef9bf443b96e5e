from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from reports.mlflow_runs import wanted_runs
from reports.mlflow_urls import compare_url, experiment_url, metric_url, run_url
from reports.tracking import log_trial
from trial.config import Trial
from trial.errors import StoreError
from trial.results import TrialResult


@pytest.fixture
def uri(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/store/mlflow.db"


def client_of(uri: str):
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=uri)


def everything(uri: str, experiment_id: str) -> dict:
    """All that MLflow holds: per run its params, tags and whole metric histories."""
    client = client_of(uri)
    held = {}
    for run in client.search_runs([experiment_id], max_results=1000):
        history = {k: [(m.step, m.timestamp, m.value) for m in client.get_metric_history(run.info.run_id, k)] for k in run.data.metrics}
        held[run.info.run_id] = (run.info.run_name, run.data.params, run.data.tags, history)
    return held


def test_logging_the_same_again_changes_nothing(result: TrialResult, config: Trial, uri: str, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    page.write_text("<p>verdict</p>")
    first = log_trial(result, config=config, tracking_uri=uri, artifacts=[page])
    before = everything(uri, first.experiment_id)
    second = log_trial(result, config=config, tracking_uri=uri, artifacts=[page])
    assert second.run_ids == first.run_ids
    assert second.changed == ()
    assert everything(uri, first.experiment_id) == before
    assert len(before) == 3 + 15 + 2

    client = client_of(uri)
    run = client.get_run(first.endpoint_runs["summariser-run"])
    assert run.data.params["gpu"] == "L4" and run.data.params["idle_timeout_s"] == "600.0" and run.data.params["region"] == "us-central1"
    assert run.data.tags["decision"] == "evaluate-dedicated" and run.data.tags["kind"] == "endpoint"
    history = client.get_metric_history(run.info.run_id, "cold_hit_rate")
    assert [m.step for m in history] == list(range(1, 15))
    starts = [int(config.calendar.window(d).start.timestamp() * 1000) for d in config.calendar]
    assert [m.timestamp for m in history] == starts
    assert run.data.metrics["cold_hit_rate_cumulative"] == result.endpoints[1].verdict.realised
    assert {"latency_ms_cold_p95", "gpu_ms_p50", "usd_per_1k_inferences", "requests", "cold_hit_rate_lo", "cold_hit_rate_hi"} <= set(
        run.data.metrics
    )
    assert {a.path for a in client.list_artifacts(run.info.run_id)} == {"days.csv", "days.json", "report"}
    assert [i.dataset.name for i in run.inputs.dataset_inputs] == ["summariser-run days"]
    listed = [run.info.run_name for run in client.search_runs([first.experiment_id], order_by=["attributes.start_time DESC"])]
    assert listed[:5] == ["summariser-fn", "summariser-run", "summariser-runpod", "g4dn.xlarge (dedicated)", "g2-standard-4 (dedicated)"]
    note = client.get_experiment(first.experiment_id).tags["mlflow.note.content"]
    assert "Evaluate dedicated endpoints for summariser-run." in note and "artifacts/report/report.html" in note
    location = client.get_experiment(first.experiment_id).artifact_location
    assert location.startswith("file://") and "/store/mlartifacts/" in location


def test_a_further_day_extends_the_same_run(config: Trial, uri: str, running: TrialResult) -> None:
    shorter = replace(running, endpoints=tuple(replace(e, days=e.days[:5], whatifs=()) for e in running.endpoints))
    longer = replace(running, endpoints=tuple(replace(e, whatifs=()) for e in running.endpoints))
    first = log_trial(shorter, config=config, tracking_uri=uri)
    second = log_trial(longer, config=config, tracking_uri=uri)
    assert second.endpoint_runs == first.endpoint_runs
    history = client_of(uri).get_metric_history(second.endpoint_runs["summariser-fn"], "requests")
    assert [(m.step, m.value) for m in history] == [(i + 1, d.requests) for i, d in enumerate(longer.endpoints[0].days)]


def test_a_corrected_day_replaces_the_run_and_leaves_no_old_value(running: TrialResult, config: Trial, uri: str) -> None:
    first = log_trial(running, config=config, tracking_uri=uri)
    target = running.endpoints[1]
    fewer = replace(target.days[2], cold_hits=target.days[2].cold_hits - 40, noticed=0)
    corrected = replace(
        running, endpoints=(running.endpoints[0], replace(target, days=(*target.days[:2], fewer, *target.days[3:])), running.endpoints[2])
    )
    second = log_trial(corrected, config=config, tracking_uri=uri)
    assert second.endpoint_runs["summariser-fn"] == first.endpoint_runs["summariser-fn"]
    assert second.endpoint_runs["summariser-run"] != first.endpoint_runs["summariser-run"]
    client = client_of(uri)
    assert client.get_run(first.endpoint_runs["summariser-run"]).info.lifecycle_stage == "deleted"
    assert [m.value for m in client.get_metric_history(second.endpoint_runs["summariser-run"], "cold_hits") if m.step == 3] == [
        fewer.cold_hits
    ]


def test_a_run_cut_off_while_it_was_written_is_replaced(running: TrialResult, config: Trial, uri: str) -> None:
    first = log_trial(running, config=config, tracking_uri=uri)
    cut = first.endpoint_runs["summariser-fn"]
    client_of(uri).set_tag(cut, "fortnight.writing", "yes")
    second = log_trial(running, config=config, tracking_uri=uri)
    assert second.endpoint_runs["summariser-fn"] != cut
    assert log_trial(running, config=config, tracking_uri=uri).changed == ()


def test_settings_no_longer_replayed_go_and_other_peoples_runs_stay(running: TrialResult, config: Trial, uri: str) -> None:
    first = log_trial(running, config=config, tracking_uri=uri)
    client = client_of(uri)
    theirs = client.create_run(first.experiment_id, run_name="mine").info.run_id
    fewer = replace(running, endpoints=tuple(replace(e, whatifs=e.whatifs[:1]) for e in running.endpoints))
    log_trial(fewer, config=config, tracking_uri=uri)
    assert len(client.search_runs([first.experiment_id], "tags.kind = 'what-if'")) == 3
    assert client.get_run(theirs).info.lifecycle_stage == "active"


def test_a_later_trial_of_the_same_name_stands_beside_the_first(running: TrialResult, config: Trial, uri: str) -> None:
    bare = replace(running, endpoints=tuple(replace(e, whatifs=()) for e in running.endpoints), dedicated=())
    first = log_trial(bare, config=config, tracking_uri=uri)
    earlier = config.model_copy(update={"trial": config.trial.model_copy(update={"start": config.trial.start.replace(day=1)})})
    second = log_trial(bare, config=earlier, tracking_uri=uri)
    assert second.experiment_id == first.experiment_id
    assert set(second.run_ids.values()).isdisjoint(first.run_ids.values())
    assert "summariser-fn (2026-11-01)" in second.run_ids
    assert len(everything(uri, first.experiment_id)) == 6


def test_what_is_not_finite_is_not_logged(running: TrialResult, config: Trial) -> None:
    w = running.endpoints[0].whatifs[0]
    odd = replace(w, over_slo=math.nan, residual_points=math.inf)
    runs = wanted_runs(replace(running, endpoints=(replace(running.endpoints[0], whatifs=(odd,)),)), config=config)
    metrics = next(run for run in runs if run.kind == "what-if").steps[0].metrics
    assert "replay/over_slo_share" not in metrics and "replay/residual_points" not in metrics and "replay/usd_per_day" in metrics


def test_before_the_first_day_the_runs_are_there_without_steps(empty: TrialResult, config: Trial, uri: str) -> None:
    summary = log_trial(empty, config=config, tracking_uri=uri)
    assert set(summary.endpoint_runs) == {"summariser-fn", "summariser-run", "summariser-runpod"}
    assert all(history == {} for _, _, _, history in everything(uri, summary.experiment_id).values())


def test_an_unreachable_server_is_one_line(running: TrialResult, config: Trial, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(StoreError, match="Check \\[tracking\\] uri") as caught:
        log_trial(running, config=config, tracking_uri="http://127.0.0.1:9")
    assert "\n" not in str(caught.value)


def test_addresses() -> None:
    assert (
        experiment_url("http://h:1/", "7")
        == "http://h:1/#/experiments/7/runs?compareRunsMode=CHART&searchFilter=tags.kind%3D%27endpoint%27"
    )
    assert experiment_url("http://h:1", "7", kind=None, charts=False) == "http://h:1/#/experiments/7/runs"
    assert compare_url("http://h:1", "7", ["a", "b"]) == "http://h:1/#/compare-runs?runs=%5B%22a%22%2C%22b%22%5D&experiments=%5B%227%22%5D"
    assert "plot_metric_keys=%5B%22usd%22%5D" in metric_url("http://h:1", "7", ["a"], "usd")
    assert (
        run_url("http://h:1", "7", "a", artifact="report/report.html") == "http://h:1/#/experiments/7/runs/a/artifacts/report/report.html"
    )
