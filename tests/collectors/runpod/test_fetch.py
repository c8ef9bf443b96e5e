from __future__ import annotations

import json
import os
import tracemalloc
from datetime import UTC, date, datetime, timedelta
from functools import partial
from zoneinfo import ZoneInfo

import pytest

from collectors.files import open_lines
from collectors.runpod import Clients, assemble, fetch, parse
from trial.calendar import Calendar, Window
from trial.config import RunpodEndpoint
from trial.errors import Malformed, NotFound
from trial.meter import Meter
from trial.records import Ignored, Rejected

DAY = datetime(2026, 11, 2, tzinfo=UTC)
WINDOW = Window(start=DAY, end=DAY + timedelta(days=1))
ENDPOINT = RunpodEndpoint(name="summ", platform="runpod", endpoint_id="x", handler_lines="*.log*")
CALENDAR = Calendar(start=date(2026, 11, 2), days=14, zone=ZoneInfo("UTC"))


def line(request_id: str, at: datetime, **more: object) -> str:
    stamp = at.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
    return json.dumps(
        {"fortnight": 1, "request_id": request_id, "handler_ms": 10.0, "cold_start": False, "ts": stamp, "instance": "podA", **more}
    )


@pytest.fixture
def read(tmp_path):
    def run(window: Window = WINDOW, meter: Meter | None = None):
        return list(fetch(Clients(files=partial(open_lines, folder=tmp_path)), ENDPOINT, window, meter=meter or Meter()))

    return run


def test_copies_of_a_line_in_two_files_are_one_event(tmp_path, read):
    text = line("a", DAY + timedelta(hours=1))
    (tmp_path / "one.log").write_text(text + "\n")
    (tmp_path / "two.log").write_bytes(b"\xef\xbb\xbf" + text.encode() + b"\r\n")
    reordered = json.dumps(dict(sorted(json.loads(text).items())), separators=(",", ":"))
    (tmp_path / "three.log").write_text(f"2026-11-02T01:00:03Z {reordered}")
    meter = Meter()
    events = read(meter=meter)
    assert len(events) == 3 and len({e.identity for e in events}) == 1 and events[0].stream == "summ"
    assert {e.at for e in events} == {DAY + timedelta(hours=1)}
    assert meter.events == 3 and meter.bytes == sum(p.stat().st_size for p in tmp_path.iterdir()) - 3 - 1 + 1


def test_only_the_window_is_given(tmp_path, read):
    moments = [DAY - timedelta(milliseconds=1), DAY, DAY + timedelta(days=1, milliseconds=-1), DAY + timedelta(days=1)]
    (tmp_path / "a.log").write_text("\n".join(line(str(i), at) for i, at in enumerate(moments)))
    assert [json.loads(e.payload)["request_id"] for e in read()] == ["1", "2"]


def test_lines_without_a_time_stand_where_their_file_puts_them(tmp_path, read):
    at = DAY + timedelta(hours=5)
    lines = [
        "--- Starting Serverless Worker |  Version 1.12.0 ---",  # before the first time: takes it
        line("a", at),
        '{"requestId": "a", "message": "Finished.", "level": "INFO"}',  # after: takes the last
        "2026-11-02T06:00:00Z hello",  # its own
        '{"fortnight":1,"requ',  # half a line keeps its place too
    ]
    (tmp_path / "a.log").write_text("\n".join(lines))
    events = read()
    assert [(e.stream.rsplit("/", 1)[-1], e.at) for e in events] == [
        ("a.log", at),
        ("summ", at),
        ("a.log", at),
        ("a.log", DAY + timedelta(hours=6)),
        ("a.log", DAY + timedelta(hours=6)),
    ]
    assert [e.event_id for e in events if e.stream != "summ"] == [f"{n:012d}" for n in (1, 3, 4, 5)]
    assert parse(events[-1], ENDPOINT) == Rejected(
        reason="broken_json", detail="handler line is not JSON: unexpected end of data: line 1 column 21 (char 20)"
    )


def test_a_file_without_any_time_is_dated_by_when_it_was_written(tmp_path, read):
    (tmp_path / "a.log").write_text("--- Starting Serverless Worker |  Version 1.12.0 ---\n")
    at = (DAY + timedelta(hours=7)).timestamp()
    os.utime(tmp_path / "a.log", (at, at))
    assert [e.at for e in read()] == [DAY + timedelta(hours=7)]


