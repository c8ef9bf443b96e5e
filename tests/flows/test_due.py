from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from flows.due import due_days, runs
from trial.calendar import Calendar

LONDON = Calendar(start=date(2026, 10, 24), days=4, zone=ZoneInfo("Europe/London"))
OPTIONS = {"watermark": timedelta(minutes=15), "lookback": timedelta(hours=48)}


def test_a_day_is_due_once_it_ended_and_its_last_lines_had_time_to_arrive():
    midnight = datetime(2026, 10, 25, 23, 0, tzinfo=UTC)  # the clocks went back that morning: midnight in London is 00:00 UTC
    assert due_days(LONDON, [], midnight, **OPTIONS) == [date(2026, 10, 24)]
    assert due_days(LONDON, [], midnight + timedelta(hours=1, minutes=14), **OPTIONS) == [date(2026, 10, 24)]
    assert due_days(LONDON, [], midnight + timedelta(hours=1, minutes=15), **OPTIONS) == [date(2026, 10, 24), date(2026, 10, 25)]


def test_collected_days_are_read_again_while_they_are_young():
    now = datetime(2026, 10, 27, 4, tzinfo=UTC)
    collected = [date(2026, 10, 24), date(2026, 10, 25), date(2026, 10, 26)]
    assert due_days(LONDON, collected, now, **OPTIONS) == [date(2026, 10, 25), date(2026, 10, 26)]


def test_days_missed_long_ago_are_made_up():
    assert due_days(LONDON, [date(2026, 10, 25)], datetime(2026, 12, 1, tzinfo=UTC), **OPTIONS) == [
        date(2026, 10, 24),
        date(2026, 10, 26),
        date(2026, 10, 27),
    ]


def test_a_look_back_that_did_not_happen_is_made_up():
    days = [date(2026, 10, 24), date(2026, 10, 25), date(2026, 10, 26), date(2026, 10, 27)]
    ends = {day: LONDON.window(day).end for day in days}
    pulled = {days[0]: ends[days[0]] + timedelta(hours=28), days[1]: ends[days[1]] + timedelta(hours=4)}
    later = datetime(2026, 11, 9, tzinfo=UTC)
    assert due_days(LONDON, days, later, **OPTIONS, pulled=pulled) == [days[1]]
    assert due_days(LONDON, days, later, **OPTIONS, pulled={**pulled, days[1]: later}) == []
    assert due_days(LONDON, days, later, watermark=timedelta(0), lookback=timedelta(0), pulled=pulled) == []


def test_unbroken_runs():
    first, last = date(2026, 10, 24), date(2026, 10, 27)
    assert runs([]) == []
    assert runs([first]) == [(first, first)]
    assert runs([first, date(2026, 10, 25), last]) == [(first, date(2026, 10, 25)), (last, last)]
