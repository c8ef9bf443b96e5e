"""A trial over shipped handler lines, and one Prefect server for all tests that need one."""

import json
import logging
import random
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

START = datetime(2026, 11, 2, tzinfo=UTC)

TOML = """
[trial]
name = "try"
start = 2026-11-02
days = {days}
timezone = "UTC"

[[endpoints]]
name = "rp"
platform = "runpod"
endpoint_id = "x"
handler_lines = "lines/*.jsonl"
api_key_env = "FORTNIGHT_TEST_KEY"
price = "runpod-flex-4090"
api_endpoint = "http://127.0.0.1:9"

[[dedicated]]
name = "g4dn.xlarge"
price = "sagemaker-ml.g4dn.xlarge"
"""


def handler_lines(*, days, seed=1, gap_s=400, idle_s=600):
    """Handler lines of a single worker with an idle time-out: the truth is in each line's cold_start."""
    rng = random.Random(seed)
    at, last, worker, born = START, START - timedelta(days=1), 0, START
    lines = []
    while (at := at + timedelta(seconds=rng.expovariate(1 / gap_s))) < START + timedelta(days=days):
        cold = (at - last).total_seconds() > idle_s
        if cold:
            worker, born = worker + 1, at - timedelta(seconds=6)
        lines.append(
            {
                "fortnight": 1,
                "request_id": f"job-{len(lines)}",
                "gpu_ms": round(rng.uniform(100, 300), 1),
                "gpu_ms_source": "cuda_event",
                "handler_ms": round(rng.uniform(300, 400), 1),
                "load_ms": 5000.0 if cold else 0.0,
                "cold_start": cold,
                "process_start": born.isoformat(),
                "ts": at.isoformat(),
                "instance": f"w{worker}",
                "model": "summariser",
                "synthetic": False,
            }
        )
        last = at
    return lines


def write_lines(path, lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.fixture
def trial_folder(tmp_path, monkeypatch):
    """A folder with trial.toml and three days of lines; the key it names is set."""
    monkeypatch.setenv("FORTNIGHT_TEST_KEY", "k")
    (tmp_path / "trial.toml").write_text(TOML.format(days=3))
    write_lines(tmp_path / "lines" / "a.jsonl", handler_lines(days=3))
    return tmp_path


@pytest.fixture(scope="session")
def prefect_api():
    """Prefect's own server, once: it takes ten seconds to start."""
    from flows import quiet

    quiet.settle()
    from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings
    from prefect.testing.utilities import prefect_test_harness

    # The heartbeat's thread sleeps for a second at the end of every flow run.
    with prefect_test_harness(server_startup_timeout=120), temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
        yield


@pytest.fixture
def snapshot():
    def read(folder: Path) -> dict[str, bytes]:
        return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}

    return read


@pytest.fixture
def fortnight(capsys, monkeypatch):
    """`fortnight(folder, *args)` -> (exit code, standard output, lines of standard error): the whole command line, in this process."""

    def run(folder, *args):
        from flows.cli import main

        log = logging.getLogger("fortnight")
        before, propagate = list(log.handlers), log.propagate
        monkeypatch.chdir(folder)
        monkeypatch.setattr(sys, "argv", ["fortnight", *args])
        capsys.readouterr()
        try:
            main()
            code = 0
        except SystemExit as exc:
            code = exc.code or 0
        finally:
            log.handlers[:], log.propagate = before, propagate
        said = capsys.readouterr()
        assert "Traceback" not in said.out + said.err
        return code, said.out, [line for line in said.err.splitlines() if line.startswith("fortnight: ")]

    return run
