"""The benchmarks of scale run, small: their figures are about real results."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def run(name, *arguments):
    command = [sys.executable, "-m", f"benchmarks.{name}", "--json", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


@pytest.mark.parametrize("source", [[], ["--objects"]], ids=["pages", "objects"])
def test_a_day_is_collected_whole(source):
    (row,) = run("collecting", "--lines", "4000", *source)
    assert row["requests"] == 1000
    assert row["read"] == 4 * row["requests"] + row["cold_hits"]
    assert (row["unknown"], row["quarantined"]) == (0, 0)
    assert row["cpu_s"] > 0 and row["peak_mb"] >= row["base_mb"] > 0


@pytest.mark.timeout(200)
def test_a_trial_of_all_its_days_is_judged():
    found = run("scale", "--requests", "400", "--days", "3")
    assert found["requests"] == 1200
    assert found["verdict"]["wall_s"] > 0 and found["report"]["wall_s"] > 0
