"""`fortnight ui`: MLflow's own pages over this trial's store, on loopback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import typer

from trial import config


def run(path: Path, *, port: int) -> None:
    trial = config.load(path)
    uri = trial.tracking_uri
    if uri.startswith(("http://", "https://")):
        typer.echo(f"This trial is tracked on a server: open {uri}")
        return
    typer.echo(f"MLflow on http://127.0.0.1:{port} (Ctrl-C ends it)", err=True)
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
    ]
    # Its job runner is a dozen processes that a comparison page has no use for.
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with subprocess.Popen(command, env=environment) as server:
        try:
            server.wait()
        except KeyboardInterrupt:
            server.terminate()
            server.wait(timeout=20)
