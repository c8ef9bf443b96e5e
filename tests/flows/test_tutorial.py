"""The tutorial's second section, command by command as it stands there, on an export whose truth is known."""

import json
import re
import shlex
from datetime import date
from pathlib import Path

import pytest

from sandbox.exports import write_export
from sandbox.plans import default_plans
from sandbox.world import build_world
from trial import config

TUTORIAL = Path(__file__).resolve().parents[2] / "docs" / "tutorial.md"
DAYS = 3


def commands():
    """The lines of the section's block that starts with init."""
    section = TUTORIAL.read_text(encoding="utf-8").split("## 2.")[1].split("## 3.")[0]
    block = next(b for b in re.findall(r"^```\w*\n(.+?)^```", section, re.DOTALL | re.MULTILINE) if b.startswith("fortnight init"))
    return [shlex.split(line, comments=True)[1:] for line in block.splitlines()]


def test_the_tutorial_names_the_whole_way():
    assert [c[0] for c in commands()] == ["init", "doctor", "collect", "verdict", "report"]


@pytest.mark.usefixtures("prefect_api")
@pytest.mark.parametrize("platform", ["aws-lambda", "cloud-run"])
def test_from_exported_files_to_a_verdict_and_a_report(platform, tmp_path, fortnight, monkeypatch):
    monkeypatch.setenv("TZ", "Europe/London")
    plan = next(p for p in default_plans() if p.platform == platform)
    world = build_world(seed=11, start=date(2024, 11, 4), days=DAYS, scale=0.3, cases=[], plans=[plan])
    write_export(world.endpoints[plan.name], tmp_path / "exports")
    planted = world.truth[plan.name].values()
    requests, cold = sum(d.requests for d in planted), sum(d.cold_hits for d in planted)
    assert 0 < cold < requests

    said = {}
    for command in commands():
        code, said[command[0]], lines = fortnight(tmp_path, *command)
        expected = 20 if command[0] == "verdict" else 0
        assert (code, [line for line in lines if "passed" not in line]) == (expected, []), said

    trial = config.load(tmp_path / "trial.toml")
    assert (trial.trial.start, trial.trial.days, trial.trial.timezone) == (date(2024, 11, 4), DAYS, "Europe/London")
    assert trial.endpoints[0].format == platform
    assert "not-decided" in said["verdict"], "three days are no fortnight"
    assert f"{cold:,} of {requests:,} requests were cold hits" in " ".join(said["verdict"].split())
    report = json.loads((tmp_path / "fortnight-data" / "report" / "report.json").read_text())
    days = report["endpoints"][0]["days"]
    assert (sum(d["requests"] for d in days), sum(d["cold_hits"] for d in days)) == (requests, cold)
    assert re.search("not decided", (tmp_path / "fortnight-data" / "report" / "report.html").read_text(), re.IGNORECASE)
