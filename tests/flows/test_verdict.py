"""`fortnight verdict --json` on trials that are odd: an answer or the reason there is none, in strict JSON, never an exception."""

import json
import random
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

pytestmark = pytest.mark.usefixtures("prefect_api")

START = date(2024, 10, 21)  # a Monday; Europe/London leaves summer time on the Sunday after

TRIAL = """\
[trial]
name = "odd"
start = {start}
days = {days}
timezone = "{zone}"
latency_slo_ms = 500

"""
ENDPOINT = """\
[[endpoints]]
name = "{name}"
platform = "export"
format = "{format}"
path = "{name}/*"
price = "aws-lambda-x86"
resources = {{ memory_mb = 1024 }}

"""
HEADER = "started_at,handler_ms,latency_ms,cold,waited,status,request_id,model\n"


def plan_trial(folder, *, endpoints=("e",), zone="UTC", start=START, days=14, format="invocations"):
    text = TRIAL.format(start=start, days=days, zone=zone) + "".join(ENDPOINT.format(name=name, format=format) for name in endpoints)
    (folder / "trial.toml").write_text(text)
    for name in endpoints:
        (folder / name).mkdir(exist_ok=True)


def write(folder, rows, *, name="e"):
    (folder / name / "a.csv").write_text(HEADER + "".join(f"{at.isoformat()},100,{900 if cold == 'cold' else 110},{cold},{str(cold == 'cold').lower()},ok,r{i},m\n" for i, (at, cold) in enumerate(rows)))  # fmt: skip


def requests(*, days=range(14), start=START, per_day=60, zone="UTC", cold=lambda at, rng: "cold" if rng.random() < 0.3 else "warm"):
    """Evenly over each local day, with a jitter."""
    rng, rows = random.Random(3), []
    for n in days:
        midnight = datetime.combine(start + timedelta(days=n), datetime.min.time(), ZoneInfo(zone)).astimezone(UTC)
        end = datetime.combine(start + timedelta(days=n + 1), datetime.min.time(), ZoneInfo(zone)).astimezone(UTC)
        for k in range(per_day):
            at = midnight + (end - midnight) * (k + rng.random()) / per_day
            rows.append((at, cold(at, rng)))
    return rows


def no_constant(name):
    raise AssertionError(f"{name} is not JSON")


def verdict(folder, fortnight, *, expect=20):
    code, out, lines = fortnight(folder, "verdict", "--json")
    assert code == expect, lines
    rows = json.loads(out, parse_constant=no_constant)["endpoints"]
    for row in rows:
        assert row["reasons"] and all(isinstance(reason, str) and "nan" not in reason for reason in row["reasons"])
        low, high = row["cold_hit_rate"]["long_run"]
        assert 0 <= low <= high <= 1
    plan_code, plans, _ = fortnight(folder, "verdict", "--plan", "--json")
    assert plan_code == 0 and len(json.loads(plans, parse_constant=no_constant)["plans"]) == len(rows)
    return {row["endpoint"]: row for row in rows}


def collect(folder, fortnight):
    code, _, lines = fortnight(folder, "collect", "--no-publish")
    assert code == 0, lines


@pytest.mark.parametrize("begins", [date(2024, 10, 21), date(2199, 1, 1)])
def test_no_complete_day(begins, tmp_path, fortnight):
    """Not collected yet, and not begun yet."""
    plan_trial(tmp_path, start=begins)
    row = verdict(tmp_path, fortnight)["e"]
    assert (row["decision"], row["days"], row["requests"], row["cold_hit_rate"]["realised"]) == ("not-decided", 0, 0, None)
    assert "no complete day has been collected yet" in row["reasons"][0]
    assert (row["cost"], row["noticed_share"], row["diagnostics"]) == (None, None, None)


