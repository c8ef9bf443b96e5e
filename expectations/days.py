"""What should hold for the days of a trial: warnings, since a day cannot be quarantined."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from expectations import engine
from expectations.result import SuiteResult
from trial.summary import DaySummary

SUITE = "day summaries"
COMPLETE = 0.99
REJECTED = 0.01


def check(summaries: Sequence[DaySummary], *, expected: Sequence[date]) -> SuiteResult:
    """
    Args:
        summaries: one endpoint's collected days.
        expected: the days that should be there by now.

    Raises:
        CheckError: an expectation could not be evaluated.
    """
    import great_expectations.expectations as gxe
    import pandas as pd

    by_day = {s.day: s for s in summaries}
    days = sorted({*by_day, *expected})
    frame = pd.DataFrame(
        {
            "day": [d.isoformat() for d in days],
            "collected": [d in by_day for d in days],
            "requests": [float(by_day[d].requests) if d in by_day else None for d in days],
            "completeness": [by_day[d].completeness if d in by_day else None for d in days],
            "rejected_share": [_share(by_day[d]) if d in by_day else None for d in days],
            "quarantined": [float(by_day[d].quarantined) if d in by_day else None for d in days],
        }
    ).astype({"requests": "float64", "completeness": "float64", "rejected_share": "float64", "quarantined": "float64"})

    def rule(name, kind, **kwargs):
        return kind(meta={"rule": name}, severity="warning", **kwargs)

    suite = [
        rule("no day is missing", gxe.ExpectColumnValuesToBeInSet, column="collected", value_set=[True]),
        rule("a day has requests", gxe.ExpectColumnValuesToBeBetween, column="requests", min_value=1),
        rule("logs are complete to 99 %", gxe.ExpectColumnValuesToBeBetween, column="completeness", min_value=COMPLETE, max_value=1),
        rule(
            "at most 1 % of lines are rejected", gxe.ExpectColumnValuesToBeBetween, column="rejected_share", min_value=0, max_value=REJECTED
        ),
        rule("nothing is in quarantine", gxe.ExpectColumnValuesToBeBetween, column="quarantined", min_value=0, max_value=0),
    ]
    return engine.run(frame, suite=SUITE, expectations=suite)


def _share(summary: DaySummary) -> float | None:
    totals = summary.ledger_totals()
    return totals["rejected"] / totals["read"] if totals["read"] else None
