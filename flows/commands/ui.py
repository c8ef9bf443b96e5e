"""`fortnight ui`: MLflow's own pages over this trial's store, on loopback."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import typer

from reports.mlflow_urls import experiment_url
from trial import config
from trial.config import Trial
from trial.errors import ConfigError, StoreError


def run(path: Path, *, port: int) -> None:
    trial = config.load(path)
    uri = trial.tracking_uri
    if uri.startswith(("http://", "https://")):
        typer.echo(f"This trial is tracked on a server: open {uri}")
        return
    # MLflow's own landing page is an overview that shows nothing of a trial.
    found = _experiment(trial)
    base = f"http://127.0.0.1:{port}"
    with socket.socket() as probe:
        # As a server binds: the last one's closed connections are no hindrance.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except (OSError, OverflowError) as exc:
            raise ConfigError(f"port {port} cannot be used: {exc}", do="Name another with --port") from exc
    typer.echo(f"MLflow: {experiment_url(base, found)} (Ctrl-C ends it)", err=True)
    command = [
        sys.executable,
        "-m",
        "mlflow",
        "server",
        "--backend-store-uri",
        uri,
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--workers",
        "1",
        "--uvicorn-opts",
        "--log-level warning",
    ]
    # Its job runner is a dozen processes that a comparison page has no use for.
    environment = {"PYTHONWARNINGS": "ignore", **os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with subprocess.Popen(command, env=environment) as server:
        try:
            server.wait()
        except KeyboardInterrupt:
            server.terminate()
            server.wait(timeout=20)


def _experiment(trial: Trial) -> str:
    """
    The trial's experiment.

    Raises:
        StoreError: nothing was logged of it yet. Where MLflow's SQLite file is missing, none is made.
    """
    nothing = StoreError(f"nothing of {trial.trial.name} is there yet", where=trial.tracking_uri, do="Run `fortnight collect` first")
    file = trial.tracking_uri.removeprefix("sqlite:///")
    if file != trial.tracking_uri and not Path(file).exists():
        raise nothing
    from mlflow import MlflowClient

    named = MlflowClient(trial.tracking_uri).get_experiment_by_name(trial.trial.name)
    if named is None:
        raise nothing
    return named.experiment_id
