"""A function's CloudWatch Logs events through FilterLogEvents, or from where they were exported to."""

from __future__ import annotations

import itertools
import queue
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from collectors import dated_objects
from collectors.aws_errors import mapped, whole
from collectors.aws_lambda.streams import log_group
from collectors.aws_lambda.usage import fetch_usage
from collectors.dated_objects import Touching
from collectors.pace import Pace
from trial.calendar import Window
from trial.errors import Malformed
from trial.meter import Meter
from trial.records import RawEvent

__all__ = ["CALLS_PER_SECOND", "SOURCE", "Clients", "fetch", "fetch_usage"]

SOURCE = "cloudwatch-logs"
# FilterLogEvents' default quota per account and region.
CALLS_PER_SECOND = 5.0

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)
_PAGES_AHEAD = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Clients:
    """
    Args:
        logs, metrics: boto3 clients of `logs` and `cloudwatch`; without metrics there are no usage buckets.
        pace: share one between endpoints of the same account and region.
        slices: how many parts of a window to read at once; more than the quota only wait for each other.
        objects: lists what lies under `endpoint.logs`.
    """

    logs: Any
    metrics: Any = None
    pace: Pace = field(default_factory=lambda: Pace(per_second=CALLS_PER_SECOND))
    slices: int = 1
    objects: Touching | None = None


def fetch(clients: Clients, endpoint: Any, window: Window, *, meter: Meter) -> Iterator[RawEvent]:
    """
    Every event of the function's log group in the window, in any order. Without a filter pattern: the ledger counts all lines.

    Raises:
        Denied, NotFound, Throttled, Unreachable, Malformed: mapped from what the client raised, after its own retries.
    """
    group = log_group(endpoint.function, endpoint.log_group)
    if endpoint.logs is not None:
        yield from _exported(clients, endpoint, group, window, meter)
        return
    where = f"log group {group} in {endpoint.region}"
    with mapped(
        where=where,
        grant=f"Grant logs:FilterLogEvents on {group}",
        find="The group appears with the function's first request; check `function`, `region` and `log_group`",
    ):
        spans = [(start, end) for start, end in _spans(window, clients.slices) if start <= end]
        pages = _pages_at_once(clients, group, spans) if len(spans) > 1 else itertools.chain(*(_pages(clients, group, *s) for s in spans))
        for page in pages:
            _count(meter, page)
            for event in page.get("events", ()):
                yield _raw(event, where)


def _exported(clients: Clients, endpoint: Any, group: str, window: Window, meter: Meter) -> Iterator[RawEvent]:
    from collectors.export.lambda_files import events  # here, since that package names this one

    assert clients.objects is not None, "`logs` needs something to list it with"
    sources = clients.objects(endpoint.logs, window)
    yield from dated_objects.events(sources, window, read=partial(events, group=group), source=SOURCE, meter=meter)


def _spans(window: Window, slices: int) -> list[tuple[int, int]]:
    """Adjoining spans of epoch ms with both ends inclusive, as the API takes them, that together are the half-open window."""
    start_ms, end_ms = _ceil_ms(window.start), _ceil_ms(window.end)
    edges = [start_ms + (end_ms - start_ms) * i // slices for i in range(slices + 1)]
    return [(start, end - 1) for start, end in itertools.pairwise(edges)]


def _ceil_ms(at: datetime) -> int:
    return -((_EPOCH - at) // _MS)


def _pages(clients: Clients, group: str, start_ms: int, end_ms: int) -> Iterator[dict[str, Any]]:
    # Pages may be empty and still have a token; only a missing token ends them.
    arguments: dict[str, Any] = {"logGroupName": group, "startTime": start_ms, "endTime": end_ms}
    while True:
        clients.pace.wait()
        page = whole(partial(clients.logs.filter_log_events, **arguments), key="events", where=f"log group {group}")
        yield page
        token = page.get("nextToken")
        if not token:
            return
        arguments["nextToken"] = token


def _pages_at_once(clients: Clients, group: str, spans: list[tuple[int, int]]) -> Iterator[dict[str, Any]]:
    """The spans' pages as they come, with a bounded number waiting so that memory stays flat."""
    waiting: queue.Queue[Any] = queue.Queue(maxsize=_PAGES_AHEAD * len(spans))
    stop = threading.Event()

    def put(item: Any) -> None:
        while not stop.is_set():
            try:
                waiting.put(item, timeout=0.1)
            except queue.Full:
                continue
            return

    def read(span: tuple[int, int]) -> None:
        try:
            for page in _pages(clients, group, *span):
                put(page)
                if stop.is_set():
                    return
            put(None)
        except BaseException as exc:  # noqa: BLE001 (raised again by the thread that waits)
            put(exc)

    with ThreadPoolExecutor(max_workers=len(spans), thread_name_prefix="filter-log-events") as pool:
        try:
            for span in spans:
                pool.submit(read, span)
            running = len(spans)
            while running:
                item = waiting.get()
                if item is None:
                    running -= 1
                elif isinstance(item, BaseException):
                    raise item
                else:
                    yield item
        finally:
            stop.set()


def _count(meter: Meter, page: dict[str, Any]) -> None:
    answer = page.get("ResponseMetadata", {})
    meter.calls += 1 + answer.get("RetryAttempts", 0)
    # The client retries throttles and server errors alike and does not say which; throttles are by far the more common.
    meter.throttles += answer.get("RetryAttempts", 0)
    meter.bytes += int(answer.get("HTTPHeaders", {}).get("content-length", 0))
    meter.events += len(page.get("events", ()))


def _raw(event: dict[str, Any], where: str) -> RawEvent:
    try:
        ingested_ms = event.get("ingestionTime")
        return RawEvent(
            source=SOURCE,
            stream=event["logStreamName"],
            event_id=event["eventId"],
            at=_EPOCH + timedelta(milliseconds=event["timestamp"]),
            payload=event["message"],
            ingested_at=None if ingested_ms is None else _EPOCH + timedelta(milliseconds=ingested_ms),
        )
    except KeyError as exc:
        raise Malformed(f"an event without {exc.args[0]}", where=where, do="Check `api_endpoint`: the service always sends it") from exc
