from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trial.calendar import Calendar, Window

ZONES = ["UTC", "Europe/London", "America/New_York", "Asia/Kolkata", "Pacific/Apia", "America/Havana", "Australia/Lord_Howe"]


def calendar(zone, start=date(2026, 10, 20), days=14):
    return Calendar(start=start, days=days, zone=ZoneInfo(zone))


def test_days_last_as_long_as_the_clocks_say():
    london = calendar("Europe/London")
    assert london.window(date(2026, 10, 24)).seconds == 24 * 3600
    assert london.window(date(2026, 10, 25)).seconds == 25 * 3600
    assert calendar("Europe/London", start=date(2027, 3, 20)).window(date(2027, 3, 28)).seconds == 23 * 3600


@given(st.sampled_from(ZONES), st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31)))
def test_every_instant_is_in_the_window_of_its_own_day_and_in_no_other(zone, naive):
    at = naive.replace(tzinfo=UTC)
    days = calendar(zone)
    day = days.day_of(at)
    assert at in days.window(day)
    assert at not in days.window(day - timedelta(days=1))
    assert at not in days.window(day + timedelta(days=1))


@given(st.sampled_from(ZONES), st.dates(date(2026, 1, 1), date(2027, 12, 1)))
def test_days_adjoin(zone, day):
    days = calendar(zone)
    assert days.window(day).end == days.window(day + timedelta(days=1)).start


def test_a_day_is_complete_when_it_has_ended():
    days = calendar("America/New_York", days=2)
    end = days.window(date(2026, 10, 20)).end
    assert days.complete_days(end - timedelta(microseconds=1)) == []
    assert days.complete_days(end) == [date(2026, 10, 20)]
    assert days.number(date(2026, 10, 21)) == 2
    assert days.end == date(2026, 10, 22)


def test_windows_split_without_gap_or_overlap():
    window = Window(start=datetime(2026, 1, 1, tzinfo=UTC), end=datetime(2026, 1, 2, tzinfo=UTC))
    parts = window.split(7)
    assert parts[0].start == window.start and parts[-1].end == window.end
    assert all(a.end == b.start for a, b in zip(parts, parts[1:], strict=False))


@pytest.mark.parametrize("end", [datetime(2026, 1, 1, tzinfo=UTC), datetime(2025, 1, 1, tzinfo=UTC), datetime(2026, 1, 2)])
def test_windows_that_are_none_are_refused(end):
    with pytest.raises(ValueError, match="window"):
        Window(start=datetime(2026, 1, 1, tzinfo=UTC), end=end)
