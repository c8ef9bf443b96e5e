from __future__ import annotations

import threading

import httpx
import pytest

from sandbox.faults import Dice, Faults
from sandbox.http_server import Response, serve_http


def test_it_serves_streams_and_is_gone_afterwards():
    def answer(request):
        if request.path == "/stream":
            return Response(body=(b"%d\n" % i for i in range(3)))
        return Response(body=f"{request.method} {request.query} {request.body.decode()}".encode(), headers={"X-Y": "z"})

    before = set(threading.enumerate())
    with serve_http(answer) as url, httpx.Client(base_url=url) as http:
        answer = http.post("/a?x=1&x=2&y=", content="body")
        assert answer.text == "POST {'x': ['1', '2'], 'y': ['']} body" and answer.headers["x-y"] == "z"
        assert http.get("/stream").text == "0\n1\n2\n"
    with pytest.raises(httpx.ConnectError):
        httpx.get(url)
    assert set(threading.enumerate()) - before == set()


def test_a_client_that_keeps_its_connection_does_not_hold_the_server_up():
    with httpx.Client() as http:
        with serve_http(lambda request: Response(body=b"ok")) as url:
            assert http.get(url).text == "ok"
        with pytest.raises(httpx.HTTPError):
            http.get(url)


def test_dice_are_seeded_and_never_throw_too_many_in_a_row():
    faults = Faults(throttle=0.3, error=0.3, cut=0.2, drop=0.1, in_a_row=2)
    rolls = [Dice(faults, "a").next_fault() for _ in range(1)]
    first, second = Dice(faults, "a"), Dice(faults, "a")
    rolls = [first.next_fault() for _ in range(500)]
    assert rolls == [second.next_fault() for _ in range(500)]
    assert set(rolls) == {None, "throttle", "error", "cut", "drop"}
    run = longest = 0
    for roll in rolls:
        run = run + 1 if roll else 0
        longest = max(longest, run)
    assert longest == 2
    assert {Dice(Faults(), "a").next_fault() for _ in range(20)} == {None}
