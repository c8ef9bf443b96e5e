"""`fortnight whatif` through the command line: on a file, on a collected trial, and with flags that make no sense."""

import json
from pathlib import Path

import pytest

SPARSE = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "replay" / "two_week_sparse.csv"
TWO = "arrival_ms,service_ms\n100,5\n200,5\n"
KEPT = ("--idle-timeout", "600", "--cold-start-ms", "10")


@pytest.fixture
def replayed(fortnight, tmp_path):
    """`replayed(rows, *flags)` -> what the command printed as JSON."""

    def run(rows, *flags):
        (tmp_path / "a.csv").write_text(rows)
        code, out, said = fortnight(tmp_path, "whatif", "--arrivals", "a.csv", *flags, "--json")
        assert (code, said) == (0, [])
        return json.loads(out)

    return run


@pytest.fixture(scope="module")
def trial(tmp_path_factory, prefect_api):
    """A trial of three days of RunPod handler lines, collected; eight sessions of three requests a day."""
    from flows.daily import collect_missing

    folder = tmp_path_factory.mktemp("trial")
    lines = [
        {
            "fortnight": 1,
            "request_id": f"job-{i}",
            "handler_ms": 300.0,
            "load_ms": 5000.0 if i % 3 == 0 else 0.0,
            "cold_start": i % 3 == 0,
            "process_start": f"2026-11-0{2 + i // 24}T{i % 24 - i % 3:02d}:00:24+00:00",
            "ts": f"2026-11-0{2 + i // 24}T{i % 24 - i % 3:02d}:0{i % 3}:30+00:00",
            "instance": f"w{i // 3}",
        }
        for i in range(72)
    ]
    (folder / "lines").mkdir()
    (folder / "lines" / "a.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "trial.toml").write_text(TRIAL)
    assert collect_missing(str(folder / "trial.toml"), publish=False) == []
    return folder


TRIAL = """
[trial]
name = "try"
start = 2026-11-02
days = 3
timezone = "UTC"
latency_slo_ms = 2000

[[endpoints]]
name = "rp"
platform = "export"
format = "runpod"
path = "lines/*.jsonl"
price = "runpod-flex-4090"
idle_timeout_s = 600
"""


@pytest.mark.skipif(not SPARSE.exists(), reason="the two-week trace is not on this machine")
def test_the_two_week_trace_by_the_command(fortnight, tmp_path):
    _, out, _ = fortnight(tmp_path, "whatif", "--arrivals", str(SPARSE), "--idle-timeout", "600", "--cold-start-ms", "6000", "--json")
    found = json.loads(out)
    assert (found["requests"], found["cold"], found["warm"], found["rejected"]) == (21_898, 712, 21_186, 0)
    assert round(found["workers"]["alive_mean"], 5) == 0.76941
    assert round(found["workers"]["running_mean"], 5) == 0.01068


def test_every_policy_is_within_reach_of_a_flag(replayed):
    three = "arrival_ms,service_ms\n0,1000\n5,1000\n500,1000\n"
    by = {
        "plain": (),
        "minimum": ("--min-workers", "2"),
        "shift": ("--shift", "0-12=3", "--shift", "12-24=1"),
        "reject": ("--max-workers", "1", "--reject"),
        "queue": ("--max-workers", "1", "--queue"),
        "together": ("--concurrency", "3"),
        "load": ("--load-queueing",),
        "delay": ("--queue-delay", "4"),
        "count": ("--requests-per-worker", "2"),
        "provisioned": ("--provisioned", "1"),
        "random": ("--routing", "random", "--seed", "3"),
        "oldest": ("--routing", "least-recently-used"),
        "pinged": ("--ping-every", "0.25", "--ping-ms", "1"),
    }
    found = {name: replayed(three, *KEPT, *flags) for name, flags in by.items()}
    found["dedicated"] = replayed(three, "--dedicated", "2")
    cold = {name: (of["cold"], of["rejected"], of["workers"]["lives"]) for name, of in found.items()}
    assert cold == {
        "plain": (3, 0, 3),
        "minimum": (1, 0, 3),
        "shift": (0, 0, 3),
        "reject": (1, 2, 1),
        "queue": (2, 0, 1),
        "together": (2, 0, 2),
        "load": (2, 0, 2),
        "delay": (2, 0, 1),
        "count": (2, 0, 2),
        "provisioned": (2, 0, 3),
        "random": (3, 0, 3),
        "oldest": (3, 0, 3),
        "pinged": (2, 0, 4),
        "dedicated": (0, 0, 2),
    }
    assert found["pinged"]["synthetic"]["requests"] == 2
    assert (found["load"]["cold_triggers"], found["load"]["waited_for_load"]) == (2, 1)
    assert found["queue"]["waited_ms"]["p50"] == 1005


def test_a_cold_start_of_nothing_is_one(replayed):
    assert replayed(TWO, "--idle-timeout", "600", "--cold-start-ms", "0")["waited_ms"]["p99"] == 0


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ("100,5\n50,5\n", "a.csv, line 3: arrivals are not sorted"),
        ("100,5\n100,5\n", "a.csv, line 3: duplicate arrival"),
        ("-100,5\n", "a.csv, line 2: arrival_ms is '-100'"),
        ("100,-5\n", "a.csv, line 2: service_ms is '-5'"),
        ("", "a.csv: no arrivals in it"),
        ("100,5\n200,\n", "a.csv, line 3: service_ms is missing"),
        ("100,5\n200\n", "a.csv, line 3: service_ms is missing"),
    ],
)
def test_arrivals_that_will_not_do(rows, says, fortnight, tmp_path):
    (tmp_path / "a.csv").write_text("arrival_ms,service_ms\n" + rows)
    code, out, said = fortnight(tmp_path, "whatif", "--arrivals", "a.csv", *KEPT)
    assert (code, out, len(said)) == (2, "", 1)
    assert says in said[0]


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (("--ping-every", "480"), "a keep-warm ping, but no idle time-out"),
        ((), "Give --idle-timeout"),
        ((*KEPT, "--min-workers", "3", "--max-workers", "2"), "min_workers 3 above max_workers 2"),
        ((*KEPT, "--reject"), "nothing limits the workers"),
        ((*KEPT, "--dedicated", "2", "--min-workers", "1"), "dedicated instances and min_workers"),
        ((*KEPT, "--queue-delay", "4", "--load-queueing"), "two scaling rules at once"),
        ((*KEPT, "--min-workers", "1", "--shift", "8-18=2"), "one minimum of workers for always and another by shifts"),
        ((*KEPT, "--shift", "8"), "'8' is no shift"),
        (("--idle-timeout", "600"), "Give --cold-start-ms"),
        (("--idle-timeout", "600", "--cold-start-ms", "nan"), "--cold-start-ms is nan"),
        (("--idle-timeout", "600", "--cold-start-ms", "-1"), "--cold-start-ms is -1"),
    ],
)
def test_policies_that_make_no_sense(flags, says, fortnight, tmp_path):
    (tmp_path / "a.csv").write_text(TWO)
    code, out, said = fortnight(tmp_path, "whatif", "--arrivals", "a.csv", *flags)
    assert (code, out, len(said)) == (2, "", 1)
    assert says in said[0]


