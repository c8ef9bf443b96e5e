"""A Prefect server that does not answer is said to, and blamed for nothing else."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.prefect_server import answering
from trial.errors import ConfigError, Unreachable


@pytest.fixture
def dead():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}/api"


@pytest.fixture
def refusing():
    class Refuses(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_error(401)

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Refuses) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/api"
        server.shutdown()


def test_a_server_that_is_away_is_named_with_the_way_out(dead):
    with temporary_settings({PREFECT_API_URL: dead}), pytest.raises(Unreachable) as said, answering():
        raise OSError("connection lost")
    assert said.value.where == dead and "unset PREFECT_API_URL" in str(said.value)
    assert isinstance(said.value.__cause__, OSError)


def test_what_is_not_the_servers_fault_stays_what_it_is(dead, refusing):
    with temporary_settings({PREFECT_API_URL: refusing}), pytest.raises(OSError, match="other"), answering():
        raise OSError("other")
    with temporary_settings({PREFECT_API_URL: dead}), pytest.raises(ConfigError), answering():
        raise ConfigError("a mistake in trial.toml")
    with temporary_settings(restore_defaults={PREFECT_API_URL}), pytest.raises(OSError, match="other"), answering():
        raise OSError("other")


@pytest.mark.parametrize("command", ["collect", "serve"])
def test_commands_say_so_in_one_line(command, dead, tmp_path):
    (tmp_path / "trial.toml").write_text(
        '[trial]\nname = "t"\nstart = 2026-11-02\n\n'
        '[[endpoints]]\nname = "e"\nplatform = "export"\nformat = "invocations"\npath = "x.csv"\n'
    )
    done = subprocess.run(
        [str(Path(sys.executable).with_name("fortnight")), command],
        cwd=tmp_path,
        env={"PREFECT_API_URL": dead, "PREFECT_HOME": str(tmp_path / "home"), "PATH": ""},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(f"fortnight: {dead}: Prefect's server does not answer. ")
    assert "Traceback" not in done.stderr
