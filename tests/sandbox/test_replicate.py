"""Replicate's predictions through httpx."""

from __future__ import annotations

import contextlib
from datetime import timedelta

import httpx
import pytest

from sandbox.faults import Faults
from sandbox.instants import HOUR, SECOND, to_datetime
from sandbox.replicate import API_TOKEN


@pytest.fixture
def world(one_platform):
    return one_platform("replicate", cases=["failed", "canceled", "aborted"])


@pytest.fixture
def served(world, tmp_path, runpod_http):
    @contextlib.contextmanager
    def make(*, token=API_TOKEN, faults=None):
        world.set_now(world.calendar.window(world.calendar.all_days()[-1]).end + timedelta(hours=3))
        with world.serve(tmp_path, faults=faults or Faults()) as addresses:
            yield runpod_http(addresses.replicate, token)

    return make


def test_every_page_newest_first_and_each_prediction_once(world, served):
    (endpoint,) = world.endpoints.values()
    found, url, sizes = [], "/v1/predictions", []
    with served() as http:
        while url:
            page = http.get(url).raise_for_status().json()
            found += page["results"]
            sizes.append(len(page["results"]))
            url = page["next"]
    assert [p["id"] for p in found] == [e.payload["id"] for e in reversed(endpoint.events)]
    assert set(sizes[:-1]) == {100}
    assert {p["status"] for p in found} == {"succeeded", "failed", "canceled"}


def test_a_cursor_is_a_place_that_newer_predictions_do_not_move(world, served):
    (endpoint,) = world.endpoints.values()
    with served() as http:
        world.set_now(to_datetime(endpoint.events[250].at_us + SECOND))
        first = http.get("/v1/predictions").json()
        world.set_now(to_datetime(endpoint.events[300].at_us + SECOND))
        second = http.get(first["next"]).json()
    assert {p["id"] for p in first["results"]}.isdisjoint(p["id"] for p in second["results"])
    assert first["results"][-1]["id"] == endpoint.events[151].payload["id"]
    assert second["results"][0]["id"] == endpoint.events[150].payload["id"]


def test_a_prediction_grows_and_loses_its_data_after_an_hour(world, served):
    (endpoint,) = world.endpoints.values()
    request = next(r for r in endpoint.history.requests if r.cold and r.fate == "ok" and not r.arrival.cases)
    url = f"/v1/predictions/{request.request_id}"
    with served() as http:
        for at, status in (
            (request.arrival.at_us + SECOND, "starting"),
            (request.taken_us + 100_000, "processing"),
            (request.ended_us + SECOND, "succeeded"),
        ):
            world.set_now(to_datetime(at))
            assert http.get(url).json()["status"] == status
        done = http.get(url).json()
        assert done["output"] and done["metrics"]["predict_time"] == request.handler_us / 1e6
        world.set_now(to_datetime(request.ended_us + HOUR + SECOND))
        later = http.get(url).json()
        assert later["data_removed"] and later["output"] is None and later["metrics"] == done["metrics"]
        world.set_now(to_datetime(request.arrival.at_us - SECOND))
        assert http.get(url).status_code == 404


@pytest.mark.parametrize(
    ("token", "faults", "status"),
    [
        (None, Faults(), 401),
        ("wrong", Faults(), 401),
        (API_TOKEN, Faults(expired=True), 401),
        (API_TOKEN, Faults(denied=True), 403),
        (API_TOKEN, Faults(throttle=1, in_a_row=9), 429),
        (API_TOKEN, Faults(error=1, in_a_row=9), 502),
    ],
)
def test_refusals(served, token, faults, status):
    with served(token=token, faults=faults) as http:
        answer = http.get("/v1/predictions")
    assert answer.status_code == status and answer.json()["detail"]


def test_a_bad_cursor_and_a_dropped_connection(served):
    with served() as http:
        assert http.get("/v1/predictions?cursor=nope").status_code == 400
        assert http.post("/v1/predictions").status_code == 405
    with served(faults=Faults(drop=1.0, in_a_row=9)) as http, pytest.raises(httpx.RemoteProtocolError):
        http.get("/v1/predictions")
