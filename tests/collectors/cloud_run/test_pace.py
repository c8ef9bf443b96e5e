"""The limiter, on a clock of its own."""

from __future__ import annotations

import threading

import pytest
from google.api_core import exceptions as google

from collectors.google_api import Pace
from trial.meter import Meter


class Clock:
    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def test_sixty_calls_go_at_once_and_the_next_waits_out_the_minute():
    clock = Clock()
    pace = Pace(clock=clock, sleep=clock.sleep)
    sent = [pace.call(lambda: clock.now, meter=Meter()) for _ in range(130)]
    assert sent == [0.0] * 60 + [60.0] * 60 + [120.0] * 10


def test_no_minute_holds_more_than_its_calls():
    clock = Clock()
    pace = Pace(calls=5, per_s=10.0, clock=clock, sleep=clock.sleep)
    sent = []
    for step in (0, 3, 3, 0.5, 9, 0, 0, 1, 0, 0, 4, 0, 0, 0, 0, 0):
        clock.now += step
        sent.append(pace.call(lambda: clock.now, meter=Meter()))
    assert all(sum(begin <= at < begin + 10 for at in sent) <= 5 for begin in sent)


def test_threads_share_the_turns():
    clock = Clock()
    waits: list[float] = []
    pace = Pace(calls=3, per_s=10.0, clock=clock, sleep=waits.append)
    threads = [threading.Thread(target=pace.call, args=(lambda: None,), kwargs={"meter": Meter()}) for _ in range(9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(5)
    assert sorted(waits) == [10.0] * 3 + [20.0] * 3


def test_backoff_outlasts_the_quota_minute_and_gives_up():
    clock = Clock()
    pace = Pace(clock=clock, sleep=clock.sleep)
    meter = Meter()

    def refuse():
        raise google.ResourceExhausted("quota")

    with pytest.raises(google.ResourceExhausted):
        pace.call(refuse, meter=meter)
    assert (meter.calls, meter.throttles) == (8, 8)
    assert 47 <= sum(clock.slept) <= 95
    assert all(0.5 * 2**n <= slept <= 2**n for n, slept in enumerate(clock.slept[:5]))


def test_what_is_not_transient_is_not_tried_again():
    pace = Pace(sleep=lambda seconds: None)
    meter = Meter()

    def deny():
        raise google.PermissionDenied("no")

    with pytest.raises(google.PermissionDenied):
        pace.call(deny, meter=meter)
    assert meter.calls == 1
