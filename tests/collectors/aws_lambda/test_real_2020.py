"""Real Lambda requests of 2020 with a cold flag per request (pacslab, MIT), as the log lines they left."""

from __future__ import annotations

import csv
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from collectors import aws_lambda
from trial.calendar import Calendar
from trial.config import AwsLambdaEndpoint
from trial.records import Ignored, Invocation, RawEvent, Rejected

DATA = Path(__file__).resolve().parents[3].parent / "shared" / "data" / "lambda-2020"
FILES = sorted(DATA.glob("res-*.csv"))
ENDPOINT = AwsLambdaEndpoint(name="s", platform="aws-lambda", function="pacs", region="us-east-1")
CALENDAR = Calendar(start=date(2020, 5, 26), days=20, zone=ZoneInfo("UTC"))


def events_of(path, *, handler_lines):
    """START, handler line and REPORT of each row; its environment is the stream."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for number, row in enumerate(rows):
        began = datetime.fromtimestamp(float(row["start_time"]) / 1000, UTC)
        began -= timedelta(microseconds=began.microsecond % 1000)
        ended = began + timedelta(milliseconds=float(row["aws_duration"]) // 1)
        rid = row["new_id"]
        lines = [(began, f"START RequestId: {rid} Version: $LATEST\n")]
        if handler_lines:
            lines.append((ended, f'{{"fortnight":1,"request_id":"{rid}","cold_start":{row["is_cold"].lower()}}}'))
        report = f"REPORT RequestId: {rid}\tDuration: {row['aws_duration']} ms\tBilled Duration: {float(row['aws_billed_duration']):.0f} ms"
        lines.append((ended, f"{report}\tMemory Size: 128 MB\tMax Memory Used: {float(row['aws_max_mem']):.0f} MB\t\n"))
        for place, (at, payload) in enumerate(lines):
            yield RawEvent(
                source="x", stream=f"2020/05/26/[$LATEST]{row['exist_id']}", event_id=f"{number:08d}{place}", at=at, payload=payload
            )


def invocations(path, **settings):
    events = sorted(events_of(path, **settings), key=lambda e: (e.at, e.stream, e.event_id))
    outcomes = [aws_lambda.parse(e, ENDPOINT) for e in events]
    assert not [o for o in outcomes if isinstance(o, Ignored | Rejected)]
    return [i for i in aws_lambda.assemble(outcomes, ENDPOINT, CALENDAR) if isinstance(i, Invocation)]


@pytest.mark.skipif(not FILES, reason="the lambda-2020 data is not here")
@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_the_handlers_flag_gives_every_request_of_2020_its_coldness(path):
    with path.open(encoding="utf-8", newline="") as file:
        truth = {row["new_id"]: row["is_cold"] == "True" for row in csv.DictReader(file)}
    found = {i.request_id: i.cold for i in invocations(path, handler_lines=True)}
    assert found == {rid: "cold" if is_cold else "warm" for rid, is_cold in truth.items()}
    assert sum(truth.values()) > 0


@pytest.mark.skipif(not FILES, reason="the lambda-2020 data is not here")
@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_without_init_lines_and_flag_the_unknown_bound_the_truth(path):
    with path.open(encoding="utf-8", newline="") as file:
        truth = {row["new_id"]: row["is_cold"] == "True" for row in csv.DictReader(file)}
    found = {i.request_id: i.cold for i in invocations(path, handler_lines=False)}
    assert found.keys() == truth.keys()
    assert {rid for rid, is_cold in truth.items() if is_cold} <= {rid for rid, cold in found.items() if cold != "warm"}
    assert sum(cold == "unknown" for cold in found.values()) == len({e.stream for e in events_of(path, handler_lines=False)})
