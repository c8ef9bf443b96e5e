"""Arrivals from files and from invocations: what is read, what is imputed, and what is refused in one line."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.replaying.arrivals import from_invocations, read_csv
from trial.calendar import Window
from trial.errors import ConfigError
from trial.records import Invocation
from trial.schema import invocations_table

START = datetime(2026, 11, 2, tzinfo=UTC)


def request(seconds: float, **more) -> Invocation:
    at = START + timedelta(seconds=seconds)
    given = {"handler_ms": 100.0, "cold": "warm", "waited": False, "gpu_ms_source": "none", **more}
    return Invocation(platform="runpod", endpoint="e", day=at.date(), request_id=None, instance_id=None, started_at=at, **given)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("arrival_ms,service_ms\n", "no arrivals"),
        ("", "no column arrival_ms"),
        ("arrival_ms\n1\n", "no column service_ms"),
        ("arrival_ms,service_ms\n5,1\n4,1\n", "line 3: arrivals are not sorted: 4 ms comes after 5 ms"),
        ("arrival_ms,service_ms\n5,1\n5,1\n", "line 3: duplicate arrival at 5 ms"),
        ("arrival_ms,service_ms\n-5,1\n", "line 2: arrival_ms is '-5'"),
        ("arrival_ms,service_ms\n5,-1\n", "line 2: service_ms is '-1'"),
        ("arrival_ms,service_ms\n5,\n", "line 2: service_ms is missing"),
        ("arrival_ms,service_ms\n5\n", "line 2: service_ms is missing"),
        ("arrival_ms,service_ms\n5,abc\n", "line 2: service_ms is 'abc'"),
        ("arrival_ms,service_ms\n5,nan\n", "line 2: service_ms is 'nan'"),
        ("arrival_ms,service_ms\ninf,1\n", "line 2: arrival_ms is 'inf'"),
    ],
)
def test_a_bad_file_is_one_line_that_names_it(tmp_path, text, says):
    path = tmp_path / "arrivals.csv"
    path.write_text(text)
    with pytest.raises(ConfigError) as raised:
        read_csv(path)
    assert says in str(raised.value)
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)
    assert raised.value.exit_code == 2


def test_files_that_are_no_files_and_no_text(tmp_path):
    with pytest.raises(ConfigError, match="no such file"):
        read_csv(tmp_path / "nowhere.csv")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_csv(tmp_path)
    (tmp_path / "bytes.csv").write_bytes(b"arrival_ms,service_ms\n1,\xff\xfe\x00")
    with pytest.raises(ConfigError):
        read_csv(tmp_path / "bytes.csv")


def test_a_good_file_in_any_order_of_columns(tmp_path):
    path = tmp_path / "arrivals.csv"
    path.write_text("\ufeffid, service_ms ,arrival_ms\n7,1.5,0\n8,2,86400000.25\n", encoding="utf-8")
    arrivals = read_csv(path)
    assert arrivals.arrival_ms.tolist() == [0, 86_400_000.25]
    assert arrivals.service_ms.tolist() == [1.5, 2]
    assert (arrivals.day.tolist(), arrivals.days) == ([0, 1], 2)


def test_simultaneous_arrivals_where_they_are_allowed(tmp_path):
    path = tmp_path / "arrivals.csv"
    path.write_text("arrival_ms,service_ms\n5,1\n5,2\n")
    assert len(read_csv(path, allow_simultaneous=True)) == 2


@given(st.binary(max_size=200))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_read_or_refused_with_a_config_error(tmp_path_factory, raw):
    path = tmp_path_factory.mktemp("fuzz") / "arrivals.csv"
    path.write_bytes(b"arrival_ms,service_ms\n" + raw)
    try:
        arrivals = read_csv(path)
    except ConfigError:
        return
    assert np.isfinite(arrivals.arrival_ms).all() and (arrivals.service_ms >= 0).all()


def test_cold_start_is_what_the_phases_or_the_latency_say():
    rows = [
        request(0, cold="cold", waited=True, init_ms=4000.0, load_ms=3000.0),  # the load is part of the start-up
        request(10, cold="cold", waited=True, queue_ms=500.0, handler_ms=2100.0, load_ms=2000.0),  # and here of the handler
        request(20, cold="cold", waited=True, latency_ms=7100.0),
        request(30),
    ]
    arrivals = from_invocations(invocations_table(rows))
    assert arrivals.service_ms.tolist() == [100, 100, 100, 100]
    assert arrivals.cold_extra_ms[:3].tolist() == [4000, 2500, 7000]
    assert arrivals.cold_extra_ms[3] in (4000, 2500, 7000)


def test_latency_beyond_the_handler_is_overhead_not_start_up():
    rows = [request(0, cold="cold", waited=True, latency_ms=5120.0), *(request(10 + i, latency_ms=120.0) for i in range(3))]
    arrivals = from_invocations(invocations_table(rows))
    assert arrivals.overhead_ms == pytest.approx(20)
    assert arrivals.cold_extra_ms[0] == pytest.approx(5000)


def test_missing_service_times_are_imputed_and_said_and_aborted_requests_left_out():
    rows = [
        request(0, cold="cold", waited=True, init_ms=1000.0),
        request(1, handler_ms=None, status="throttled", cold="unknown", waited=None),
        request(2, handler_ms=None, status="aborted", cold="unknown", waited=None),
    ]
    arrivals = from_invocations(invocations_table(rows))
    assert arrivals.service_ms.tolist() == [100, 100]
    assert arrivals.notes == ("1 of 2 requests have no service time: the median, 100 ms, stands in",)
    assert arrivals.known.tolist() == [True, False]
    assert arrivals.throttled == 1


def test_no_service_time_at_all_is_an_error_that_says_what_to_do():
    with pytest.raises(ConfigError, match="no service time on any request.*handler-line"):
        from_invocations(invocations_table([request(0, handler_ms=None)]))
    with pytest.raises(ConfigError, match="no invocations"):
        from_invocations(invocations_table([]))


def test_what_counts_as_a_cold_hit_is_what_the_rate_counts():
    rows = [
        request(0, cold="cold", waited=True, init_ms=1.0),
        request(1, cold="cold", waited=False),  # started ahead of the request
        request(2, cold="cold", waited=None),
        request(3, cold="unknown", waited=None),
        request(4, cold="cold", waited=False, synthetic=True),  # a ping met a cold instance
        request(5),
    ]
    arrivals = from_invocations(invocations_table(rows))
    assert arrivals.cold.tolist() == [True, False, False, False, True, False]
    assert arrivals.known.tolist() == [True, True, False, False, True, True]
    assert arrivals.telling.tolist() == [True, False, False, False, True, True]
    assert arrivals.observed_rate == pytest.approx(1 / 3)


def test_a_runpod_line_without_its_job_tells_when_the_handler_began():
    rows = [
        request(10, cold="cold", waited=True, init_ms=4000.0, latency_ms=4100.0),  # came at 6 s
        request(8),
        request(20, cold="cold", waited=True, init_ms=4000.0, queue_ms=5000.0, latency_ms=5100.0),  # a job object knew: came at 20 s
    ]
    arrivals = from_invocations(invocations_table(rows))
    assert arrivals.arrival_ms.tolist() == [0, 2000, 14_000]
    assert arrivals.cold_extra_ms[[0, 2]].tolist() == [4000, 5000]
    elsewhere = from_invocations(invocations_table([replace(row, platform="aws-lambda") for row in rows]))
    assert elsewhere.arrival_ms.tolist() == [0, 2000, 12_000]


def test_days_and_horizon_are_the_trials():
    rows = [request(3600), request(86_400 * 2 + 5)]
    window = Window(start=START, end=START + timedelta(days=4))
    arrivals = from_invocations(invocations_table(rows), window=window)
    assert (arrivals.day.tolist(), arrivals.days) == ([0, 2], 3)
    assert arrivals.horizon_ms == (-3_600_000, 86_400_000 * 4 - 3_600_000)
    assert arrivals.arrival_ms.tolist() == [0, 86_400_000 * 2 + 5000 - 3_600_000]
