"""Cloud Logging read through the real client from a real gRPC server."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import grpc
import pytest

from collectors import cloud_run
from collectors.cloud_run.fetch import log_filter
from trial.calendar import Window
from trial.errors import Denied, Malformed, NotFound, SourceError, Throttled, Unreachable

REQUESTS = "projects/acme/logs/run.googleapis.com%2Frequests"
STDOUT = "projects/acme/logs/run.googleapis.com%2Fstdout"


def entry(number: int, *, log: str = REQUESTS, at: datetime | None = None, **more) -> dict:
    at = at or datetime(2026, 11, 2, 10, tzinfo=UTC) + timedelta(seconds=number)
    return {
        "logName": log,
        "insertId": f"id{number:06d}",
        "timestamp": at.isoformat(timespec="microseconds").replace("+00:00", "Z"),
        "receiveTimestamp": (at + timedelta(milliseconds=600)).isoformat(timespec="microseconds").replace("+00:00", "Z"),
        "resource": {
            "type": "cloud_run_revision",
            "labels": {"service_name": "summariser", "location": "us-central1", "revision_name": "r1"},
        },
        **(
            more
            or {
                "httpRequest": {"requestMethod": "POST", "requestUrl": "/a", "status": 200, "latency": "0.250s"},
                "labels": {"instanceId": "i1"},
            }
        ),
    }


def fetched(world, **window) -> list:
    return list(cloud_run.fetch(world.clients, world.endpoint, Window(**window) if window else world.window, meter=world.meter))


def test_pages_and_empty_pages_are_read_to_the_end(world):
    world.google.entries = [entry(n) for n in range(2345)]
    world.google.empty_pages = 2
    events = fetched(world)
    assert [e.event_id.rpartition("/")[2] for e in events] == [f"id{n:06d}" for n in range(2345)]
    assert (world.meter.calls, world.meter.events) == (5, 2345)
    assert world.meter.bytes > 2345 * 100
    assert {r.page_size for r in world.google.asked} == {1000}


def test_an_event_carries_the_entry_and_its_identity(world):
    times = {"timestamp": "2026-11-02T10:00:01.123456789Z", "receiveTimestamp": "2026-11-02T10:00:01.700Z"}
    sent = {**entry(1), **times, "trace": "projects/acme/traces/43ba42ea08e9b0f246e301f34c87922f", "severity": "INFO"}
    world.google.entries = [sent]
    (event,) = fetched(world)
    assert event.identity == (REQUESTS, "2026-11-02T10:00:01.123456789Z/id000001")
    assert event.at == datetime(2026, 11, 2, 10, 0, 1, 123456, tzinfo=UTC)
    assert event.ingested_at == datetime(2026, 11, 2, 10, 0, 1, 700000, tzinfo=UTC)
    assert event.source in cloud_run.SOURCES
    assert event.payload == sent


def test_numbers_inside_json_arrive_as_floats_and_still_parse(world):
    line = {"fortnight": 1, "request_id": "x", "gpu_ms": 12, "input_tokens": 812}
    world.google.entries = [entry(1, log=STDOUT, jsonPayload=line, labels={"instanceId": "i1"})]
    (event,) = fetched(world)
    assert isinstance(event.payload["jsonPayload"]["fortnight"], float)
    fact = cloud_run.parse(event, world.endpoint)
    assert fact.kind == "handler_line"
    assert fact.fields["input_tokens"] == 812 and isinstance(fact.fields["input_tokens"], int)


def test_the_window_is_half_open_and_always_sent(world):
    edges = [
        world.window.start - timedelta(microseconds=1),
        world.window.start,
        world.window.end - timedelta(microseconds=1),
        world.window.end,
    ]
    world.google.entries = [entry(n, at=at) for n, at in enumerate(edges)]
    assert [e.at for e in fetched(world)] == edges[1:3]
    assert world.google.asked[0].filter == log_filter(world.endpoint, world.window)
    assert 'timestamp>="2026-11-02T00:00:00.000000Z" AND timestamp<"2026-11-03T00:00:00.000000Z"' in world.google.asked[0].filter


def test_a_window_long_ago_is_read_too(world):
    """The high-level client would silently add "the last 24 hours"; this one must not."""
    long_ago = datetime(2020, 1, 1, tzinfo=UTC)
    world.google.entries = [entry(1, at=long_ago)]
    assert len(fetched(world, start=long_ago, end=long_ago + timedelta(days=1))) == 1


def test_quotes_in_names_cannot_change_the_filter(world):
    odd = world.endpoint.model_copy(update={"service": 'a" OR severity>="DEFAULT'})
    assert 'service_name="a\\" OR severity>=\\"DEFAULT"' in log_filter(odd, world.window)


@pytest.mark.parametrize("status", [grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED])
def test_what_passes_is_tried_again_without_losing_or_doubling_entries(world, status):
    world.google.entries = [entry(n) for n in range(1500)]
    world.google.failures.extend([status, status, None, status])
    assert len(fetched(world)) == 1500
    assert world.meter.calls == 5
    assert world.meter.throttles == (3 if status is grpc.StatusCode.RESOURCE_EXHAUSTED else 0)


@pytest.mark.parametrize(
    ("status", "error", "calls"),
    [
        (grpc.StatusCode.RESOURCE_EXHAUSTED, Throttled, 4),
        (grpc.StatusCode.UNAVAILABLE, Unreachable, 4),
        (grpc.StatusCode.DEADLINE_EXCEEDED, Unreachable, 4),
        (grpc.StatusCode.INTERNAL, Unreachable, 4),
        (grpc.StatusCode.PERMISSION_DENIED, Denied, 1),
        (grpc.StatusCode.UNAUTHENTICATED, Denied, 1),
        (grpc.StatusCode.NOT_FOUND, NotFound, 1),
        (grpc.StatusCode.INVALID_ARGUMENT, Malformed, 1),
        (grpc.StatusCode.UNIMPLEMENTED, SourceError, 1),
        (grpc.StatusCode.UNKNOWN, SourceError, 1),
    ],
)
def test_what_stays_is_one_of_our_own_errors(world, status, error, calls):
    world.google.failures.extend([status] * 10)
    with pytest.raises(error) as raised:
        fetched(world)
    assert len(world.google.asked) == calls
    said = str(raised.value)
    assert said.startswith("Cloud Logging of project acme: ") and "\n" not in said
    assert raised.value.__cause__ is not None


def test_denied_says_which_role_is_missing(world):
    world.google.failures.append(grpc.StatusCode.PERMISSION_DENIED)
    with pytest.raises(Denied, match="roles/logging.viewer on project acme"):
        fetched(world)


def test_nobody_listening_is_unreachable(world, clients_to):
    clients = clients_to("127.0.0.1:1", attempts=2)
    with pytest.raises(Unreachable):
        list(cloud_run.fetch(clients, world.endpoint, world.window, meter=world.meter))
