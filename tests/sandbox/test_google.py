"""Cloud Logging and Cloud Monitoring through the vendor's GAPIC clients over an insecure channel."""

from __future__ import annotations

from datetime import timedelta

import pytest
from google.api_core import exceptions
from google.cloud.monitoring_v3.types import Aggregation, ListTimeSeriesRequest, TimeInterval
from google.protobuf.json_format import MessageToDict

from sandbox.faults import Faults
from sandbox.instants import iso_us, to_us
from sandbox.truth import DayTruth

PROJECT = "projects/acme"


def day_filter(window, extra=""):
    return (
        f'resource.type="cloud_run_revision" AND timestamp>="{iso_us(to_us(window.start))}"'
        f' AND timestamp<"{iso_us(to_us(window.end))}"{extra}'
    )


def pages(client, text, *, size=1000, order="timestamp asc", tries=20):
    """Every page's raw entries; throttled pages are asked for again, as a collector does."""
    request = {"resource_names": [PROJECT], "filter": text, "order_by": order, "page_size": size}
    found = []
    while True:
        for attempt in range(tries):
            try:
                page = next(iter(client.list_log_entries(request=request, retry=None, timeout=10).pages))
                break
            except exceptions.ResourceExhausted:
                assert attempt < tries - 1
        found.append(list(page.entries))
        if not page.next_page_token:
            return found
        request["page_token"] = page.next_page_token


@pytest.fixture
def day(small_world):
    return small_world.calendar.all_days()[1]


@pytest.fixture
def truth(small_world, day) -> DayTruth:
    return small_world.truth["summariser-run"][day]


@pytest.fixture
def served(small_world, tmp_path, google):
    """served(faults) -> (clients, addresses) for the small world, well after its end."""
    import contextlib

    @contextlib.contextmanager
    def make(faults=None):
        small_world.set_now(small_world.calendar.window(small_world.calendar.all_days()[-1]).end + timedelta(days=3))
        with small_world.serve(tmp_path, faults=faults or Faults()) as addresses:
            yield google(addresses.google), addresses

    return make


def test_a_day_comes_whole_through_small_and_empty_pages(small_world, served, day, truth):
    window = small_world.calendar.window(day)
    with served(Faults(empty_page=0.3, throttle=0.1)) as (clients, _):
        found = pages(clients.logging, day_filter(window), size=100)
    entries = [e for page in found for e in page]
    assert len(entries) == truth.lines
    assert any(not page for page in found) and max(map(len, found)) == 100
    stamps = [e.timestamp.rfc3339() for e in entries]
    assert [e.timestamp for e in entries] == sorted(e.timestamp for e in entries), stamps[:3]
    assert len({(e.log_name, e.timestamp.rfc3339(), e.insert_id) for e in entries}) == len(entries)


def test_entries_have_the_true_shape(small_world, served, day):
    window = small_world.calendar.window(day)
    names = "requests", "varlog%2Fsystem", "stdout"
    with served() as (clients, _):
        for name in names:
            text = day_filter(window, f' AND logName="{PROJECT}/logs/run.googleapis.com%2F{name}"')
            entry = MessageToDict(type(pages(clients.logging, text)[0][0]).pb(pages(clients.logging, text)[0][0]))
            assert entry["resource"]["labels"]["service_name"] == "summariser"
            assert entry["receiveTimestamp"] > entry["timestamp"]
            if name == "requests":
                assert entry["httpRequest"]["latency"].endswith("s") and entry["httpRequest"]["status"] in (200, 204, 403, 429, 500)
                assert isinstance(entry["httpRequest"]["requestSize"], str)  # int64
            elif name == "stdout" and "jsonPayload" in entry:
                assert isinstance(entry["jsonPayload"]["fortnight"], float)  # gRPC's Struct knows no integer


def test_late_entries_are_hidden_until_they_are_received(small_world, served, day):
    endpoint = small_world.endpoints["summariser-run"]
    window = small_world.calendar.window(day)
    now = window.end + timedelta(minutes=1)
    expected = sum(window.start <= e_at < window.end and e.readable_us <= to_us(now) for e, e_at in with_times(endpoint.events))
    with served() as (clients, _):
        small_world.set_now(now)
        seen = sum(map(len, pages(clients.logging, day_filter(window))))
        small_world.set_now(now + timedelta(days=3))
        later = sum(map(len, pages(clients.logging, day_filter(window))))
    assert seen == expected < later


def with_times(events):
    from sandbox.instants import to_datetime

    return [(e, to_datetime(e.at_us)) for e in events]


def test_order_and_default_page_size(small_world, served, day):
    window = small_world.calendar.window(day)
    with served() as (clients, _):
        newest = pages(clients.logging, day_filter(window), order="timestamp desc")
        flat = [e.timestamp for page in newest for e in page]
        assert flat == sorted(flat, reverse=True)
        first = next(iter(clients.logging.list_log_entries(request={"resource_names": [PROJECT], "filter": day_filter(window)}).pages))
        assert len(first.entries) == 50


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"page_size": 1001}, exceptions.InvalidArgument),
        ({"filter": "severity="}, exceptions.InvalidArgument),
        ({"filter": "x" * 20_001}, exceptions.InvalidArgument),
        ({"resource_names": []}, exceptions.InvalidArgument),
        ({"order_by": "severity"}, exceptions.InvalidArgument),
        ({"page_token": "bm9wZQ=="}, exceptions.InvalidArgument),
        ({"resource_names": ["projects/other"]}, exceptions.PermissionDenied),
    ],
)
def test_what_logging_refuses(served, change, error):
    with served() as (clients, _), pytest.raises(error):
        clients.logging.list_log_entries(request={"resource_names": [PROJECT], **change}, retry=None)


