"""An MLflow server on PostgreSQL, as a team runs it: Debian's own binaries, a real server, real pages of the REST API."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from reports.tracking import log_trial
from trial.config import Trial
from trial.results import TrialResult

pytestmark = pytest.mark.timeout(280)


def _binaries() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    on_path = shutil.which("initdb")
    return found[-1].parent if found else Path(on_path).parent if on_path else None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    """The address of an empty database on a cluster that lives as long as the tests."""
    bin_ = _binaries()
    if bin_ is None:
        if os.environ.get("CI"):
            pytest.fail("no PostgreSQL on this machine: CI must install Debian's postgresql")
        pytest.skip("no PostgreSQL is installed (Debian: apt-get install postgresql)")
    pytest.importorskip("psycopg2", reason="psycopg2-binary is not installed")
    # PostgreSQL refuses to run as root, and its user must be able to reach the folder: pytest's own are closed to others.
    as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    folder = Path(tempfile.mkdtemp(prefix="fortnight-pg-"))
    if as_user:
        shutil.chown(folder, "postgres")
    port = _free_port()

    def call(*command: str) -> None:
        subprocess.run([*as_user, *command], check=True, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, timeout=120)

    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c fsync=off"
    call(str(bin_ / "initdb"), "-D", str(folder / "data"), "-A", "trust", "-U", "postgres", "--no-sync")
    call(str(bin_ / "pg_ctl"), "-D", str(folder / "data"), "-o", options, "-l", str(folder / "log"), "-w", "-t", "60", "start")
    try:
        call(str(bin_ / "createdb"), "-h", "127.0.0.1", "-p", str(port), "-U", "postgres", "mlflow")
        yield f"postgresql://postgres@127.0.0.1:{port}/mlflow"
    finally:
        call(str(bin_ / "pg_ctl"), "-D", str(folder / "data"), "-m", "immediate", "-w", "stop")
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def server(postgres: str, tmp_path_factory: pytest.TempPathFactory, mlflow_server: Callable) -> Iterator[str]:
    with mlflow_server(tmp_path_factory.mktemp("mlflow-postgres"), postgres) as base:
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
