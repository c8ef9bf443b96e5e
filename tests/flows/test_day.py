"""One day's way from raw events to a stored summary, with a collector small enough to see through."""

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest

from expectations.result import Rule, SuiteResult
from flows import day as days
from flows import pull, reading
from trial.calendar import Calendar
from trial.errors import CheckError
from trial.meter import Meter
from trial.records import Ignored, Incomplete, Instance, Invocation, RawEvent, Rejected, UsageBucket
from trial.store import Store

DAY = date(2026, 11, 3)
CALENDAR = Calendar(start=date(2026, 11, 2), days=3, zone=ZoneInfo("UTC"))
ENDPOINT = SimpleNamespace(name="e", platform="runpod")
NOON = datetime(2026, 11, 3, 12, tzinfo=UTC)


@dataclass(frozen=True)
class Seen:
    at: datetime
    id: str
    kind: str = "seen"


class Words:
    """Each event is one word: a number is a request, "skip" says nothing, "cut" cannot be read, "half" is a request without its end."""

    SOURCES = ("words", "other")
    COUNTED_BY_PROVIDER = frozenset({"skip"})

    def __init__(self, events=()):
        self.events = events

    def fetch(self, clients, endpoint, window, *, meter):
        meter.calls += 1
        yield from (e for e in self.events if e.at in window)

    def parse(self, event, endpoint):
        match event.payload:
            case "skip":
                return Ignored(reason="skip")
            case "cut":
                return Rejected(reason="cut", detail="no end")
            case text:
                return Seen(event.at, text)

    def assemble(self, facts, endpoint, calendar):
        for fact in facts:
            own_day = calendar.day_of(fact.at)
            if fact.id == "half":
                yield Incomplete(endpoint="e", day=own_day, request_id=None, instance_id=None, started_at=fact.at, reason="no end")
            else:
                yield Invocation(
                    platform="runpod",
                    endpoint="e",
                    day=own_day,
                    request_id=fact.id,
                    instance_id="w",
                    started_at=fact.at,
                    cold="warm",
                    latency_ms=5.0,
                )
        yield Instance(endpoint="e", id="w", first_seen_at=NOON, last_seen_at=NOON)


def event(payload, *, at=NOON, n=None):
    return RawEvent(source="words", stream="s", event_id=f"{at.isoformat()} {payload if n is None else n}", at=at, payload=payload)


def passes(table):
    return SuiteResult(suite="s", rows=table.num_rows, rules=())


def run(tmp_path, events, *, check=passes, usage=()):
    store, collector = Store.at(str(tmp_path)), Words(events)
    window = pull.window_of(store, "e", DAY, DAY, CALENDAR)
    pull.pull(store, collector, None, ENDPOINT, window, CALENDAR, meter=Meter())
    return store, days.process(store, collector, ENDPOINT, DAY, CALENDAR, slo_ms=500, usage=usage, check=check)


def test_every_event_ends_in_one_place(tmp_path):
    events = [event("1"), event("2"), event("2"), event("skip"), event("cut"), event("half")]
    store, summary = run(tmp_path, events)
    assert summary.ledger_totals() == {"read": 6, "used": 3, "ignored": 1, "duplicate": 1, "rejected": 1}
    assert (summary.requests, summary.incomplete, summary.other_requests) == (2, 1, 1)
    assert [(ledger.source, ledger.read) for ledger in summary.ledgers] == [("other", 0), ("words", 6)]
    assert store.table("instances", "e").num_rows == 1


def test_rejected_lines_are_kept_verbatim(tmp_path):
    store, _ = run(tmp_path, [event("cut")])
    assert store.table("quarantine", "e").select(["rules", "raw"]).to_pylist() == [{"rules": ["rejected: cut (no end)"], "raw": "cut"}]


