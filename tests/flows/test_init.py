"""`fortnight init` asked on a terminal, and with nobody to ask: every answer is checked when it is given."""

import json
import os
import pty
import select
import subprocess
import sys
import time
from datetime import date

import pytest

from flows import asking
from trial import config

COMMAND = [sys.executable, "-c", "from flows.cli import main; main()", "init"]
LAMBDA = [
    {"logStreamName": "2026/11/03/[1]a", "timestamp": 1793664000000 + i * 86_400_000, "message": f"START RequestId: r{i} Version: 1\n",
     "ingestionTime": 1793664000100, "eventId": str(i)} for i in range(3)
]  # fmt: skip


def on_a_terminal(args, answers, cwd):
    """Types each answer when a prompt waits, as a person would; returns what the terminal showed and the exit code."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [*COMMAND, *args], cwd=cwd, stdin=theirs, stdout=theirs, stderr=theirs, env={**os.environ, "TZ": "Europe/Paris"}
    ) as process:
        os.close(theirs)
        shown, waiting, until = b"", list(answers), time.monotonic() + 60
        while time.monotonic() < until:
            ready = select.select([ours], [], [], 0.2)[0]
            try:
                piece = os.read(ours, 4096) if ready else b""
            except OSError:  # the other end is closed: the process has ended
                break
            shown += piece
            if not ready and shown.endswith(b"]: ") and waiting:
                os.write(ours, waiting.pop(0).encode() + b"\n")
        code = process.wait(timeout=20)
    os.close(ours)
    assert waiting == [], f"never asked for {waiting}:\n{shown.decode()}"
    return shown.decode().replace("\r\n", "\n"), code


def without_a_terminal(*args, cwd):
    return subprocess.run([*COMMAND, *args], cwd=cwd, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)


def test_wrong_answers_are_asked_again_and_say_what_would_do(tmp_path):
    (tmp_path / "logs.json").write_text(json.dumps({"events": LAMBDA}))
    answers = [
        "a name", "summ",
        "export,azure", "export,cloud-run",
        "nothing/*.json", "logs.json",
        'ac"me', "svc", "us-central1",
        "Mars", "",
        "yesterday", "",
        "0", "",
        "perhaps", "n",
        "-5", "4,000",
        "200%", "5%",
        "g4dn", "vertex-n1-standard-4-t4",
    ]  # fmt: skip
    shown, code = on_a_terminal([], answers, tmp_path)
    assert code == 0, shown
    for said in (
        "'a name' cannot be used in paths",
        "no platform 'azure'; use one of aws-lambda",
        "nothing/*.json: no file matches",
        "no such time zone 'Mars'",
        "'yesterday' is not a day; write it as YYYY-MM-DD",
        "'0' is not a whole number of days",
        "'perhaps' is neither yes nor no",
        "'-5' is not a number of milliseconds above 0",
        "'200%' is not a share",
        "no row 'g4dn'",
        "The files hold 3 events (aws-lambda), from 2026-11-03",
        "roles/logging.viewer",
    ):
        assert said in shown, said
    trial = config.load(tmp_path / "trial.toml")
    assert (trial.trial.start, trial.trial.days, trial.trial.timezone) == (date(2026, 11, 3), 3, "Europe/Paris")
    assert (trial.trial.latency_slo_ms, trial.trial.noticed_share, trial.trial.user_facing) == (4000.0, 0.05, False)
    assert [e.name for e in trial.endpoints] == ["summ-lambda", "summ-run"]
    assert trial.endpoints[1].project == 'ac"me'
    assert trial.dedicated[0].price == "vertex-n1-standard-4-t4"


def test_where_nobody_can_be_asked_the_defaults_are_named(tmp_path):
    done = without_a_terminal("--platform", "runpod", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Not asked, so these stand" in done.stdout
    assert "RunPod endpoint id: abc123" in done.stdout
    assert config.load(tmp_path / "trial.toml").endpoints[0].endpoint_id == "abc123"


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["--platform", "azure"], "--platform: no platform 'azure'"),
        (["--start", "yesterday"], "--start: 'yesterday' is not a day"),
        (["--days", "0"], "--days: '0' is not a whole number of days from 1 to 366"),
        (["--timezone", "Mars"], "--timezone: no such time zone 'Mars'"),
        (["--slo-ms", "-1"], "--slo-ms: '-1' is not a number of milliseconds above 0"),
        (["--noticed-share", "1.5"], "--noticed-share: '1.5' is not a share"),
        (["--name", "a/b"], "--name: 'a/b' cannot be used in paths"),
        (["--export-path", "x.json", "--export-format", "xml"], "--export-format: no format 'xml'. Use one of aws-lambda"),
        (["--out", "nowhere/trial.toml"], "nowhere/trial.toml: cannot be written"),
    ],
)
def test_a_flag_that_will_not_do_is_one_line_and_nothing_is_written(args, says, tmp_path):
    done = without_a_terminal(*args, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert says in done.stderr
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "content", "format"),
    [
        ("lambda.json", json.dumps({"events": LAMBDA}), "aws-lambda"),
        ("tail.txt", "2026-11-03T10:00:00.000Z START RequestId: 8f5a3b0e-1c1c-4f0e-9a43-2b8a8a1d2c3d Version: 1\n", "aws-lambda"),
        ("run.json", json.dumps([{"logName": "projects/p/logs/run.googleapis.com%2Frequests", "timestamp": "2026-11-03T10:00:00Z", "insertId": "a"}]), "cloud-run"),
        ("lines.jsonl", '{"fortnight": 1, "request_id": "a", "ts": "2026-11-03T10:00:00+00:00"}\n', "runpod"),
        ("answers.json", json.dumps({"results": [{"id": "p1", "created_at": "2026-11-03T10:00:00Z", "status": "succeeded"}]}), "replicate"),
        ("own.csv", "started_at,cold\n2026-11-03T10:00:00Z,cold\n", "invocations"),
    ],
)  # fmt: skip
def test_the_format_and_the_days_are_found_out_from_the_files(name, content, format, tmp_path):
    (tmp_path / name).write_text(content)
    done = without_a_terminal("--export-path", name, "--timezone", "UTC", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    trial = config.load(tmp_path / "trial.toml")
    assert (trial.endpoints[0].platform, trial.endpoints[0].format) == ("export", format)
    assert trial.trial.start == date(2026, 11, 3)


def test_files_of_another_format_than_the_one_named_are_refused(tmp_path):
    (tmp_path / "run.json").write_text('[{"logName": "a", "timestamp": "2026-11-03T10:00:00Z", "insertId": "a", "resource": {}}]')
    done = without_a_terminal("--export-path", "run.json", "--export-format", "aws-lambda", cwd=tmp_path)
    assert done.returncode == 1
    assert 'set format = "cloud-run"' in done.stderr
    assert not (tmp_path / "trial.toml").exists()


@pytest.mark.parametrize(("text", "kept"), [("0.01", "0.01"), ("1%", "0.01"), ("5 %", "0.05"), ("0", "0")])
def test_a_share_may_be_a_percentage(text, kept):
    assert asking.is_share(text) == kept


@pytest.mark.parametrize("text", ["1", "100%", "-0.1", "x", "", "nan", "inf"])
def test_what_is_no_share_is_refused(text):
    with pytest.raises(ValueError, match="share"):
        asking.is_share(text)
