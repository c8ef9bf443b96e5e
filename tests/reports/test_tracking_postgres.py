"""An MLflow server on PostgreSQL, as a team runs it: Debian's own binaries, a real server, real pages of the REST API."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from reports.tracking import log_trial
from trial.config import Trial
from trial.results import TrialResult

pytestmark = pytest.mark.timeout(280)


@pytest.fixture(scope="module")
def server(postgres: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory, mlflow_server: Callable) -> Iterator[str]:
    with mlflow_server(tmp_path_factory.mktemp("mlflow-postgres"), f"postgresql://{postgres('mlflow')}") as base:
        yield base


def test_a_server_on_postgresql_holds_the_trial_once(result: TrialResult, config: Trial, server: str, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    page.write_text("<p>verdict</p>")
    first = log_trial(result, config=config, tracking_uri=server, artifacts=[page])
    assert len(first.changed) == 3 + 2 + 15
    assert log_trial(result, config=config, tracking_uri=server, artifacts=[page]).changed == ()
    assert set(first.urls) == {"charts", "compare", "what-if"} and first.urls["charts"].startswith(server)

    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=server)
    run = first.endpoint_runs["summariser-run"]
    history = [(m.step, m.value) for m in client.get_metric_history(run, "cold_hits")]
    assert history == [(i + 1, d.cold_hits) for i, d in enumerate(result.endpoints[1].days)]
    assert {a.path for a in client.list_artifacts(run)} == {"days.csv", "days.json", "report"}
    assert f"({server}/#/experiments/" in client.get_experiment(first.experiment_id).tags["mlflow.note.content"]
