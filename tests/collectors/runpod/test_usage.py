from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import httpx
import pytest

from collectors.runpod import Clients, fetch_usage
from trial.calendar import Window
from trial.config import RunpodEndpoint
from trial.errors import Denied, Malformed, NotFound, SourceError, Throttled, Unreachable
from trial.meter import Meter

ENDPOINT = RunpodEndpoint(name="summ", platform="runpod", endpoint_id="4m7x2k9q")
DAY = datetime(2026, 11, 2, tzinfo=UTC)
WINDOW = Window(start=DAY, end=DAY + timedelta(days=1))
NOW = DAY + timedelta(days=2)


def record(start: datetime, hours: float = 1, **amounts: object) -> dict[str, object]:
    stamp = "%Y-%m-%dT%H:%M:%SZ"
    return {
        "startTime": start.strftime(stamp),
        "endTime": (start + timedelta(hours=hours)).strftime(stamp),
        "serverlessId": "4m7x2k9q",
        "totalAmount": 1.9,
        "gpuAmount": 1.5,
        "cpuAmount": 0,
        "diskAmount": 0.4,
        "feeAmount": 0,
        **amounts,
    }


def answer(*records: object, status: int = 200, **headers: str):
    return status, {"Content-Type": "application/json", **headers}, json.dumps({"records": list(records), "metadata": {}}).encode()


def problem(status: int, title: str, **headers: str):
    body = {"title": title, "status": status, "detail": f"{title} in detail"}
    return status, {"Content-Type": "application/problem+json", **headers}, json.dumps(body).encode()


def usage(client, *, now: datetime = NOW, window: Window = WINDOW, meter: Meter | None = None, slept: list[float] | None = None):
    clients = Clients(http=client, now=lambda: now)
    return list(fetch_usage(clients, ENDPOINT, window, meter=meter or Meter(), sleep=(slept if slept is not None else []).append))


def test_amounts_are_decimals_as_written_and_the_request_is_in_the_apis_words(serve):
    api, client = serve(lambda *_: answer(record(DAY), record(DAY + timedelta(hours=1), gpuAmount=0.1, totalAmount=0.5)))
    meter = Meter()
    buckets = usage(client, meter=meter)
    assert [b.billed_usd for b in buckets] == [
        {"gpu": Decimal("1.5"), "cpu": Decimal(0), "disk": Decimal("0.4"), "fee": Decimal(0)},
        {"gpu": Decimal("0.1"), "cpu": Decimal(0), "disk": Decimal("0.4"), "fee": Decimal(0)},
    ]
    assert buckets[0].total_usd == Decimal("1.9") and buckets[0].start == DAY and buckets[0].source == "runpod-billing"
    assert buckets[0].requests is None and all(b.final for b in buckets)
    path, query, headers = api.calls[0]
    assert path == "/v2/billing/serverless"
    assert query == {
        "startTime": "2026-11-02T00:00:00Z",
        "endTime": "2026-11-03T00:00:00Z",
        "bucketSize": "hour",
        "serverlessId": "4m7x2k9q",
    }
    assert headers["authorization"] == "Bearer secret"
    assert meter.calls == 1 and meter.bytes > 0


def test_a_part_without_a_name_stays_in_the_sum(serve):
    _, client = serve(lambda *_: answer(record(DAY, totalAmount=2.0)))
    (bucket,) = usage(client)
    assert bucket.billed_usd["other"] == Decimal("0.1") and bucket.total_usd == Decimal("2.0")


def test_buckets_widened_by_the_api_are_counted_once_over_adjoining_windows(serve):
    # A local day at UTC+5:30 begins half an hour into a bucket.
    start = DAY - timedelta(hours=5, minutes=30)
    days = [Window(start=start + timedelta(days=i), end=start + timedelta(days=i + 1)) for i in range(3)]

    def snapped(path, query, headers):
        first = datetime.fromisoformat(query["startTime"]).replace(minute=0)
        last = datetime.fromisoformat(query["endTime"]) + timedelta(minutes=30)
        hours = int((last - first) / timedelta(hours=1))
        return answer(*[record(first + timedelta(hours=i)) for i in range(hours)])

    _, client = serve(snapped)
    starts = [b.start for day in days for b in usage(client, window=day)]
    assert len(starts) == len(set(starts)) == 72