def test_of_the_day_before_only_streams_that_go_on_are_read_where_they_stand_apart(tmp_path):
    midnight, parsed = CALENDAR.window(DAY).start, []

    class Apart(Words):
        STREAMS_APART = True

        def parse(self, event, endpoint):
            parsed.append((event.stream, event.payload))
            return super().parse(event, endpoint)

    ended, begun = event("1", at=midnight - timedelta(hours=3)), event("2", at=midnight - timedelta(hours=2))
    events = [replace(ended, stream="ended"), replace(begun, stream="goes-on"), replace(event("3"), stream="goes-on")]
    store, collector = Store.at(str(tmp_path)), Apart(events)
    pull.pull(store, collector, None, ENDPOINT, pull.window_of(store, "e", DAY, DAY, CALENDAR), CALENDAR, meter=Meter())
    for part_mb in (32, 1e-6):
        parsed.clear()
        days.process(store, collector, ENDPOINT, DAY, CALENDAR, slo_ms=500, usage=(), check=passes, part_mb=part_mb)
        assert parsed == [("goes-on", "2"), ("goes-on", "3")]


def test_neighbouring_days_give_context_and_are_counted_on_their_own_day(tmp_path):
    midnight = CALENDAR.window(DAY).start
    events = [event("before", at=midnight - timedelta(hours=2)), event("1"), event("after", at=midnight + timedelta(hours=24, minutes=30))]
    _, summary = run(tmp_path, events)
    assert summary.requests == 1
    assert summary.ledger_totals()["read"] == 1


def test_broken_rows_go_to_quarantine_with_their_rule_and_their_raw_text(tmp_path):
    def no_twos(table):
        broken = {i: ("no twos",) for i, r in enumerate(table["request_id"].to_pylist()) if r == "two"}
        return SuiteResult(
            suite="s",
            rows=table.num_rows,
            rules=(Rule(name="no twos", severity="critical", checked=2, broken=len(broken)),),
            broken_rows=broken,
        )

    store, summary = run(tmp_path, [event("one"), event("two")], check=no_twos)
    assert (summary.requests, summary.quarantined) == (1, 1)
    (row,) = store.table("quarantine", "e").to_pylist()
    assert (row["request_id"], row["rules"], row["raw"]) == ("two", ["no twos"], "two")
    assert store.table("invocations", "e")["request_id"].to_pylist() == ["one"]


def test_an_expectation_that_cannot_run_changes_nothing(tmp_path):
    store, _ = run(tmp_path, [event("1")])
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}

    def breaks(table):
        raise CheckError("cannot be evaluated")

    with pytest.raises(CheckError):
        days.process(store, Words(), ENDPOINT, DAY, CALENDAR, slo_ms=500, usage=(), check=breaks)
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before


def test_the_providers_count_makes_completeness_and_is_kept_where_it_cannot_be_read_again(tmp_path):
    window = CALENDAR.window(DAY)
    bucket = UsageBucket(endpoint="e", source="metrics", start=window.start, end=window.end, requests=4)
    store, summary = run(tmp_path, [event("1"), event("2"), event("skip")], usage=(bucket,))
    assert (summary.completeness, summary.unseen) == (0.75, 1)
    again = days.process(store, Words(), ENDPOINT, DAY, CALENDAR, slo_ms=500, usage=None, check=passes)
    assert again.completeness == 0.75


def test_batches_do_not_show(tmp_path, monkeypatch):
    events = [event(str(n), n=n, at=NOON + timedelta(seconds=n)) for n in range(20)]
    _, whole = run(tmp_path / "whole", events)
    monkeypatch.setattr(days, "BATCH", 3)
    monkeypatch.setattr(reading, "REJECTED_BATCH", 2)
    _, parts = run(tmp_path / "parts", events)
    assert whole == parts


def test_a_lone_surrogate_in_a_line_can_be_quarantined(tmp_path):
    store, _ = run(tmp_path, [event("\ud800")], check=lambda t: SuiteResult(suite="s", rows=1, rules=(), broken_rows={0: ("x",)}))
    assert pa.types.is_string(store.table("quarantine", "e")["raw"].type)
