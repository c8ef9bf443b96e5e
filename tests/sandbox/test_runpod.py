"""RunPod through httpx: billing, settings, live workers, their logs, jobs that expire."""

from __future__ import annotations

import contextlib
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import httpx
import pytest

from sandbox.faults import Faults
from sandbox.instants import HOUR, MINUTE, SECOND, iso_s, to_datetime, to_us
from sandbox.logs_runpod import ENDPOINT_ID
from sandbox.runpod import API_KEY

BILLING = "/v2/billing/serverless"


@pytest.fixture
def endpoint(small_world):
    return small_world.endpoints["summariser-runpod"]


@pytest.fixture
def served(small_world, tmp_path, runpod_http):
    """served(faults=, key=, now=) -> httpx client on the small world."""

    @contextlib.contextmanager
    def make(*, faults=None, key=API_KEY, now=None):
        end = small_world.calendar.window(small_world.calendar.all_days()[-1]).end
        small_world.set_now(now or end + timedelta(days=3))
        with small_world.serve(tmp_path, faults=faults or Faults()) as addresses:
            yield runpod_http(addresses.runpod, key)

    return make


def usd(record):
    return Decimal(str(record["totalAmount"]))


def test_hours_and_days_add_up_to_the_bill(small_world, served):
    with served() as http:
        for day, bill in small_world.bills["summariser-runpod"].items():
            window = small_world.calendar.window(day)
            query = {"startTime": iso_s(to_us(window.start)), "endTime": iso_s(to_us(window.end)), "serverlessId": ENDPOINT_ID}
            hours = http.get(BILLING, params={**query, "bucketSize": "hour"}).raise_for_status().json()
            days = http.get(BILLING, params=query).raise_for_status().json()
            assert sum(map(usd, hours["records"])) == bill
            assert [usd(r) for r in days["records"]] == ([bill] if bill else [])
            assert hours["metadata"]["recordCount"] == len(hours["records"]) <= 24


def test_the_window_is_snapped_outward(small_world, served):
    start = small_world.calendar.window(small_world.calendar.all_days()[1]).start
    query = {
        "startTime": iso_s(to_us(start + timedelta(hours=10, minutes=20))),
        "endTime": iso_s(to_us(start + timedelta(hours=11, minutes=1))),
    }
    with served() as http:
        hour = http.get(BILLING, params={**query, "bucketSize": "hour"}).json()["metadata"]["query"]
        assert (hour["startTime"], hour["endTime"]) == (iso_s(to_us(start) + 10 * HOUR), iso_s(to_us(start) + 12 * HOUR))
        day = http.get(BILLING, params=query).json()["metadata"]["query"]
        assert (day["startTime"], day["endTime"]) == (iso_s(to_us(start)), iso_s(to_us(start) + 24 * HOUR))
        exact = http.get(BILLING, params={**query, "bucketSize": "hour", "endTime": iso_s(to_us(start) + 12 * HOUR)}).json()
        assert exact["metadata"]["query"]["endTime"] == iso_s(to_us(start) + 12 * HOUR)


def test_the_bucket_in_progress_is_short(small_world, served):
    hours = small_world.endpoints["summariser-runpod"].billed_seconds
    busiest = max(hours, key=lambda h: hours[h])
    with served(now=to_datetime(busiest + 35 * MINUTE)) as http:
        part = http.get(BILLING, params={"bucketSize": "hour", "lastN": 1}).json()
        small_world.set_now(to_datetime(busiest + 2 * HOUR))
        whole = http.get(BILLING, params={"bucketSize": "hour", "lastN": 3}).json()
    assert part["metadata"]["query"]["startTime"] == iso_s(busiest)
    full = next(r for r in whole["records"] if r["startTime"] == iso_s(busiest))
    assert 0 < usd(part["records"][0]) < usd(full) == hours[busiest] * Decimal("0.00031")


