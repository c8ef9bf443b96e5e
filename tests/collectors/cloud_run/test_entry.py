"""The identity of a log entry, and careful reading of its parts."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from collectors.google_entry import region_of, to_event, trace_id, whole

LOG = "projects/acme/logs/run.googleapis.com%2Frequests"


@pytest.mark.parametrize(
    ("stamp", "canonical", "micro"),
    [
        ("2026-11-02T10:00:00Z", "2026-11-02T10:00:00.000000000Z", 0),
        ("2026-11-02T10:00:00.5Z", "2026-11-02T10:00:00.500000000Z", 500_000),
        ("2026-11-02T10:00:00.123456789Z", "2026-11-02T10:00:00.123456789Z", 123_456),
        ("2026-11-02T11:00:00.123456+01:00", "2026-11-02T10:00:00.123456000Z", 123_456),
        ("2026-11-02t10:00:00.9999999999z", "2026-11-02T10:00:00.999999999Z", 999_999),
    ],
)
def test_one_entry_has_one_identity_however_its_time_is_written(stamp, canonical, micro):
    event = to_event({"logName": LOG, "timestamp": stamp, "insertId": "x"})
    assert event.identity == (LOG, f"{canonical}/x")
    assert event.at == datetime(2026, 11, 2, 10, 0, 0, micro, tzinfo=UTC)


def test_nanoseconds_order_entries_within_a_microsecond():
    later, earlier = (
        to_event({"logName": LOG, "timestamp": f"2026-11-02T10:00:00.00000000{n}Z", "insertId": i}) for n, i in ((9, "a"), (1, "b"))
    )
    assert later.at == earlier.at and earlier.event_id < later.event_id


@pytest.mark.parametrize(
    ("resource", "region"), [({"labels": {"location": "us-central1"}}, "us-central1"), ({"labels": {}}, None), ({}, None), ("odd", None)]
)
def test_the_region_is_that_of_the_resource_that_wrote_it(resource, region):
    entry = {"logName": LOG, "timestamp": "2026-11-02T10:00:00Z", "insertId": "x", "resource": resource}
    assert region_of(to_event(entry), None) == region


def test_without_insert_id_the_content_is_the_identity():
    one, same, other = (to_event({"logName": LOG, "timestamp": "2026-11-02T10:00:00Z", "textPayload": t}) for t in ("a", "a", "b"))
    assert one.identity == same.identity != other.identity


@pytest.mark.parametrize(
    "entry",
    [
        {},
        {"logName": LOG},
        {"logName": LOG, "timestamp": 5},
        {"logName": LOG, "timestamp": "yesterday"},
        {"logName": LOG, "timestamp": "2026-13-02T10:00:00Z"},
        {"logName": LOG, "timestamp": "2026-11-02T10:00:00"},
        {"logName": LOG, "timestamp": "0001-01-01T00:00:00+14:00"},
        {"logName": LOG, "timestamp": "0001-01-01T00:00:00Z"},
        {"logName": 7, "timestamp": "2026-11-02T10:00:00Z"},
        {"logName": LOG, "timestamp": "2026-11-02T10:00:00Z", "receiveTimestamp": "soon"},
    ],
)
def test_an_entry_without_log_or_time_is_refused(entry):
    with pytest.raises(ValueError, match="log entry"):
        to_event(entry)


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("projects/p/traces/43ba42ea08e9b0f246e301f34c87922f", "43ba42ea08e9b0f246e301f34c87922f"),
        ("43BA42EA08E9B0F246E301F34C87922F/123;o=1", "43ba42ea08e9b0f246e301f34c87922f"),
        ("00-43ba42ea08e9b0f246e301f34c87922f-2c6ed7c871074bdc-01", "43ba42ea08e9b0f246e301f34c87922f"),
        ("projects/p/traces/short", "short"),
        ("my-own-id", "my-own-id"),
        ("", None),
        (None, None),
        (17, None),
    ],
)
def test_a_trace_is_found_in_every_way_of_writing_it(given, found):
    assert trace_id(given) == found


def test_whole_numbers_however_they_travel():
    assert [whole(v) for v in (200, 200.0, "200", None)] == [200, 200, 200, None]
    for broken in (True, 1.5, "OK", "-1", float("nan"), float("inf"), [], "٣"):
        with pytest.raises(ValueError, match="whole number"):
            whole(broken)