def test_the_table_names_its_slo_and_what_the_log_shows(trial, fortnight):
    code, out, _ = fortnight(trial, "whatif")
    assert code == 0
    text = " ".join(out.split())
    for said in ("health check every 8 min", "longer than the SLO, 2,000 ms", "Observed: at most 1 requests at once", "No bursts"):
        assert said in text
    assert "…" not in out  # eighty columns are enough
    _, out, _ = fortnight(trial, "whatif", "--json")
    table = json.loads(out)["endpoints"][0]
    assert (table["slo_ms"], table["observed"]["peak_concurrent"], table["observed"]["starts_per_minute"]) == (2000, 1, 1)
    assert table["idle_timeout"]["used_s"] > 0


def test_flags_change_the_setting_the_trial_has(trial, fortnight):
    def run(*flags):
        code, out, said = fortnight(trial, "whatif", *flags, "--json")
        assert (code, said) == (0, [])
        return json.loads(out)

    as_it_is = run("--idle-timeout", "600")
    warm = run("--min-workers", "1")
    assert (as_it_is["cold"], warm["cold"]) == (24, 0)
    assert 60 < warm["settings"]["idle_timeout_s"] < 3 * 3600  # as the log tells, not as trial.toml says
    assert warm["usd_per_day"] > as_it_is["usd_per_day"] > 0
    assert as_it_is["meets_slo"] is False and warm["meets_slo"] is True
    assert as_it_is["cold_hit_rate_interval"]["low"] <= as_it_is["cold_hit_rate"] <= as_it_is["cold_hit_rate_interval"]["high"]
    by_day = run("--shift", "0-12=1")
    assert by_day["cold"] == 12  # of the eight silences a day, the four after noon
    given = run("--dedicated", "1")
    assert (given["cold"], given["usd_per_day"], given["settings"]) == (0, None, {"dedicated": 1, "concurrency": 1})
    code, out, _ = fortnight(trial, "whatif", "--min-workers", "1")
    assert code == 0 and "SLO of 2,000 ms" in out and "USD " in out


def test_a_trial_without_days_has_an_empty_table_and_says_so(trial_folder, monkeypatch, capsys):
    from flows.cli import main

    monkeypatch.chdir(trial_folder)
    monkeypatch.setattr("sys.argv", ["fortnight", "whatif", "--json"])
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr()
    assert ended.value.code in (None, 0)
    assert json.loads(said.out)["endpoints"] == [] and "nothing to replay" in said.err


def test_a_trial_without_days_says_what_to_do(trial_folder, fortnight):
    code, _, said = fortnight(trial_folder, "whatif", "--min-workers", "1")
    assert code == 2 and "Run `fortnight collect` first" in said[0]
