"""Triton's readings, kept as files beside a trial: a yardstick of completeness where nobody else counts, and GPU time everywhere."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta

import pytest

from flows import collecting
from flows.commands import doctor
from sandbox.faults import NO_FAULTS
from sandbox.plans import default_plans
from sandbox.world import build_world
from trial import config
from trial.store import Store

DAY = datetime(2026, 11, 2, tzinfo=UTC)
NOW = DAY + timedelta(days=2)
TOML = """
[trial]
name = "t"
start = 2026-11-02
days = 1

[[endpoints]]
name = "e"
platform = "export"
format = "runpod"
path = "lines.jsonl"
triton = {{ stats = "stats/*.jsonl"{more} }}
"""


def reading(at, requests, *, gpu_ms, failed=0, name="summ", **more):
    counts = {"success": {"count": requests - failed, "ns": requests * 50_000_000}, "fail": {"count": failed, "ns": 0}}
    model = {
        "name": name,
        "version": "1",
        "inference_stats": counts,
        "batch_stats": [{"compute_infer": {"count": 1, "ns": gpu_ms * 10**6}}],
    }
    return {"ts": at.isoformat(), "model_stats": [model], **more}


def write(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(row if isinstance(row, str) else json.dumps(row) + "\n" for row in rows))


def handler_line(n, at):
    return {"fortnight": 1, "request_id": f"r{n}", "ts": at.isoformat(), "gpu_ms": 20.0, "handler_ms": 30.0, "cold_start": n == 0}


@pytest.fixture
def folder(tmp_path):
    """40 requests, one every ten minutes from 00:05 on; every fifth line is lost. Two servers are read every ten minutes; one starts anew."""
    times = [DAY + timedelta(minutes=5 + 10 * n) for n in range(40)]
    write(tmp_path / "lines.jsonl", [handler_line(n, at) for n, at in enumerate(times) if n % 5])
    readings = [
        reading(DAY + timedelta(minutes=10 * n), n if n < 20 else n - 20, gpu_ms=25 * n if n < 20 else 25 * (n - 20)) for n in range(41)
    ]
    # The twentieth request came between the last reading of the first process and the first of the second: nobody saw it.
    write(tmp_path / "stats" / "a.jsonl", readings)
    idle = [reading(DAY - timedelta(minutes=10) + timedelta(minutes=30 * n), 7, gpu_ms=900) for n in range(4)]
    write(tmp_path / "stats" / "b.jsonl", idle)
    (tmp_path / "trial.toml").write_text(TOML.format(more=""))
    return tmp_path


def collected(folder):
    trial = config.load(folder / "trial.toml")
    (endpoint,) = trial.endpoints
    (span,) = collecting.plan(trial, Store.at(trial.store_url), endpoint, now=NOW)
    pulled = collecting.pull_days(trial, endpoint, span, now=NOW)
    return collecting.compute_day(trial, endpoint, span[0], pulled.usage[span[0]], now=NOW), pulled.usage[span[0]]


def test_where_nobody_else_counts_its_requests_are_the_yardstick(folder):
    summary, _ = collected(folder)
    assert (summary.requests, summary.provider_requests) == (32, 39)
    assert summary.completeness == pytest.approx(32 / 39)
    assert summary.unseen == 7


def test_the_buckets_are_hours_of_all_servers_and_are_stored(folder):
    _, usage = collected(folder)
    first, *_, last = usage
    assert (first.start, first.end, first.requests, first.gpu_ms) == (DAY, DAY + timedelta(hours=1), 6, 150.0)
    # An hour of each; the first of b's readings lies before the day.
    assert first.gpu_utilisation == pytest.approx(150.0 / (120 * 60_000))
    assert last.end == DAY + timedelta(hours=7)
    assert sum(b.requests for b in usage) == 39
    assert sum(b.gpu_ms for b in usage) == 25 * 39
    trial = config.load(folder / "trial.toml")
    assert Store.at(trial.store_url).manifest("e", date(2026, 11, 2)).usage == usage


def test_midnight_falls_to_the_day_of_the_later_reading(folder):
    write(
        folder / "stats" / "a.jsonl", [reading(DAY - timedelta(minutes=5), 3, gpu_ms=0), reading(DAY + timedelta(minutes=5), 9, gpu_ms=60)]
    )
    write(folder / "stats" / "b.jsonl", [reading(NOW - timedelta(days=1, minutes=5), 3, gpu_ms=0), reading(NOW, 9, gpu_ms=60)])
    _, usage = collected(folder)
    assert [(b.requests, b.gpu_ms) for b in usage] == [(6, 60.0)]


def test_a_line_that_is_being_written_and_an_error_of_triton_are_no_readings(folder):
    rows = (folder / "stats" / "a.jsonl").read_text()
    error = json.dumps({"ts": DAY.isoformat(), "error": "server is not ready"})
    (folder / "stats" / "a.jsonl").write_text(f"{error}\n{rows}{rows[:90]}")
    assert collected(folder)[0].provider_requests == 39


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (['{"ts": "2026\n', reading(DAY, 1, gpu_ms=1)], "stats/a.jsonl, line 1: no JSON object. Write each reading as one line"),
        ([{"model_stats": []}], "stats/a.jsonl, line 1: no time of the reading as `ts`, got None"),
        ([reading(datetime(2026, 11, 2), 1, gpu_ms=1)], "`ts` without a time zone: '2026-11-02T00:00:00'"),
        (["[1]\n"], "line 1: no JSON object"),
        ([{"ts": DAY.timestamp(), "models": []}], "stats/a.jsonl: no model_stats"),
        (
            [
                {
                    **reading(at, 1, gpu_ms=1),
                    "model_stats": [reading(at, 1, gpu_ms=1, name=n)["model_stats"][0] for n in ("text", "tokens")],
                }
                for at in (DAY, DAY + timedelta(hours=1))
            ],
            "stats/a.jsonl: several models, text, tokens: name the one that callers ask for as triton.model",
        ),
    ],
)
def test_what_is_no_reading_is_said_and_stops_nothing(rows, says, folder, caplog):
    write(folder / "stats" / "a.jsonl", rows)
    summary, usage = collected(folder)
    assert usage == ()
    assert (summary.requests, summary.provider_requests) == (32, None)
    assert says in caplog.text
    trial = config.load(folder / "trial.toml")
    (found,) = [f for f in doctor.look(trial, trial.endpoints[0], now=NOW) if f.check == "Triton's statistics"]
    assert (found.state, found.detail in caplog.text) == ("warn", True)


def test_doctor_tells_what_the_readings_hold(folder):
    trial = config.load(folder / "trial.toml")
    (found,) = [f for f in doctor.look(trial, trial.endpoints[0], now=NOW) if f.check == "Triton's statistics"]
    assert (found.state, found.detail) == ("ok", "39 requests and 975 ms of GPU time")
    for path in (folder / "stats").iterdir():
        path.unlink()
    write(folder / "stats" / "a.jsonl", [reading(DAY, 3, gpu_ms=1)])
    (found,) = [f for f in doctor.look(trial, trial.endpoints[0], now=NOW) if f.check == "Triton's statistics"]
    assert (found.state, found.detail) == ("warn", "no two readings of the last day")


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (', modell = "x"', "unknown key `endpoints[0].triton.modell`"),
        (", model = 3", "`endpoints[0].triton.model` should be a valid string, got 3"),
    ],
)
def test_keys_that_are_none(more, says, folder):
    (folder / "trial.toml").write_text(TOML.format(more=more))
    with pytest.raises(config.ConfigError) as caught:
        config.load(folder / "trial.toml")
    assert says in str(caught.value)


def test_where_the_provider_counts_its_count_stands(tmp_path, monkeypatch):
    plans = [p for p in default_plans() if p.platform == "aws-lambda"]
    world = build_world(days=1, start=date(2026, 11, 2), scale=0.1, cases=(), plans=plans)
    for name, value in world.environment().items():
        monkeypatch.setenv(name, value)
    (truth,) = world.truth["summariser-lambda"].values()
    world.set_now(NOW)
    with world.serve(tmp_path, faults=NO_FAULTS) as addresses:
        text = world.trial_toml(addresses, tmp_path).replace(
            'platform = "aws-lambda"', 'platform = "aws-lambda"\ntriton = { stats = "s.jsonl" }'
        )
        (tmp_path / "trial.toml").write_text(text)
        write(tmp_path / "s.jsonl", [reading(DAY + timedelta(hours=n), 1000 * n, gpu_ms=60_000 * n) for n in range(1, 4)])
        trial = config.load(tmp_path / "trial.toml")
        pulled = collecting.pull_days(trial, trial.endpoints[0], (DAY.date(),), now=NOW)
        summary = collecting.compute_day(trial, trial.endpoints[0], DAY.date(), pulled.usage[DAY.date()], now=NOW)
    assert summary.provider_requests == truth.provider_requests == summary.requests
    triton = [b for b in pulled.usage[DAY.date()] if b.source == "triton-statistics"]
    assert [(b.requests, b.gpu_ms) for b in triton] == [(None, 60_000.0)] * 2
