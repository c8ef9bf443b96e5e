"""What must hold for any entries and any traffic."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from collectors import cloud_run
from collectors.google_entry import to_event
from trial.calendar import Calendar
from trial.config import CloudRunEndpoint
from trial.records import Ignored, Incomplete, Instance, Invocation, RawEvent, Rejected

ENDPOINT = CloudRunEndpoint(platform="cloud-run", name="run", project="acme", service="summariser", region="us-central1")
CALENDAR = Calendar(start=date(2026, 11, 2), days=14, zone=ZoneInfo("Europe/London"))
BEGIN = datetime(2026, 11, 2, 10, tzinfo=UTC)
RESOURCE = {"type": "cloud_run_revision", "labels": {"service_name": "summariser", "location": "us-central1", "revision_name": "r1"}}

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
broken_entries = st.fixed_dictionaries(
    {},
    optional={
        "logName": st.sampled_from(["requests", "varlog%2Fsystem", "stdout"]).map(lambda n: f"projects/acme/logs/run.googleapis.com%2F{n}")
        | json_values,
        "resource": st.just(RESOURCE) | json_values,
        "labels": st.fixed_dictionaries({"instanceId": st.text(max_size=4) | json_values}) | json_values,
        "trace": st.text(max_size=60) | json_values,
        "insertId": json_values,
        "textPayload": st.text(max_size=60)
        | st.sampled_from(
            ["Starting new instance. Reason: ", "Starting new instance. Reason: A", '{"fortnight":1', "STARTUP TCP probe succeeded"]
        )
        | json_values,
        "jsonPayload": st.fixed_dictionaries({"fortnight": st.just(1) | json_values}, optional={"gpu_ms": json_values, "ts": json_values})
        | json_values,
        "httpRequest": st.fixed_dictionaries(
            {},
            optional={
                "status": st.sampled_from([0, 200, 200.0, "503", 429, 403]) | json_values,
                "latency": st.sampled_from(["0s", "1.5s", "3600s", "1e9s", "NaNs"]) | json_values,
                "requestUrl": st.text(max_size=30) | json_values,
                "requestMethod": st.sampled_from(["GET", "POST", "HEAD"]) | json_values,
                "userAgent": json_values,
            },
        )
        | json_values,
    },
)


def facts_of(events: list[RawEvent]) -> list:
    ordered = sorted(events, key=lambda e: (e.at, e.stream, e.event_id))
    return [f for f in (cloud_run.parse(e, ENDPOINT) for e in ordered) if not isinstance(f, (Ignored, Rejected))]


def event(payload, at: datetime = BEGIN, number: int = 0) -> RawEvent:
    return RawEvent(source="cloud-logging", stream="s", event_id=f"{number:04d}", at=at, payload=payload)


@given(st.lists(st.tuples(broken_entries | json_values.filter(lambda v: isinstance(v, str)), st.integers(0, 4_000_000)), max_size=12))
@settings(max_examples=300, deadline=None)
@example([({"logName": "projects/p/logs/run.googleapis.com%2Frequests", "httpRequest": {"status": 200, "latency": "7200s"}}, 0)])
def test_any_entry_ends_in_one_place_and_no_request_is_lost(entries):
    events = [event(payload, BEGIN + timedelta(milliseconds=ms), n) for n, (payload, ms) in enumerate(entries)]
    outcomes = [cloud_run.parse(e, ENDPOINT) for e in events]
    facts = facts_of(events)
    kinds = Counter(f.kind for f in facts)
    assert len(outcomes) == len(facts) + sum(isinstance(o, (Ignored, Rejected)) for o in outcomes)
    records = list(cloud_run.assemble(facts, ENDPOINT, CALENDAR))
    assert sum(isinstance(r, Invocation) for r in records) == kinds["request"]
    assert sum(isinstance(r, Incomplete) for r in records) <= kinds["handler_line"]
    instances = [r.id for r in records if isinstance(r, Instance)]
    assert len(instances) == len(set(instances))


# A service with one request per instance at a time, as the pool of a GPU service works: the planted truth.


def trace(number: int) -> str:
    return f"{number + 1:032x}"


def play(seed: int, *, requests: int, labels: bool = True, traces: bool = True, probes: bool = True):
    """Entries of a random hour, and by request whether it started the instance it met."""
    rng = random.Random(seed)
    entries, truth = [], {}
    idle: list[tuple[datetime, str]] = []
    at, count = BEGIN, itertools.count()

    def put(log: str, when: datetime, instance: str | None, **more) -> None:
        number = next(count)
        entry = {
            "logName": f"projects/acme/logs/run.googleapis.com%2F{log}",
            "insertId": f"{number:06d}",
            "timestamp": when.isoformat().replace("+00:00", "Z"),
            "resource": RESOURCE,
            **({"labels": {"instanceId": instance}} if instance else {}),
            **more,
        }
        entries.append(entry)

    for number in range(requests):
        at += timedelta(seconds=rng.choice([0.05, 0.5, 3, 20, 120, 900]) * rng.uniform(0.8, 1.2))
        idle = [(free, i) for free, i in idle if at - free < timedelta(seconds=600)]
        free = [pair for pair in idle if pair[0] <= at]
        handler = timedelta(milliseconds=rng.randint(2, 4000))
        if free:
            chosen = max(free)
            idle.remove(chosen)
            instance, latency = chosen[1], handler + timedelta(milliseconds=3)
        else:
            instance, boot = f"i{number}", timedelta(milliseconds=rng.randint(900, 20_000))
            latency = boot + handler
            put("varlog%2Fsystem", at + timedelta(milliseconds=rng.randint(35, 52)), instance if labels else None, textPayload=START)
            if probes:
                lag = timedelta(milliseconds=rng.randint(0, 330))
                put("varlog%2Fsystem", at + boot + lag, instance if labels else None, textPayload=PROBE)
        put(
            "requests",
            at,
            instance,
            httpRequest={"requestMethod": "POST", "requestUrl": "/a", "status": 200, "latency": f"{latency.total_seconds():.9f}s"},
            trace=f"projects/acme/traces/{trace(number)}",
        )
        line = {
            "fortnight": 1.0,
            "request_id": trace(number) if traces else f"own-{number}",
            "gpu_ms": number + 0.5,
            "cold_start": not free,
        }
        put("stdout", at + latency - timedelta(milliseconds=rng.randint(0, 3)), instance, jsonPayload=line)
        idle.append((at + latency, instance))
        truth[trace(number)] = not free
    return [to_event(e) for e in entries], truth


START = "Starting new instance. Reason: AUTOSCALING - no existing capacity"
PROBE = 'Default STARTUP TCP probe succeeded after 1 attempt for container "app" on port 8080.'


@given(seed=st.integers(0, 2**32), labels=st.booleans(), traces=st.booleans(), probes=st.booleans())
@settings(max_examples=60, deadline=None)
def test_the_planted_cold_starts_are_found(seed, labels, traces, probes):
    events, truth = play(seed, requests=60, labels=labels, traces=traces, probes=probes)
    records = list(cloud_run.assemble(facts_of(events), ENDPOINT, CALENDAR))
    invocations = [r for r in records if isinstance(r, Invocation)]
    assert {i.request_id: i.cold == "cold" for i in invocations} == truth
    assert all(i.cold != "unknown" and i.waited == (True if i.cold == "cold" else None) for i in invocations)
    assert {i.request_id: i.gpu_ms for i in invocations} == {trace(n): n + 0.5 for n in range(60)}
    assert not any(isinstance(r, Incomplete) for r in records)
    assert {r.id for r in records if isinstance(r, Instance)} == {i.instance_id for i in invocations}


@given(seed=st.integers(0, 2**32))
@settings(max_examples=15, deadline=None)
def test_the_order_of_arrival_and_duplicates_change_nothing(seed):
    events, _ = play(seed % 7, requests=40)
    shuffled = events + random.Random(seed).choices(events, k=20)
    random.Random(seed).shuffle(shuffled)
    once = {e.identity: e for e in shuffled}
    assert list(cloud_run.assemble(facts_of(list(once.values())), ENDPOINT, CALENDAR)) == list(
        cloud_run.assemble(facts_of(events), ENDPOINT, CALENDAR)
    )


@given(seed=st.integers(0, 2**32), cut=st.floats(0.05, 0.95))
@settings(max_examples=30, deadline=None)
def test_a_window_that_begins_in_the_middle_is_never_wrong(seed, cut):
    """Without what came before, a request may be unknown; it is never called cold or warm against the truth."""
    events, truth = play(seed, requests=60)
    ordered = sorted(events, key=lambda e: e.at)
    begin = ordered[int(len(ordered) * cut)].at
    late = [e for e in ordered if e.at >= begin]
    for record in cloud_run.assemble(facts_of(late), ENDPOINT, CALENDAR):
        if isinstance(record, Invocation) and record.cold != "unknown":
            assert (record.cold == "cold") == truth[record.request_id]


def test_requests_are_yielded_as_they_end():
    """The state is what is in flight, however long the day."""
    events, _ = play(3, requests=3000)
    facts = facts_of(events)
    taken = yielded = most = 0

    def feed():
        nonlocal taken
        for fact in facts:
            taken += fact.kind == "request"
            yield fact

    for record in cloud_run.assemble(feed(), ENDPOINT, CALENDAR):
        if isinstance(record, Invocation):
            yielded += 1
            most = max(most, taken - yielded)
    assert yielded == 3000
    assert most < 60


@pytest.mark.parametrize("name", ["httpRequest", "labels", "resource", "jsonPayload"])
def test_deep_nesting_is_survived(name):
    deep: dict = {}
    for _ in range(2000):
        deep = {"x": deep}
    for log in ("requests", "varlog%2Fsystem", "stdout"):
        payload = {"logName": f"projects/acme/logs/run.googleapis.com%2F{log}", "resource": RESOURCE, name: deep}
        assert cloud_run.parse(event(payload), ENDPOINT) is not None
