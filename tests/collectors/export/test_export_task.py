from __future__ import annotations

import gzip
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collectors.export import export_task, lambda_files
from collectors.files import Source, match_files
from trial.errors import Malformed

START = datetime(2026, 11, 2, 10, tzinfo=UTC)
MESSAGES = st.lists(
    st.tuples(
        st.integers(0, 5),
        st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n"), max_size=12), min_size=1, max_size=4),
    ),
    min_size=1,
    max_size=12,
)


def source_of(folder, data: bytes, name="task/2026-11-02-[$LATEST]aa/000000.gz") -> Source:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(data))
    (source,) = match_files("task/**/*.gz", folder=folder)
    return source


def written(events) -> bytes:
    return "".join(f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z {text}\n" for at, text in events).encode()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(messages=MESSAGES)
def test_what_a_task_writes_comes_back_and_is_the_same_in_every_task(messages, tmp_path):
    at, events = START, []
    for later, lines in messages:
        at += timedelta(milliseconds=later)
        events.append((at, "\n".join(lines)))
    found = list(lambda_files.events(source_of(tmp_path, written(events))))
    assert [(e.at, e.payload) for e in found] == events
    assert {e.stream for e in found} == {"2026/11/02/[$LATEST]aa"}
    assert len({e.identity for e in found}) == len(events)
    # In the order of their ids too, where many stand in one millisecond.
    assert sorted(found, key=lambda e: (e.at, e.stream, e.event_id)) == found
    # A task over a part of the time, cut between milliseconds, gives the same events.
    part = [event for event in events if event[0] > START + timedelta(milliseconds=5)]
    again = list(lambda_files.events(source_of(tmp_path, written(part)))) if part else []
    assert {e.identity for e in again} <= {e.identity for e in found}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.binary(max_size=200))
def test_any_bytes_are_events_or_one_line(data, tmp_path):
    try:
        list(lambda_files.events(source_of(tmp_path, b"2026-11-02T10:00:00.000Z " + data)))
        list(lambda_files.events(source_of(tmp_path, data)))
    except Malformed as exc:
        assert "\n" not in str(exc)


@pytest.mark.parametrize(
    ("name", "stream"),
    [
        ("s3://b/x/6f3b/2026-11-02-[$LATEST]aa/000000.gz", "2026/11/02/[$LATEST]aa"),
        ("2026-11-02-summ[3]00ff/000012.gz", "2026/11/02/summ[3]00ff"),
        ("2026/11/02/10/summ.gz", None),
        ("exports/2026-11-02.json", None),
        ("aws-logs-write-test", None),
    ],
)
def test_the_stream_is_the_folders_name(name, stream):
    assert export_task.stream_of(name) == stream
    assert export_task.is_marker(name) == (name == "aws-logs-write-test")