@pytest.mark.parametrize(
    ("params", "status"),
    [
        ({"bucketSize": "minute"}, 422),
        ({"lastN": "0"}, 422),
        ({"lastN": "2", "startTime": "2026-11-02T00:00:00Z"}, 400),
        ({"startTime": "yesterday"}, 400),
        ({"startTime": "2026-11-02T00:00:00"}, 400),
        ({"startTime": "2026-11-03T00:00:00Z", "endTime": "2026-11-02T00:00:00Z"}, 400),
        ({"endpointId": "v1"}, 422),
    ],
)
def test_billing_refuses(served, params, status):
    with served() as http:
        answer = http.get(BILLING, params=params)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert set(answer.json()) == {"title", "status", "detail"} and answer.json()["status"] == status


@pytest.mark.parametrize(
    ("key", "faults", "status"), [(None, Faults(), 401), ("wrong", Faults(), 401), (API_KEY, Faults(denied=True), 403)]
)
def test_keys(served, key, faults, status):
    with served(key=key, faults=faults) as http:
        answer = http.get(BILLING)
    assert answer.status_code == status and answer.json()["title"] in ("Unauthorized", "Forbidden")


def test_a_throttle_says_when_to_come_back(served):
    with served(faults=Faults(throttle=1.0, in_a_row=99)) as http:
        answer = http.get(BILLING)
    assert answer.status_code == 429 and answer.headers["retry-after"] == "1" and '"minute"' in answer.headers["ratelimit"]


def test_a_cut_and_a_dropped_answer_break_the_transfer(served):
    for faults in (Faults(cut=1.0, in_a_row=99), Faults(drop=1.0, in_a_row=99)):
        with served(faults=faults) as http, pytest.raises(httpx.RemoteProtocolError):
            http.get(BILLING)


def test_the_endpoint_its_releases_and_the_gpu_price(served, endpoint):
    with served() as http:
        settings = http.get(f"/v2/serverless/{ENDPOINT_ID}").raise_for_status().json()
        assert settings["workers"]["idleTimeout"] == endpoint.plan.idle_timeout_s and settings["flashboot"] == "FLASHBOOT"
        assert http.get("/v2/serverless/nope").status_code == 404
        assert http.post(f"/v2/serverless/{ENDPOINT_ID}").status_code == 405
        assert http.get(f"/v2/serverless/{ENDPOINT_ID}/releases").json()["releases"][0]["version"] == 1
        (gpu,) = http.get("/v2/catalog/gpus").json()["gpus"]
        assert gpu["price"]["serverless"] == 1.12 and gpu["id"] == "NVIDIA GeForce RTX 4090"


def test_an_endpoint_without_requests_is_cut_down(small_world, served, endpoint):
    last = max(j.arrived_us for j in endpoint.jobs.values())
    with served() as http:
        for days, workers in ((2, 10), (4, 2), (8, 0)):
            small_world.set_now(to_datetime(last + days * 24 * HOUR))
            assert http.get(f"/v2/serverless/{ENDPOINT_ID}").json()["workers"]["max"] == workers


def events_of(text):
    found = []
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if fields:
            found.append((fields["id"], json.loads(fields["data"])))
    return found


@pytest.fixture
def busy(endpoint):
    """A request in the middle of its work, and its worker."""
    request = next(r for r in endpoint.history.requests if r.worker is not None and r.handler_us > 2 * SECOND and not r.first_of_process)
    return request, endpoint.history.workers[request.worker]


def test_live_workers_and_their_logs(served, busy, endpoint):
    request, worker = busy
    with served(now=to_datetime(request.taken_us + SECOND)) as http:
        answer = http.get(f"/v2/serverless/{ENDPOINT_ID}/workers").json()
        listed = {w["id"]: w for w in answer["workers"]}
        assert listed[worker.id]["status"] == "RUNNING" and answer["summary"]["total"] == len(listed)
        assert sum(v for k, v in answer["summary"].items() if k != "total") == len(listed)
        logs = http.get(f"/v2/serverless/{ENDPOINT_ID}/workers/{worker.id}/logs", params={"tail": 5000})
        assert logs.headers["content-type"] == "text/event-stream"
        events = events_of(logs.text)
        lines = [data["line"] for _, data in events]
        assert lines[0].startswith("--- Starting Serverless Worker")
        assert any(json.loads(line)["requestId"] == request.request_id for line in lines if line.startswith('{"requestId"'))
        assert [i for i, _ in events] == sorted(i for i, _ in events)
        assert all(data["ts"].endswith("Z") and "." not in data["ts"] for _, data in events)  # whole seconds
        # A cursor goes on behind itself.
        again = http.get(f"/v2/serverless/{ENDPOINT_ID}/workers/{worker.id}/logs", headers={"Last-Event-ID": events[2][0]})
        assert events_of(again.text) == events[3:]
        assert len(events_of(http.get(f"/v2/serverless/{ENDPOINT_ID}/workers/{worker.id}/logs", params={"tail": 2}).text)) == 2
        assert http.get(f"/v2/serverless/{ENDPOINT_ID}/workers/{worker.id}/logs", params={"tail": 6000}).status_code == 422