def test_the_bucket_in_progress_is_not_final(serve):
    _, client = serve(lambda *_: answer(record(DAY), record(DAY + timedelta(hours=1))))
    assert [b.final for b in usage(client, now=DAY + timedelta(hours=1, minutes=30))] == [True, False]


def test_a_long_window_comes_in_days(serve):
    api, client = serve(lambda *_: answer(record(DAY, hours=24)))
    usage(client, window=Window(start=DAY, end=DAY + timedelta(days=60)))
    assert api.calls[0][1]["bucketSize"] == "day"


def test_a_strangers_bill_is_not_added(serve):
    _, client = serve(lambda *_: answer(record(DAY, serverlessId="other"), record(DAY)))
    assert len(usage(client)) == 1


@pytest.mark.parametrize(
    ("reply", "error", "says"),
    [
        (problem(401, "Unauthorized"), Denied, "RUNPOD_API_KEY"),
        (problem(403, "Forbidden"), Denied, "Forbidden in detail"),
        (problem(404, "Not Found"), NotFound, "trial.toml"),
        (problem(410, "Gone"), NotFound, "410"),
        (problem(500, "Internal"), Unreachable, "Internal in detail"),
        (problem(422, "Unprocessable"), SourceError, "422"),
        ((200, {}, b"<html>"), Malformed, "not JSON"),
        ((200, {}, b"[]"), Malformed, "list"),
        ((200, {}, b'{"records": 3}'), Malformed, "records"),
        (answer({"startTime": "soon"}), Malformed, "spans"),
        (answer(record(DAY, gpuAmount="1.5")), Malformed, "gpuAmount"),
        (answer("row"), Malformed, "not an object"),
    ],
)
def test_errors_say_what_where_and_what_to_do(serve, reply, error, says):
    _, client = serve(lambda *_: reply)
    with pytest.raises(error) as caught:
        usage(client)
    assert says in str(caught.value) and "summ" in str(caught.value) and "\n" not in str(caught.value)


def test_throttled_calls_wait_as_told_and_then_succeed(serve):
    replies = [problem(429, "Too Many Requests", **{"Retry-After": "7"}), answer(record(DAY))]
    _, client = serve(lambda *_: replies.pop(0))
    slept: list[float] = []
    meter = Meter()
    assert len(usage(client, slept=slept, meter=meter)) == 1
    assert slept == [7.0] and meter.throttles == 1 and meter.calls == 2


def test_a_throttle_that_does_not_end_is_named(serve):
    api, client = serve(lambda *_: problem(429, "Too Many Requests", **{"Retry-After": "3"}))
    slept: list[float] = []
    with pytest.raises(Throttled, match="3 s"):
        usage(client, slept=slept)
    assert len(api.calls) == 4 and slept == [3.0] * 3


def test_a_pause_beyond_reason_is_left_to_the_next_run(serve):
    _, client = serve(lambda *_: problem(429, "Too Many Requests", **{"Retry-After": "3600"}))
    slept: list[float] = []
    with pytest.raises(Throttled, match="3600 s"):
        usage(client, slept=slept)
    assert slept == []


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"RateLimit": '"minute";r=0;t=12, "day";r=500;t=80000'}, [12.0]),
        ({"RateLimit": '"minute";r=3;t=12'}, []),
        ({"RateLimit-Remaining": "0", "RateLimit-Reset": "4"}, [4.0]),
        ({}, []),
    ],
)
def test_a_spent_quota_is_waited_out(serve, headers, wait):
    _, client = serve(lambda *_: answer(record(DAY), **headers))
    slept: list[float] = []
    usage(client, slept=slept)
    assert slept == wait


def test_no_answer_is_unreachable():
    with httpx.Client(base_url="http://127.0.0.1:1") as client, pytest.raises(Unreachable, match="no connection"):
        usage(client)


def test_without_a_key_the_variable_is_named():
    with pytest.raises(Denied, match="RUNPOD_API_KEY"):
        usage(None)