def test_days_without_a_request(tmp_path, fortnight):
    plan_trial(tmp_path)
    write(tmp_path, requests(days=[0, 1, 4, 6, 7, 8, 9, 11, 12, 13], per_day=200))
    collect(tmp_path, fortnight)
    row = verdict(tmp_path, fortnight, expect=10)["e"]
    assert (row["decision"], row["days"], row["requests"]) == ("evaluate-dedicated", 14, 2000)


def test_no_request_at_all(tmp_path, fortnight):
    plan_trial(tmp_path, days=7)
    write(tmp_path, [])
    collect(tmp_path, fortnight)
    row = verdict(tmp_path, fortnight)["e"]
    assert (row["days"], row["cold_hit_rate"]["realised"], row["cold_hit_rate"]["bounds"]) == (7, None, [0, 1])
    assert row["reasons"][0] == "Not decided: no request in 7 complete days."


@pytest.mark.parametrize(("cold", "decision", "code", "rate"), [("cold", "evaluate-dedicated", 10, 1), ("warm", "stay-serverless", 0, 0)])
def test_all_cold_and_none_cold(cold, decision, code, rate, tmp_path, fortnight):
    plan_trial(tmp_path, days=7)
    write(tmp_path, requests(days=range(7), cold=lambda at, rng: cold))
    collect(tmp_path, fortnight)
    row = verdict(tmp_path, fortnight, expect=code)["e"]
    assert (row["decision"], row["cold_hit_rate"]["realised"]) == (decision, rate)
    low, high = row["cold_hit_rate"]["long_run"]
    assert high - low > 0.001, "a census of alike days is no certainty"


def test_nothing_known_of_coldness(tmp_path, fortnight):
    plan_trial(tmp_path, days=7)
    write(tmp_path, requests(days=range(7), cold=lambda at, rng: "unknown"))
    collect(tmp_path, fortnight)
    row = verdict(tmp_path, fortnight)["e"]
    assert (row["decision"], row["unknown"], row["cold_hit_rate"]["bounds"]) == ("not-decided", 7 * 60, [0, 1])
    assert "unknowns-could-flip" in row["flags"]


def test_one_endpoint_missing_for_days(tmp_path, fortnight):
    """Its days are there, since a run was made, and are days without requests; a file that comes later fills them."""
    plan_trial(tmp_path, endpoints=("whole", "gap"))
    write(tmp_path, requests(per_day=200), name="whole")
    write(tmp_path, requests(days=[*range(4), *range(9, 14)], per_day=200), name="gap")
    collect(tmp_path, fortnight)
    for day in range(4, 9):
        for file in (tmp_path / "fortnight-data" / "days" / "endpoint=gap").glob(f"*{START + timedelta(days=day)}*"):
            file.unlink()
    rows = verdict(tmp_path, fortnight, expect=10)
    assert "missing-days" not in rows["whole"]["flags"]
    assert (rows["gap"]["days"], rows["gap"]["evidence"]) == (9, "provisional")
    assert rows["gap"]["flag_details"]["missing-days"] == "5 of 14 days not collected: " + ", ".join(
        str(START + timedelta(days=d)) for d in range(4, 9)
    )


@pytest.mark.parametrize(
    ("zone", "start", "hours"),
    [
        ("Europe/London", date(2024, 10, 26), 25),
        ("America/New_York", date(2024, 3, 9), 23),
        ("Australia/Lord_Howe", date(2024, 10, 5), 23.5),
    ],
)
def test_a_trial_across_a_change_of_the_clocks(zone, start, hours, tmp_path, fortnight):
    """Local days of 25, 23 or 23.5 hours hold their own requests, and none twice."""
    rows = requests(zone=zone, start=start, days=range(3))
    assert rows[120][0] - rows[60][0] == pytest.approx(timedelta(hours=hours), abs=timedelta(hours=1) / 2)
    plan_trial(tmp_path, zone=zone, start=start, days=3)
    write(tmp_path, rows)
    collect(tmp_path, fortnight)
    row = verdict(tmp_path, fortnight)["e"]
    assert (row["days"], row["requests"]) == (3, 3 * 60)
    code, out, _ = fortnight(tmp_path, "status", "--json")
    assert code == 0 and [d["requests"] for d in json.loads(out)["endpoints"][0]["days"]] == [60] * 3


