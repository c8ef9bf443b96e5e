"""A gRPC server that speaks Cloud Logging's and Cloud Monitoring's list calls, paging and failing as it is told."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from google.cloud.logging_v2.types import ListLogEntriesRequest, ListLogEntriesResponse, LogEntry
from google.cloud.monitoring_v3.types import ListTimeSeriesRequest, ListTimeSeriesResponse, TimeSeries
from google.protobuf.json_format import ParseDict

from collectors.google_api import Clients, Pace, connect

LOGGING = "google.logging.v2.LoggingServiceV2"
MONITORING = "google.monitoring.v3.MetricService"


class Google:
    """
    Args:
        entries: what the logs hold, as `gcloud logging read --format=json` prints it.
        series: what Monitoring holds, as JSON time series.
        failures: gRPC statuses to answer the next calls with; None lets a call through.
        empty_pages: how many empty pages with a token come before the first full one.
        page_size: the most a page holds, whatever is asked for.
    """

    def __init__(self) -> None:
        self.entries: list[dict[str, Any]] = []
        self.series: list[dict[str, Any]] = []
        self.failures: deque[grpc.StatusCode | None] = deque()
        self.empty_pages = 0
        self.page_size = 1000
        self.asked: list[Any] = []
        self.address = ""

    def list_entries(self, request: ListLogEntriesRequest, context: grpc.ServicerContext) -> ListLogEntriesResponse:
        self._answer_or_abort(request, context)
        blanks, _, start = request.page_token.partition("/")
        blanks = int(blanks or self.empty_pages)
        if blanks:
            return ListLogEntriesResponse(next_page_token=f"{blanks - 1}/0")
        first, last = re.search(r'timestamp>="([^"]+)" AND timestamp<"([^"]+)"', request.filter).groups()
        logs = re.findall(r'projects/[^"]+', request.filter)
        found = sorted(
            (e for e in self.entries if first <= e["timestamp"] < last and e["logName"] in logs),
            key=lambda e: (e["timestamp"], e["insertId"]),
        )
        begin, size = int(start or 0), min(request.page_size, self.page_size)
        page = found[begin : begin + size]
        token = f"0/{begin + size}" if begin + size < len(found) else ""
        return ListLogEntriesResponse(
            entries=[LogEntry(ParseDict(e, LogEntry.pb(LogEntry()))) for e in page],
            next_page_token=token,
        )

    def list_series(self, request: ListTimeSeriesRequest, context: grpc.ServicerContext) -> ListTimeSeriesResponse:
        self._answer_or_abort(request, context)
        metric = re.search(r'metric\.type="([^"]+)"', request.filter)[1]
        matching = [s for s in self.series if s["metric"]["type"] == metric]
        begin = int(request.page_token or 0)
        page = matching[begin : begin + self.page_size]
        return ListTimeSeriesResponse(
            time_series=[TimeSeries(ParseDict(s, TimeSeries.pb(TimeSeries()))) for s in page],
            next_page_token=str(begin + self.page_size) if begin + self.page_size < len(matching) else "",
        )

    def _answer_or_abort(self, request: Any, context: grpc.ServicerContext) -> None:
        self.asked.append(request)
        failure = self.failures.popleft() if self.failures else None
        if failure is not None:
            context.abort(failure, f"told to say {failure.name}")


@pytest.fixture
def google() -> Iterator[Google]:
    google = Google()
    executor = ThreadPoolExecutor(max_workers=2)
    server = grpc.server(executor)
    for service, method, answer, asked, answered in (
        (LOGGING, "ListLogEntries", google.list_entries, ListLogEntriesRequest, ListLogEntriesResponse),
        (MONITORING, "ListTimeSeries", google.list_series, ListTimeSeriesRequest, ListTimeSeriesResponse),
    ):
        handler = grpc.unary_unary_rpc_method_handler(
            answer, request_deserializer=asked.deserialize, response_serializer=answered.serialize
        )
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {method: handler}),))
    google.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    yield google
    server.stop(None).wait()
    executor.shutdown()


@pytest.fixture
def clients_to() -> Iterator[Callable[..., Clients]]:
    """Real GAPIC clients to an address, with a pace that a test can wait for."""
    made: list[Clients] = []

    def build(address: str, **pace: Any) -> Clients:
        quick = {"calls": 1000, "attempts": 4, "base_s": 0.001, "cap_s": 0.002, "timeout_s": 5.0, **pace}
        plain = connect(f"http://{address}")
        made.append(plain)
        return Clients(logging=plain.logging, monitoring=plain.monitoring, logging_pace=Pace(**quick), monitoring_pace=Pace(**quick))

    yield build
    for clients in made:
        clients.logging.transport.close()