@pytest.mark.parametrize(
    ("faults", "error"),
    [
        (Faults(throttle=1, in_a_row=99), exceptions.ResourceExhausted),
        (Faults(error=1, in_a_row=99), exceptions.ServiceUnavailable),
        (Faults(drop=1, in_a_row=99), exceptions.ServiceUnavailable),
        (Faults(denied=True), exceptions.PermissionDenied),
        (Faults(expired=True), exceptions.Unauthenticated),
    ],
)
def test_faults_have_their_status(served, faults, error):
    with served(faults) as (clients, _):
        with pytest.raises(error):
            clients.logging.list_log_entries(request={"resource_names": [PROJECT]}, retry=None)
        with pytest.raises(error):
            clients.monitoring.list_time_series(request=series_request("request_count", None), retry=None)


def series_request(metric, window, *, period=None, aligner="ALIGN_DELTA", reducer="REDUCE_SUM", group=()):
    from datetime import UTC, datetime

    start, end = (window.start, window.end) if window else (datetime(2026, 11, 2, tzinfo=UTC), datetime(2026, 11, 3, tzinfo=UTC))
    aggregation = None
    if period:
        aggregation = Aggregation(
            alignment_period=period,
            per_series_aligner=Aggregation.Aligner[aligner],
            cross_series_reducer=Aggregation.Reducer[reducer],
            group_by_fields=list(group),
        )
    return ListTimeSeriesRequest(
        name=PROJECT,
        filter=f'metric.type="run.googleapis.com/{metric}" AND resource.labels.service_name="summariser"',
        interval=TimeInterval(start_time=start, end_time=end),
        aggregation=aggregation,
        view=ListTimeSeriesRequest.TimeSeriesView.FULL,
    )


def test_request_count_is_what_reached_a_container(small_world, served, day, truth):
    window = small_world.calendar.window(day)
    with served() as (clients, _):
        by_hour = list(
            clients.monitoring.list_time_series(
                request=series_request("request_count", window, period=timedelta(hours=1), group=["metric.labels.response_code_class"])
            )
        )
        raw = list(clients.monitoring.list_time_series(request=series_request("request_count", window)))
    (series,) = by_hour
    assert series.metric.labels["response_code_class"] == "2xx"
    assert sum(p.value.int64_value for p in series.points) == truth.provider_requests
    ends = [p.interval.end_time for p in series.points]
    assert ends == sorted(ends, reverse=True) and all((window.end - e) % timedelta(hours=1) == timedelta(0) for e in ends)
    assert sum(p.value.int64_value for p in raw[0].points) == truth.provider_requests


def test_billable_time_and_start_ups(small_world, served, day):
    window = small_world.calendar.window(day)
    endpoint = small_world.endpoints["summariser-run"]
    begin, end = to_us(window.start), to_us(window.end)
    lived = sum(max(0, min(w.stopped_us, end) - max(w.started_us, begin)) for w in endpoint.history.workers) / 1e6
    with served() as (clients, _):

        def one(metric, **more):
            (series,) = clients.monitoring.list_time_series(request=series_request(metric, window, period=timedelta(days=1), **more))
            return series.points[0].value

        assert one("container/billable_instance_time").double_value == pytest.approx(lived, abs=0.01)
        starts = one("container/startup_latencies").distribution_value
        assert starts.count == sum(begin <= w.ready_us < end for w in endpoint.history.workers)
        assert sum(starts.bucket_counts) == starts.count and 15_000 < starts.mean < 35_000
        assert one("container/instance_count", aligner="ALIGN_MAX").int64_value >= 1


def test_the_last_two_minutes_are_not_there_yet(small_world, served, day):
    window = small_world.calendar.window(day)
    with served() as (clients, _):
        small_world.set_now(window.start + timedelta(hours=12))
        (series,) = clients.monitoring.list_time_series(request=series_request("request_count", window))
        assert max(p.interval.end_time for p in series.points) <= window.start + timedelta(hours=12) - timedelta(minutes=2)


def test_monitoring_refuses_what_it_cannot_read(served):
    with served() as (clients, _):
        for change in ({"filter": "metric.type="}, {"filter": 'resource.type="x"'}):
            with pytest.raises(exceptions.InvalidArgument):
                clients.monitoring.list_time_series(
                    request=ListTimeSeriesRequest(series_request("request_count", None), **change), retry=None
                )
        with pytest.raises(exceptions.PermissionDenied):
            clients.monitoring.list_time_series(
                request=ListTimeSeriesRequest(series_request("request_count", None), name="projects/other"), retry=None
            )
