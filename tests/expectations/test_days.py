from datetime import date, timedelta

from expectations import days
from trial.ledger import Ledger
from trial.summary import DaySummary

START = date(2026, 11, 2)


def summary(n, **changes):
    day = START + timedelta(days=n)
    return DaySummary(endpoint="e", platform="cloud-run", days=(day,), **{"requests": 10, "provider_requests": 10, **changes})


def broken(result):
    return {r.name: list(r.examples) or r.broken for r in result.rules if r.broken}


def test_a_whole_trial_passes():
    assert days.check([summary(n) for n in range(3)], expected=[START + timedelta(days=n) for n in range(3)]).success


def test_a_gap_is_named():
    result = days.check([summary(0), summary(2)], expected=[START + timedelta(days=n) for n in range(3)])
    assert broken(result) == {"no day is missing": ["False"]}


def test_thin_days_are_named():
    ledger = Ledger(endpoint="e", day=START, source="logs", read=10, used={"x": 9}, rejected={"cut": 1})
    result = days.check([summary(0, provider_requests=20, quarantined=1, ledgers=(ledger,)), summary(1, requests=0)], expected=[])
    assert set(broken(result)) == {
        "a day has requests",
        "logs are complete to 99 %",
        "at most 1 % of lines are rejected",
        "nothing is in quarantine",
    }


def test_no_days_at_all_is_an_answer():
    assert days.check([], expected=[]).success