@pytest.mark.parametrize(
    "text",
    [
        '{"fortnight":1,"request_id":"a","gpu_ms":5}',
        '{"id":"a","status":"COMPLETED","delayTime":5,"executionTime":9}',
        "INFO   | job-a1 | Started.",
    ],
)
def test_requests_without_any_time_are_refused_by_name(tmp_path, read, text):
    (tmp_path / "a.log").write_text("hello\n" + text)
    with pytest.raises(Malformed, match=r"a\.log: no line carries a time.*`ts`"):
        read()


def test_appending_to_a_file_changes_no_earlier_identity(tmp_path, read):
    (tmp_path / "a.log").write_text(line("a", DAY) + "\nhello\n")
    before = [e.identity for e in read()]
    with (tmp_path / "a.log").open("a") as f:
        f.write(line("b", DAY + timedelta(minutes=1)) + "\n")
    assert [e.identity for e in read()][:2] == before


def test_binary_and_huge_lines_are_events_like_any_other(tmp_path, read):
    (tmp_path / "a.log").write_bytes(line("a", DAY).encode() + b"\n\x00\xff\xfe{\n" + b'{"x":"' + b"y" * (2 << 20) + b'"}\n')
    outcomes = [parse(e, ENDPOINT) for e in read()]
    assert isinstance(outcomes[1], Ignored) and outcomes[2] == Rejected(reason="line_too_long", detail="longer than 1048576 bytes")


def test_an_endpoint_that_ships_no_lines_reads_none():
    endpoint = RunpodEndpoint(name="summ", platform="runpod", endpoint_id="x")
    assert list(fetch(Clients(), endpoint, WINDOW, meter=Meter())) == []


def test_a_glob_that_matches_nothing_is_said(read):
    with pytest.raises(NotFound, match=r"\*\.log"):
        read()


def test_memory_is_flat_whatever_the_file(tmp_path):
    def peak(lines: int) -> int:
        with (tmp_path / "a.log").open("w") as f:
            for i in range(lines):
                f.write(line(f"r{i}", DAY + timedelta(seconds=i)) + "\n")
        window = Window(start=DAY, end=DAY + timedelta(days=30))
        tracemalloc.start()
        clients = Clients(files=partial(open_lines, folder=tmp_path))
        facts = (parse(e, ENDPOINT) for e in fetch(clients, ENDPOINT, window, meter=Meter()))
        count = sum(1 for _ in assemble(facts, ENDPOINT, CALENDAR))
        top = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert count == lines + 1
        return top

    assert peak(5_000) < 2 * peak(500)


def test_an_sdk_line_shipped_twice_in_a_row_is_one_event(tmp_path, read):
    sdk = '{"requestId": "job-a1", "message": "Started.", "level": "INFO"}'
    (tmp_path / "a.log").write_text("\n".join([line("job-a1", DAY), sdk, sdk, "same text", "same text", sdk]))
    identities = [e.identity for e in read()]
    assert len(identities) == 6 and len(set(identities)) == 5 and identities[1] == identities[2]


def test_a_late_line_at_the_end_of_its_file_makes_one_request_with_its_sdk_lines(tmp_path, read):
    """Its "Started." has no time of its own and stands after lines that are hours younger."""
    sdk = ['{"requestId": "job-%d", "message": "%s", "level": "INFO"}' % (n, m) for n in (1, 2) for m in ("Started.", "Finished.")]
    early, late = line("job-1", DAY + timedelta(hours=1)), line("job-2", DAY + timedelta(hours=9))
    (tmp_path / "a.log").write_text("\n".join([sdk[2], late, sdk[3], sdk[0], early, sdk[1]]))
    ordered = sorted(read(), key=lambda e: (e.at, e.stream, e.event_id))
    facts = [f for f in (parse(e, ENDPOINT) for e in ordered) if not isinstance(f, (Ignored, Rejected))]
    records = [(type(r).__name__, getattr(r, "request_id", None)) for r in assemble(facts, ENDPOINT, CALENDAR)]
    assert records == [("Invocation", "job-1"), ("Invocation", "job-2"), ("Instance", None)]