def test_logs_die_with_their_worker(small_world, served, busy):
    _, worker = busy
    with served(now=to_datetime(worker.stopped_us + SECOND)) as http:
        assert http.get(f"/v2/serverless/{ENDPOINT_ID}/workers/{worker.id}/logs").status_code == 404
        assert worker.id not in {w["id"] for w in http.get(f"/v2/serverless/{ENDPOINT_ID}/workers").json()["workers"]}


def test_a_job_is_kept_for_half_an_hour(small_world, served, busy):
    request, worker = busy
    url = f"/v2/{ENDPOINT_ID}/status/{request.request_id}"
    with served(now=to_datetime(request.taken_us + SECOND)) as http:
        assert http.get(url).json()["status"] == "IN_PROGRESS"
        small_world.set_now(to_datetime(request.ended_us + 29 * MINUTE))
        job = http.get(url).json()
        small_world.set_now(to_datetime(request.ended_us + 31 * MINUTE))
        assert http.get(url).status_code == 404
        assert http.get(f"/v2/{ENDPOINT_ID}/health").json()["jobs"]["completed"] > 0
    assert job["status"] in ("COMPLETED", "FAILED") and job["workerId"] == worker.id
    assert abs(job["executionTime"] - request.handler_us / 1000) < 1
    assert abs(job["delayTime"] - (request.taken_us - request.arrival.at_us) / 1000) < 1


def test_files_only_grow_and_end_up_whole(small_world, tmp_path, endpoint):
    days = small_world.calendar.all_days()
    folder = tmp_path / "handler-lines" / "summariser-runpod"
    with small_world.serve(tmp_path, faults=Faults()):
        small_world.set_now(small_world.calendar.window(days[0]).start)
        before: dict[str, bytes] = {}
        for hours in range(6, 24 * 6, 6):
            small_world.set_now(small_world.calendar.window(days[0]).start + timedelta(hours=hours))
            now = {path.name: path.read_bytes() for path in folder.glob("*.jsonl")}
            assert all(now[name].startswith(data) for name, data in before.items())
            before = now
    lines = [line for data in before.values() for line in data.decode().splitlines()]
    assert len(lines) == sum(e.copies for e in endpoint.events)
    truth = small_world.truth["summariser-runpod"]
    assert before[f"{days[1]}.jsonl"].count(b"\n") == truth[days[1]].lines + truth[days[1]].duplicates


def test_going_back_in_time_takes_lines_away(small_world, tmp_path):
    start = small_world.calendar.window(small_world.calendar.start).start
    with small_world.serve(tmp_path, faults=Faults()):
        small_world.set_now(start + timedelta(days=2))
        small_world.set_now(start + timedelta(hours=12))
        shipped = b"".join(p.read_bytes() for p in tmp_path.rglob("*.jsonl"))
        stamps = [json.loads(line)["ts"] for line in shipped.splitlines() if line.startswith(b'{"fortnight"') and line.endswith(b"}")]
    assert stamps and max(stamps) <= iso_s(to_us(start) + 12 * HOUR)


def test_the_default_window_is_thirty_days(served):
    now = datetime(2026, 11, 20, 13, 30, tzinfo=UTC)
    with served(now=now) as http:
        query = http.get(BILLING).json()["metadata"]["query"]
    assert (query["startTime"], query["endTime"]) == ("2026-10-21T00:00:00Z", "2026-11-21T00:00:00Z")
