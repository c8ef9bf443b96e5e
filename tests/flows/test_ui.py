"""`fortnight ui` as it is started: nobody but this machine can open it, and no page of another site can read it."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import pytest

LONGEST_S = 100


@pytest.fixture
def served(trial_folder, free_port):
    """The port of MLflow's pages over a trial of which something is logged."""
    logged = (
        "import sys\nfrom pathlib import Path\nfrom flows import quiet\nquiet.settle()\nfrom mlflow import MlflowClient\nfrom trial import config\n"
        "trial = config.load(Path('trial.toml'))\nPath(trial.store_url).mkdir()\nMlflowClient(trial.tracking_uri).create_experiment(trial.trial.name)"
    )
    subprocess.run([sys.executable, "-c", logged], cwd=trial_folder, check=True, timeout=LONGEST_S, capture_output=True)
    port = free_port()
    command = [sys.executable, "-c", "from flows.cli import main; main()", "ui", "--port", str(port)]
    with subprocess.Popen(command, cwd=trial_folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            ends = time.monotonic() + LONGEST_S
            while _status(port) != 200:
                assert server.poll() is None and time.monotonic() < ends, "the server did not start"
                time.sleep(0.5)
            yield port
        finally:
            server.send_signal(2)
            server.wait(30)


def _status(port, *, address="127.0.0.1", path="/", **headers):
    try:
        with urlopen(Request(f"http://{address}:{port}{path}", headers=headers), timeout=5) as answer:
            return answer.status
    except HTTPError as exc:
        with exc:
            return exc.code
    except (URLError, OSError):
        return None


def test_ui_is_of_this_machine_alone(served):
    search = "/api/2.0/mlflow/experiments/search?max_results=1"
    assert _status(served, path=search) == 200
    # What a page of another site can make a browser send: another name for this address, or its own as origin of a change.
    assert _status(served, path=search, Host="evil.example") == 403
    assert _status(served, path=search, Host=f"evil.example:{served}") == 403
    # 127.0.0.2 is this machine too, and would answer if the server listened on every address.
    assert _status(served, address="127.0.0.2", path=search) is None
    with socket.socket() as probe:
        probe.settimeout(5)
        assert probe.connect_ex(("127.0.0.2", served)) != 0
