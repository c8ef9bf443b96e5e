from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors import replicate
from collectors.replicate.events import to_event
from trial.calendar import Calendar, Window
from trial.config import ReplicateEndpoint
from trial.errors import Denied, Malformed, Throttled, Unreachable
from trial.meter import Meter
from trial.records import Ignored, Rejected

CALENDAR = Calendar(start=date(2026, 11, 2), days=14, zone=ZoneInfo("UTC"))
ENDPOINT = ReplicateEndpoint(name="summ", platform="replicate")
DAY = datetime(2026, 11, 2, tzinfo=UTC)
WINDOW = Window(start=DAY, end=DAY + timedelta(days=1))


@pytest.mark.samples("replicate")
def test_samples(sample, check_sample):
    check_sample(sample, collector=replicate, endpoint=ReplicateEndpoint(**sample.endpoint), calendar=CALENDAR)


def prediction(number: int, at: datetime, **parts: Any) -> dict[str, Any]:
    stamp = at.isoformat().replace("+00:00", "Z")
    return {
        "id": f"p{number}",
        "status": "succeeded",
        "created_at": stamp,
        "input": {"prompt": "secret"},
        "metrics": {"predict_time": 0.1},
        **parts,
    }


class Account:
    """Predictions served as Replicate does: newest first, cursor pages; `before` answers come first."""

    def __init__(self, predictions: list[dict[str, Any]], size: int = 10) -> None:
        self.predictions, self.size = sorted(predictions, key=lambda p: p["created_at"], reverse=True), size
        self.before: list[tuple[int, dict[str, str], bytes]] = []
        self.calls: list[str] = []
        account = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                account.calls.append(self.path)
                status, headers, body = account.before.pop(0) if account.before else account.page(self.path)
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02})
        self.thread.start()

    def page(self, path: str) -> tuple[int, dict[str, str], bytes]:
        start = int(path.partition("cursor=")[2] or 0)
        more = start + self.size < len(self.predictions)
        following = f"{self.url}/v1/predictions?cursor={start + self.size}" if more else None
        body = {"next": following, "previous": None, "results": self.predictions[start : start + self.size]}
        return 200, {"ratelimit-remaining": "59999", "ratelimit-reset": "1"}, json.dumps(body).encode()

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def account() -> Iterator[Account]:
    """One prediction an hour over five days around the window."""
    found = Account([prediction(n, DAY + timedelta(hours=n)) for n in range(-48, 72)])
    yield found
    found.close()


def pull(account: Account, window: Window = WINDOW, slept: list[float] | None = None) -> tuple[list[Any], Meter]:
    meter = Meter()
    with httpx.Client(base_url=account.url, headers={"Authorization": "Bearer secret"}) as http:
        clients = replicate.Clients(http=http, sleep=(slept if slept is not None else []).append)
        return list(replicate.fetch(clients, ENDPOINT, window, meter=meter)), meter


def test_the_windows_predictions_and_not_a_page_more_than_needed(account):
    events, meter = pull(account)
    assert sorted(e.at for e in events) == [DAY + timedelta(hours=h) for h in range(24)]
    # 48 newer and 24 of the window lie on eight pages, and the ninth lies wholly before it; there are twelve.
    assert meter.calls == len(account.calls) == 9 and meter.events == 24
    assert "secret" not in str(events)


def test_a_prediction_seen_running_and_later_done_is_counted_once_as_a_request(account):
    account.predictions = [prediction(1, DAY, status="processing")]
    first, _ = pull(account)
    account.predictions = [prediction(1, DAY)]
    second, _ = pull(account)
    outcomes = [replicate.parse(e, ENDPOINT) for e in first + second]
    assert outcomes[0] == Ignored(reason="not_finished") and outcomes[1].kind == "prediction"
    assert first[0].identity != second[0].identity


def test_throttled_then_answered(account):
    account.before = [(429, {"Retry-After": "2"}, b'{"detail":"Request was throttled. Expected available in 2 seconds."}')]
    slept: list[float] = []
    events, meter = pull(account, slept=slept)
    assert len(events) == 24 and slept == [2.0] and meter.throttles == 1


@pytest.mark.parametrize(
    ("answer", "error", "says"),
    [
        ((401, {}, b'{"title":"Unauthenticated","detail":"You did not pass a valid token"}'), Denied, "REPLICATE_API_TOKEN"),
        ((500, {}, b""), Unreachable, "500"),
        ((429, {"Retry-After": "999"}, b"{}"), Throttled, "999 s"),
        ((200, {}, b'{"results": null}'), Malformed, "list of results"),
        ((200, {}, b'{"results": [{"id": "a"}]}'), Malformed, "placed in time"),
        ((200, {}, b'{"results": [], "next": "https://elsewhere.example/v1/predictions"}'), Malformed, "elsewhere.example"),
        ((200, {}, b'{"results": [], "next": "\\u0000"}'), Malformed, "the next page is said to be at"),
    ],
)
def test_errors(account, answer, error, says):
    account.before = [answer]
    with pytest.raises(error) as caught:
        pull(account)
    assert says in str(caught.value) and "summ" in str(caught.value) and "\n" not in str(caught.value)


def test_pages_that_lead_in_a_circle(account):
    body = json.dumps({"results": [prediction(1, DAY + timedelta(days=2))], "next": f"{account.url}/v1/predictions"}).encode()
    account.before = [(200, {}, body)] * 3
    with pytest.raises(Malformed, match="already read"):
        pull(account)


def test_there_is_no_bill():
    assert list(replicate.fetch_usage(None, ENDPOINT, WINDOW, meter=Meter())) == []


VALUES = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=6), st.just({}), st.just([]))
TIMES = st.one_of(st.datetimes(min_value=datetime(1, 1, 1), timezones=st.just(UTC)).map(lambda t: t.isoformat()), VALUES)


@given(
    st.lists(
        st.fixed_dictionaries(
            {"id": st.text(min_size=1, max_size=3), "created_at": st.datetimes(timezones=st.just(UTC)).map(lambda t: t.isoformat())},
            optional={
                "status": st.sampled_from(["succeeded", "failed", "canceled", "starting", None, 3]),
                "started_at": TIMES,
                "completed_at": TIMES,
                "metrics": st.one_of(VALUES, st.dictionaries(st.sampled_from(["predict_time", "total_time"]), VALUES)),
                "model": VALUES,
            },
        ),
        max_size=8,
    )
)
def test_any_prediction_has_one_outcome_and_no_impossible_number(predictions):
    facts = []
    for item in predictions:
        try:
            event = to_event(item)
        except ValueError:
            continue
        outcome = replicate.parse(event, ENDPOINT)
        if not isinstance(outcome, (Ignored, Rejected)):
            facts.append(outcome)
    rows = list(replicate.assemble(sorted(facts, key=lambda f: (f.at, f.id)), ENDPOINT, CALENDAR))
    assert len(rows) == len(facts)
    for row in rows:
        assert all(v is None or 0 <= v < 1e10 for v in (row.queue_ms, row.gpu_ms, row.latency_ms))
