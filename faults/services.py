"""MLflow and Prefect away: through the flow itself, in a process of its own."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx

from faults import answers
from faults.ground import ROOT, Ground, disturbed, ground
from faults.outcome import Outcome, difference
from sandbox.plans import default_plans

LONGEST_S = 150.0
AWAY = "Prefect's server does not answer"
STARTED_S = 60.0
KILLED_AT = (1, 4)  # of the source's calls


def services(folder: Path, *, quick: bool) -> Outcome:
    """
    The flow itself, a process each: a source that is down for longer than its client's patience, so that Prefect tries the
    pull again; MLflow's address dead; Prefect's dead; Prefect's server killed in the middle of the run. The next run, with
    everything back, must leave the undisturbed bytes.
    """
    out = Outcome(name="services-away", injected="a source, MLflow or Prefect's server is away when the flow runs")
    plans = [plan for plan in default_plans() if plan.platform == "aws-lambda"]
    with ground(folder, scale=0.1, plans=plans) as made, _dead_port() as dead:
        said = _flow(made, made.toml("reference"))
        assert not (said["failures"] or said["crash"]), said
        reference = made.trial("reference")
        # Eight attempts of the client and one more: the task's second try meets the last refusal and then the answer.
        with disturbed(made, answers.down(calls=9)) as addresses:
            said = _flow(made, made.toml("source", addresses=addresses))
        out.judge(difference(made.trial("source"), reference), *said["failures"], said["crash"])
        out.notes.append("source: 9 refusals in a row, mended within the run")
        if quick:
            return out
        dead_url = f"http://127.0.0.1:{dead}"
        said = _flow(made, made.toml("mlflow", tracking=dead_url), publish=True)
        told = [None if said["failures"] else "MLflow away and nothing was said", said["crash"]]
        out.judge(difference(made.trial("mlflow"), reference), *told)
        out.notes.append('MLflow: the day is stored all the same, told as "not published", made up for by the next run')
        said = _flow(made, made.toml("prefect"), PREFECT_API_URL=f"{dead_url}/api")
        told = [None if AWAY in (said["crash"] or "") else f"Prefect away, and the last word was {said['crash']}"]
        out.notes.append("Prefect: nothing runs, and says why")
        back = _flow(made, made.toml("prefect"))
        out.judge(difference(made.trial("prefect"), reference), *told, *back["failures"], back["crash"])
        for call in KILLED_AT:
            name = f"prefect-{call}"
            home = folder / f"{name}-home"
            with _prefect_server(home) as (server, api), disturbed(made, answers.at_call(call, server.kill)) as addresses:
                said = _flow(made, made.toml(name, addresses=addresses), PREFECT_API_URL=api, PREFECT_CLIENT_MAX_RETRIES="1")
            told = [None if AWAY in (said["crash"] or "") else f"Prefect's server killed, and the last word was {said['crash']}"]
            back = _flow(made, made.toml(name))
            out.judge(difference(made.trial(name), reference), *told, *back["failures"], back["crash"])
        out.notes.append("its server killed in the middle of the run: the days under way are stored, and the command says so")
    return out


@contextlib.contextmanager
def _prefect_server(home: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A Prefect server of its own process on a free port, and the address of its API; ended at the end."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    command = [sys.executable, "-m", "uvicorn", "--factory", "prefect.server.api.server:create_app", "--port", str(port)]
    api = f"http://127.0.0.1:{port}/api"
    home.mkdir()
    with (home / "log").open("wb") as log:
        server = subprocess.Popen(command, env={**os.environ, "PREFECT_HOME": str(home), "PREFECT_API_URL": ""}, stdout=log, stderr=log)
    try:
        until = time.monotonic() + STARTED_S
        while not _healthy(api):
            if server.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"Prefect's server did not start: {(home / 'log').read_text()[-300:]}")
            time.sleep(0.1)
        yield server, api
    finally:
        server.kill()
        server.wait()


def _healthy(api: str) -> bool:
    try:
        return httpx.get(f"{api}/health", timeout=5).is_success
    except httpx.TransportError:
        return False


def _flow(made: Ground, toml: Path, *, publish: bool = False, **environment: str) -> dict:
    """collect_missing in a process of its own; what it failed at, and its error where it crashed."""
    program = (
        "import json, sys\nfrom datetime import datetime\nfrom flows import quiet\nquiet.settle()\n"
        "from flows.daily import collect_missing\nfrom flows.prefect_server import answering\n"
        "with answering():\n"
        "    failures = collect_missing(sys.argv[1], now=datetime.fromisoformat(sys.argv[2]), publish=sys.argv[3] == 'True')\n"
        "print(json.dumps(failures))"
    )
    with tempfile.TemporaryDirectory(prefix="prefect-") as home:
        done = subprocess.run(
            [sys.executable, "-c", program, str(toml), made.now.isoformat(), str(publish)],
            cwd=ROOT,
            env={**os.environ, "PREFECT_HOME": home, "PREFECT_API_URL": "", **environment},
            capture_output=True,
            text=True,
            timeout=LONGEST_S,
            check=False,
        )
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["no word"]
        # Prefect's own threads may have the last word.
        return {"failures": [], "crash": next((line for line in said if line.startswith("trial.errors.")), said[-1])}
    return {"failures": json.loads(done.stdout.strip().splitlines()[-1]), "crash": None}


@contextlib.contextmanager
def _dead_port() -> Iterator[int]:
    """A loopback port that is taken and never answered: connections are refused as long as nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]