def test_a_trial_that_changes_its_time_zone(tmp_path, fortnight):
    plan_trial(tmp_path, days=6)
    write(tmp_path, requests(days=range(6), per_day=200))
    collect(tmp_path, fortnight)
    plan_trial(tmp_path, zone="Asia/Tokyo", days=6)
    collect(tmp_path, fortnight)
    row = verdict(tmp_path, fortnight, expect=10)["e"]
    assert "trial.timezone from UTC to Asia/Tokyo" in row["flag_details"]["settings-changed"]
    assert row["evidence"] == "provisional"


def single_worker(*, idle_s, per_day=150):
    """Arrivals at one worker, with one idle time-out a day."""
    rows, last = [], None
    for at, _ in requests(days=range(len(idle_s)), per_day=per_day):
        gone = last is None or (at - last).total_seconds() > idle_s[(at.date() - START).days]
        rows.append((at, "cold" if gone else "warm"))
        last = at + timedelta(milliseconds=100)
    return rows


def test_an_idle_time_out_that_changes_is_found_in_the_rows(tmp_path, fortnight):
    plan_trial(tmp_path, days=8)
    write(tmp_path, single_worker(idle_s=[600] * 4 + [300] * 4))
    collect(tmp_path, fortnight)
    row = verdict(tmp_path, fortnight, expect=10)["e"]
    assert row["flag_details"]["settings-changed"].endswith("on 2024-10-25")
    assert "the idle time-out in the logs from" in row["flag_details"]["settings-changed"]
    assert row["evidence"] == "provisional"


def test_one_idle_time_out_is_none(tmp_path, fortnight):
    plan_trial(tmp_path, days=8)
    write(tmp_path, single_worker(idle_s=[600] * 8))
    collect(tmp_path, fortnight)
    assert "settings-changed" not in verdict(tmp_path, fortnight, expect=10)["e"]["flags"]


def test_a_region_that_changes_is_found_in_the_lines(tmp_path, fortnight):
    """The function's log group keeps its name in the new region, and the files lie in one folder."""
    plan_trial(tmp_path, days=6, format="aws-lambda")
    events = []
    for n in range(6):
        region = "us-east-1" if n < 3 else "eu-west-1"
        start = datetime.combine(START + timedelta(days=n), datetime.min.time(), UTC) + timedelta(hours=9)
        for k in range(3):
            request = f"8f5a3b0e-1c1c-4f0e-9a43-{n:06d}{k:06d}"
            lines = (
                f"INIT_START Runtime Version: python:3.12.v38\tRuntime Version ARN: arn:aws:lambda:{region}::runtime:{'5d' * 32}\n",
                f"START RequestId: {request} Version: 1\n",
                f"END RequestId: {request}\n",
                f"REPORT RequestId: {request}\tDuration: 100.00 ms\tBilled Duration: 100 ms\tMemory Size: 1024 MB\tMax Memory Used: 90 MB\tInit Duration: 900.00 ms\t\n",
            )
            for i, message in enumerate(lines):
                at = int((start + timedelta(hours=k, seconds=i)).timestamp() * 1000)
                stream = f"{START + timedelta(days=n):%Y/%m/%d}/[1]{n:02d}{k}"
                events.append({"logStreamName": stream, "timestamp": at, "message": message, "ingestionTime": at, "eventId": f"{len(events):056d}"})  # fmt: skip
    (tmp_path / "e" / "a.json").write_text(json.dumps({"events": events}))
    collect(tmp_path, fortnight)
    row = verdict(tmp_path, fortnight, expect=10)["e"]
    assert any("Lambda reports its own time" in reason for reason in row["reasons"]), "the export of another platform's logs"
    assert row["flag_details"]["settings-changed"] == "the logs' region from us-east-1 to eu-west-1 on 2024-10-24"
