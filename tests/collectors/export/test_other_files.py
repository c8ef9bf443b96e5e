from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from trial.errors import Malformed

DAY = datetime(2026, 11, 2, tzinfo=UTC)
LABELS = {"project_id": "acme", "service_name": "summ", "location": "us-central1", "revision_name": "summ-1", "configuration_name": "summ"}
TRACE = "projects/acme/traces/43ba42ea08e9b0f246e301f34c87922f"


def entry(log: str, seconds: float, **parts: object) -> dict[str, object]:
    at = (DAY + timedelta(hours=10, seconds=seconds)).isoformat(timespec="microseconds").replace("+00:00", "Z")
    return {
        "insertId": f"id{log[:3]}{seconds}",
        "logName": f"projects/acme/logs/run.googleapis.com%2F{log}",
        "resource": {"type": "cloud_run_revision", "labels": LABELS},
        "timestamp": at,
        "receiveTimestamp": at,
        "labels": {"instanceId": "00aa"},
        **parts,
    }


def request(seconds: float, latency: str, trace: str) -> dict[str, object]:
    http = {"requestMethod": "POST", "requestUrl": "https://summ.run.app/generate", "status": 200, "latency": latency}
    return entry("requests", seconds, httpRequest=http, trace=trace)


ENTRIES = [
    request(0.0, "2.5s", TRACE),
    entry("varlog%2Fsystem", 0.04, textPayload="Starting new instance. Reason: AUTOSCALING - no existing capacity"),
    request(60.0, "0.4s", TRACE.replace("43ba", "53ba")),
]


def check(records):
    rows = [r for r in records if hasattr(r, "cold")]
    assert [(r.cold, r.latency_ms, r.endpoint) for r in rows] == [("cold", 2500.0, "old"), ("warm", 400.0, "old")]


@pytest.mark.parametrize(
    "content",
    [
        json.dumps(ENTRIES, indent=2),
        json.dumps(ENTRIES[::-1]),
        "\n".join(json.dumps(e) for e in ENTRIES),
        json.dumps({"entries": ENTRIES, "nextPageToken": ""}),
        json.dumps({"nextPageToken": "", "entries": ENTRIES}),
    ],
    ids=["gcloud_array", "newest_first", "sink_lines", "api_answer", "api_answer_entries_last"],
)
def test_cloud_run_layouts_give_the_same_requests(read, content):
    events, _, records = read("cloud-run", {"a.json": content})
    check(records)
    assert len(events) == 3 and {e.source for e in events} == {"export"}


def test_two_overlapping_exports_are_one(read):
    _, outcomes, records = read("cloud-run", {"a.json": json.dumps(ENTRIES), "b.json": json.dumps(ENTRIES[1:])})
    assert len(outcomes) == 3
    check(records)


def test_a_damaged_entry_among_good_ones_stays_counted(read):
    damaged = {**ENTRIES[1], "timestamp": "soon"}
    events, outcomes, _ = read("cloud-run", {"a.json": json.dumps([ENTRIES[0], damaged, "text", ENTRIES[2]])})
    assert len(events) == len(outcomes) == 4


@pytest.mark.parametrize(
    ("format", "content", "says"),
    [
        ("cloud-run", '{"events": [{"message": "x", "timestamp": 1}]}', "no log entry"),
        ("cloud-run", '[{"logName": "x"', "half-written"),
        ("cloud-run", "Listed 0 items.", "not JSON"),
        ("replicate", '[{"id": "a"}]', "no prediction with id and created_at"),
        ("replicate", "[[]]", "no prediction"),
        ("runpod", b"PAR1", "is not text"),
        ("runpod", b"\x00\x01", "is not text"),
        ("runpod", '{"fortnight":1,"request_id":"a","gpu_ms":1}', "no line carries a time"),
    ],
)
def test_a_file_that_is_not_what_its_format_says(read, format, content, says):
    with pytest.raises(Malformed) as caught:
        read(format, {"a.json": content})
    assert says in str(caught.value) and "exports/a.json" in str(caught.value) and "\n" not in str(caught.value)


def test_runpod_console_text_and_lines(read):
    line = {"fortnight": 1, "request_id": "a1", "handler_ms": 10.0, "cold_start": True, "ts": "2026-11-02T10:00:01Z", "instance": "podA"}
    text = f"2026-11-02T10:00:00Z --- Starting Serverless Worker |  Version 1.12.0 ---\n2026-11-02T10:00:01Z {json.dumps(line)}\n"
    events, _, records = read("runpod", {"console.txt": text, "shipped.jsonl": json.dumps(line)})
    assert len(events) == 3 and [(r.request_id, r.cold) for r in records if hasattr(r, "cold")] == [("a1", "cold")]


def test_runpod_array_of_job_objects(read):
    jobs = [{"ts": "2026-11-02T10:00:01Z", "id": "a1", "status": "COMPLETED", "delayTime": 50, "executionTime": 90, "workerId": "podA"}]
    _, _, records = read("runpod", {"jobs.json": json.dumps(jobs, indent=1)})
    assert [(r.request_id, r.gpu_ms, r.gpu_ms_source) for r in records if hasattr(r, "cold")] == [("a1", 90.0, "platform_wall")]


def test_replicate_pages(read):
    prediction = {
        "id": "p1",
        "model": "acme/summ",
        "status": "succeeded",
        "created_at": "2026-11-02T10:00:00.5Z",
        "started_at": "2026-11-02T10:00:00.547Z",
        "completed_at": "2026-11-02T10:00:00.7Z",
        "metrics": {"predict_time": 0.153, "total_time": 0.2},
        "input": {"prompt": "a secret"},
    }
    events, _, records = read("replicate", {"p.json": json.dumps({"next": None, "previous": None, "results": [prediction]})})
    assert [(r.request_id, r.gpu_ms, r.queue_ms, r.latency_ms) for r in records] == [("p1", 153.0, 47.0, 200.0)]
    assert "secret" not in str(events)


def test_only_the_window_is_given(read):
    from trial.calendar import Window

    window = Window(start=DAY + timedelta(hours=10), end=DAY + timedelta(hours=10, seconds=60))
    events, _, _ = read("cloud-run", {"a.json": json.dumps(ENTRIES)}, window=window)
    assert len(events) == 2
