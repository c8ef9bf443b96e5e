from __future__ import annotations

from collections import Counter
from datetime import date
from zoneinfo import ZoneInfo

import numpy as np

from sandbox.instants import HOUR, to_datetime, to_us
from sandbox.seeds import generator
from sandbox.traffic import QUIET_AFTER_MIDNIGHT, QUIET_BEFORE_MIDNIGHT, arrivals, burst_start
from trial.calendar import Calendar


def calendar(start=date(2026, 11, 2), days=14, zone="Europe/London"):
    return Calendar(start=start, days=days, zone=ZoneInfo(zone))


def by_day(times, cal):
    return Counter(cal.day_of(to_datetime(t)) for t in times)


def test_traffic_has_nights_weekends_and_one_burst(plans):
    cal = calendar()
    times = arrivals(plans["aws-lambda"], calendar=cal, rng=generator(7, "t"))
    assert times == sorted(set(times))
    counts = by_day(times, cal)
    weekdays = [n for day, n in counts.items() if day.weekday() < 5]
    weekend = [n for day, n in counts.items() if day.weekday() >= 5]
    assert 0.3 < np.mean(weekend) / np.mean(weekdays) < 0.65
    hours = Counter(to_datetime(t).astimezone(cal.zone).hour for t in times)
    assert sum(hours[h] for h in (2, 3, 4)) < 0.3 * sum(hours[h] for h in (10, 11, 12))
    begin = burst_start(cal)
    in_burst = sum(begin <= t < begin + 3 * HOUR for t in times)
    usual = [sum(begin - k * 24 * HOUR <= t < begin - k * 24 * HOUR + 3 * HOUR for t in times) for k in (1, 2, 7)]
    assert in_burst > 1.5 * max(usual)


def test_scale_scales_and_zero_is_empty(plans):
    cal = calendar(days=7)
    full = arrivals(plans["runpod"], calendar=cal, rng=generator(7, "t"))
    tenth = arrivals(plans["runpod"], calendar=cal, rng=generator(7, "t"), scale=0.1)
    assert 0.05 < len(tenth) / len(full) < 0.2
    assert arrivals(plans["runpod"], calendar=cal, rng=generator(7, "t"), scale=0.0) == []


def test_nothing_arrives_where_two_clocks_could_disagree_on_the_day(plans):
    # The days on which London's clocks go back and forward included.
    for start in (date(2026, 10, 24), date(2026, 3, 28)):
        cal = calendar(start=start, days=3)
        for t in arrivals(plans["cloud-run"], calendar=cal, rng=generator(3, "t"), scale=3):
            window = cal.window(cal.day_of(to_datetime(t)))
            assert t - to_us(window.start) >= QUIET_AFTER_MIDNIGHT
            assert to_us(window.end) - t > QUIET_BEFORE_MIDNIGHT
