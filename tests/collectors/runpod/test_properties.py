from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from collectors.files import Line, text_of
from collectors.runpod import assemble, parse
from collectors.runpod.envelope import unwrap
from collectors.runpod.fetch import events_of, identity
from trial.calendar import Calendar, Window
from trial.config import RunpodEndpoint
from trial.meter import Meter
from trial.records import Ignored, Incomplete, Instance, Invocation, Rejected

DAY = datetime(2026, 11, 2, tzinfo=UTC)
WINDOW = Window(start=datetime(1, 1, 2, tzinfo=UTC), end=datetime(9999, 12, 30, tzinfo=UTC))
ENDPOINT = RunpodEndpoint(name="summ", platform="runpod", endpoint_id="x")
CALENDAR = Calendar(start=date(2026, 11, 2), days=14, zone=ZoneInfo("Europe/London"))

IDS = st.sampled_from(["job-a1", "job-b2", "job-c3"])
STAMPS = st.integers(0, 4000).map(lambda s: (DAY + timedelta(seconds=s)).strftime("%Y-%m-%dT%H:%M:%SZ"))
MS = st.one_of(st.integers(-10, 10_000), st.floats(allow_nan=False), st.none(), st.text(max_size=3))
WORKERS = st.sampled_from(["podA", "podB", None])

HANDLER = st.fixed_dictionaries(
    {"fortnight": st.sampled_from([1, 1, 1, 2])},
    optional={
        "request_id": IDS,
        "ts": st.one_of(STAMPS, st.just("0001-01-01T00:00:00+14:00"), st.just("9999-12-31T23:59:59-14:00")),
        "gpu_ms": MS,
        "handler_ms": MS,
        "load_ms": MS,
        "cold_start": st.booleans(),
        "process_start": STAMPS,
        "instance": WORKERS,
        "synthetic": st.booleans(),
    },
)
JOB = st.fixed_dictionaries(
    {"status": st.sampled_from(["COMPLETED", "FAILED", "CANCELLED", "TIMED_OUT", "IN_QUEUE", "??", None])},
    optional={"id": IDS, "ts": STAMPS, "delayTime": MS, "executionTime": MS, "workerId": WORKERS},
)
SDK = st.fixed_dictionaries(
    {
        "requestId": st.one_of(IDS, st.none()),
        "message": st.one_of(
            st.sampled_from(["Started.", "Finished.", "Captured Handler Exception", "Jobs in queue: 1", "{"]), HANDLER.map(json.dumps)
        ),
        "level": st.sampled_from(["INFO", "ERROR"]),
    }
)
TEXTS = st.one_of(
    st.one_of(HANDLER, JOB, SDK).map(json.dumps),
    st.tuples(STAMPS, st.one_of(HANDLER, SDK).map(json.dumps)).map(" ".join),
    st.tuples(IDS, st.sampled_from(["Started.", "Finished.", "Captured Handler Exception"])).map(lambda t: f"INFO   | {t[0]} | {t[1]}"),
    st.tuples(STAMPS, HANDLER.map(json.dumps)).map(lambda t: json.dumps({"ts": t[0], "source": "container", "line": t[1]})),
    st.just("--- Starting Serverless Worker |  Version 1.12.0 ---"),
    st.text(max_size=60),
)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    data = draw(TEXTS).encode("utf-8", errors="replace").replace(b"\n", b" ")
    kind = draw(st.sampled_from(["whole", "whole", "whole", "cut", "byte", "twice"]))
    if kind == "cut":
        return data[: draw(st.integers(0, len(data)))]
    if kind == "byte" and data:
        at = draw(st.integers(0, len(data) - 1))
        return data[:at] + bytes([draw(st.integers(0, 255))]).replace(b"\n", b"") + data[at + 1 :]
    return data + data if kind == "twice" else data


def run(files: dict[str, list[bytes]]):
    lines = (Line(file=name, number=n, data=d, modified_at=DAY) for name, ds in sorted(files.items()) for n, d in enumerate([b"", *ds], 1))
    # One timed line first: a file of requests without any time is refused as a whole, which is another test's.
    lines = (line if line.number > 1 else replace(line, data=b"2026-11-02T00:00:00Z boot") for line in lines)
    events = list(events_of(lines, ENDPOINT, WINDOW, meter=Meter()))
    one_each = {e.identity: e for e in reversed(events)}
    ordered = sorted(one_each.values(), key=lambda e: (e.at, e.stream, e.event_id))
    outcomes = [parse(e, ENDPOINT) for e in ordered]
    facts = [o for o in outcomes if not isinstance(o, (Ignored, Rejected))]
    return events, outcomes, facts, list(assemble(facts, ENDPOINT, CALENDAR))


@given(st.lists(damaged(), max_size=25))
def test_every_line_is_one_event_with_one_outcome_and_nothing_fails(lines):
    events, _outcomes, facts, records = run({"a.log": lines})
    assert len(events) == len(lines) + 1
    assert all(isinstance(r, (Invocation, Incomplete, Instance)) for r in records)
    requests = [r for r in records if not isinstance(r, Instance)]
    assert len(requests) <= len(facts)
    known = {f.fields.get("request_id") for f in facts if f.kind == "handler_line"} | {f.id for f in facts if f.kind == "job"}
    assert known - {None, ""} <= {r.request_id for r in requests}


@given(st.lists(damaged(), max_size=20), st.randoms(use_true_random=False))
def test_lines_with_their_own_time_give_the_same_in_any_order_and_number_of_files(lines, random):
    # Only such lines have an identity beyond their place; the others are what their place says.
    def own(data: bytes) -> bool:
        return identity(unwrap(text_of(data)), ENDPOINT) is not None

    lines = [data for data in lines if own(data)]
    shuffled = lines * 2
    random.shuffle(shuffled)
    half = len(shuffled) // 2
    assert run({"a.log": lines})[2:] == run({"b.log": shuffled[:half], "c.log": shuffled[half:]})[2:]


@given(st.lists(st.tuples(st.integers(0, 86_000), st.booleans()), max_size=30))
def test_whole_lines_all_arrive(requests):
    def text(i: int, second: int, cold: bool) -> bytes:
        ts = (DAY + timedelta(seconds=second)).strftime("%Y-%m-%dT%H:%M:%SZ")
        return json.dumps({"fortnight": 1, "request_id": f"r{i}", "gpu_ms": 1.5, "cold_start": cold, "ts": ts}).encode()

    _, _, _, records = run({"a.log": [text(i, s, c) for i, (s, c) in enumerate(requests)]})
    assert sorted((r.request_id, r.cold == "cold") for r in records) == sorted((f"r{i}", c) for i, (_, c) in enumerate(requests))
