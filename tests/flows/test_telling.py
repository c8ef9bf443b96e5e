"""Telling people: through a real Prefect server and Apprise to a real HTTP server, once per event."""

import importlib.util
import json
import threading
import time
from datetime import UTC, date, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from flows import telling
from trial import config
from trial.store import Store

NOW = datetime(2026, 11, 6, 4, tzinfo=UTC)
DARK = '\n[[endpoints]]\nname = "dark"\nplatform = "runpod"\nendpoint_id = "y"\napi_key_env = "FORTNIGHT_NO_SUCH_KEY"\n'

_spec = importlib.util.spec_from_file_location("flows_conftest", Path(__file__).with_name("conftest.py"))
shared = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(shared)

pytestmark = [
    pytest.mark.usefixtures("prefect_api"),
    pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning"),  # inside apprise, on Python 3.11
]


class Listener:
    """An HTTP server that a team's channel stands for; `status` is what it answers."""

    def __init__(self):
        self.heard, self.status = [], 200
        listener = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if listener.status == 200:
                    listener.heard.append(json.loads(body))
                self.send_response(listener.status)
                self.end_headers()

            def log_message(self, *args):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def url(self):
        return f"json://127.0.0.1:{self._server.server_address[1]}/hook"

    @property
    def titles(self):
        return [message["title"] for message in self.heard]

    def close(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def listener(monkeypatch):
    listening = Listener()
    monkeypatch.setenv(telling.NOTIFY, listening.url)
    yield listening
    listening.close()


def collect(folder, **kwargs):
    from flows.daily import collect_missing

    return collect_missing(str(folder / "trial.toml"), **{"now": NOW, "publish": False, **kwargs})


def tell(folder, failures, *, missed=()):
    """As the daily flow does, without a collection."""
    from prefect import flow

    trial, store = opened(folder)
    return flow(lambda: telling.tell(trial, store, failures=failures, now=NOW, missed=missed), name="tell")()


def opened(folder):
    trial = config.load(folder / "trial.toml")
    return trial, Store.at(trial.store_url)


def asked(path, body):
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        return client._client.post(path, json=body).json()


def events(name, *, trial, least=1):
    """Prefect keeps events a moment after they were sent."""
    wanted = {"filter": {"event": {"name": [name]}, "resource": {"id_prefix": [f"fortnight.{trial}."]}}}
    until = time.monotonic() + 30
    while len(found := asked("/events/filter", wanted)["events"]) < least and time.monotonic() < until:
        time.sleep(0.2)
    return found


def renamed(folder, name):
    """The server is shared between tests: each has a trial of its own name."""
    path = folder / "trial.toml"
    path.write_text(path.read_text().replace('name = "try"', f'name = "{name}"'))


def test_crossing_the_threshold_is_an_event_an_artifact_and_a_notification_once(trial_folder, listener):
    renamed(trial_folder, "crossing")
    shared.write_lines(trial_folder / "lines" / "a.jsonl", shared.handler_lines(days=3, gap_s=900))
    for _ in range(3):
        assert collect(trial_folder) == []
    assert listener.titles == ["rp: the cold-hit rate passed 20% on 2026-11-02"]
    assert "Decision: not-decided" in listener.heard[0]["message"]
    (event,) = events("fortnight.threshold-passed", trial="crossing")
    assert event["payload"]["title"] == listener.titles[0]
    assert event["resource"]["prefect.resource.id"] == "fortnight.crossing.rp"
    (artifact,) = asked("/artifacts/filter", {"artifacts": {"key": {"any_": ["crossing-rp-fortnight-threshold-passed"]}}})
    assert artifact["description"] == listener.titles[0]


def test_late_events_that_move_the_day_tell_nobody_again(trial_folder, listener):
    renamed(trial_folder, "moved")
    shared.write_lines(trial_folder / "lines" / "a.jsonl", shared.handler_lines(days=3, gap_s=900))
    collect(trial_folder)
    told = trial_folder / "fortnight-data" / "told.json"
    told.write_text(told.read_text().replace("2026-11-02", "2026-11-03"))
    collect(trial_folder)
    assert len(listener.heard) == 1 and json.loads(told.read_text()) == ["rp/passed/2026-11-03"]


def test_a_decision_is_told_once(trial_folder, listener):
    path = trial_folder / "trial.toml"
    path.write_text(shared.TOML.format(days=7))
    renamed(trial_folder, "deciding")
    shared.write_lines(trial_folder / "lines" / "a.jsonl", shared.handler_lines(days=7, gap_s=900))
    later = NOW + timedelta(days=5)
    for _ in range(2):
        assert collect(trial_folder, now=later) == []
    assert listener.titles == ["deciding: 2 pieces of news"], "what one run has to say is one message"
    assert "rp: the cold-hit rate passed 20%" in listener.heard[0]["message"]
    assert "rp: evaluate-dedicated (provisional)\n- Traffic like this" in listener.heard[0]["message"]
    (event,) = events("fortnight.decided", trial="deciding")
    assert event["payload"]["title"] == "rp: evaluate-dedicated (provisional)"


def test_a_failed_collection_is_told_once_a_day_and_cause(trial_folder, listener):
    renamed(trial_folder, "failing")
    path = trial_folder / "trial.toml"
    path.write_text(path.read_text() + DARK)
    for hours in (0, 1, 2, 24, 25):
        (failure,) = collect(trial_folder, now=NOW + timedelta(hours=hours))
    failed = [m for m in listener.heard if failure in m["message"]]
    assert len(failed) == 2, "a day each"
    assert len(events("fortnight.collection-failed", trial="failing", least=2)) == 2


def test_a_thousand_failures_that_differ_in_a_request_id_are_one_piece_of_news(trial_folder, listener):
    renamed(trial_folder, "storm")
    collect(trial_folder)
    storm = [f"rp: throttled (request id 8f5a3b0e-1c1c-4f0e-9a43-{n:012x}), try again in {n} s" for n in range(1000)]
    assert len(tell(trial_folder, storm)) == 1
    assert tell(trial_folder, storm[::-1]) == []
    assert len(tell(trial_folder, ["gpu-1: no permission", "gpu-2: no permission", "rp: no permission"])) == 3
    assert listener.titles[1:] == ["storm: collection failed", "storm: 3 pieces of news"]


def test_days_that_no_run_collected_are_one_piece_of_news(trial_folder, listener):
    renamed(trial_folder, "missing")
    collect(trial_folder, now=datetime(2026, 11, 3, 4, tzinfo=UTC))
    trial, store = opened(trial_folder)
    assert telling.missed_days(trial, store, now=datetime(2026, 11, 4, 4, tzinfo=UTC)) == []
    late = datetime(2026, 11, 6, 4, tzinfo=UTC)
    assert telling.missed_days(trial, store, now=late) == [("rp", date(2026, 11, 3)), ("rp", date(2026, 11, 4))]
    for _ in range(3):
        collect(trial_folder, now=late)
    (message,) = [m for m in listener.heard if "rp: no collection in time of 2026-11-03, 2026-11-04" in m["title"] + m["message"]]
    assert "Collected now" in message["message"]
    assert len(events("fortnight.collection-missed", trial="missing")) == 1


def test_days_that_stay_missing_are_named_and_told_once(trial_folder, listener):
    renamed(trial_folder, "gone")
    collect(trial_folder, now=datetime(2026, 11, 3, 4, tzinfo=UTC))
    missed = [("rp", date(2026, 11, 3))]
    (news,) = tell(trial_folder, [], missed=missed)
    assert "Still missing: 2026-11-03" in news.body
    assert tell(trial_folder, [], missed=missed) == []


def test_before_the_first_collection_nothing_was_missed(trial_folder):
    trial, store = opened(trial_folder)
    assert telling.missed_days(trial, store, now=NOW + timedelta(days=9)) == []
    collect(trial_folder, now=NOW)
    assert telling.missed_days(trial, store, now=NOW) == []


def test_a_channel_that_is_down_hears_of_it_when_it_is_back_and_the_event_stays_one(trial_folder, listener, caplog):
    renamed(trial_folder, "down")
    shared.write_lines(trial_folder / "lines" / "a.jsonl", shared.handler_lines(days=3, gap_s=900))
    listener.status = 503
    collect(trial_folder)
    assert listener.heard == [] and "URL 1 of 1 in FORTNIGHT_NOTIFY_URLS did not take it" in caplog.text
    assert listener.url not in caplog.text, "it may hold a token"
    listener.status = 200
    for _ in range(2):
        collect(trial_folder)
    assert listener.titles == ["rp: the cold-hit rate passed 20% on 2026-11-02"]
    assert len(events("fortnight.threshold-passed", trial="down")) == 1
    assert json.loads((trial_folder / "fortnight-data" / "told.json").read_text()) == ["rp/passed/2026-11-02"]


def test_one_bad_url_keeps_no_other_from_being_told_nor_tells_it_twice(trial_folder, listener, monkeypatch, caplog):
    renamed(trial_folder, "two")
    shared.write_lines(trial_folder / "lines" / "a.jsonl", shared.handler_lines(days=3, gap_s=900))
    monkeypatch.setenv(telling.NOTIFY, f"nosuch://token@host {listener.url}")
    for _ in range(2):
        collect(trial_folder)
    assert len(listener.titles) == 1
    assert "URL 1 of 2 in FORTNIGHT_NOTIFY_URLS is none that Apprise knows" in caplog.text and "token" not in caplog.text
