"""
REPORT's billed duration is read, never recomputed. Recomputing it is a check: on how we read lines, and on what AWS bills.

Rules seen on real lines (AWS announced the last for 1 August 2025, but lines of later date still follow the one before):

    per_100ms      Duration rounded up to 100 ms                         until November 2020
    per_ms         Duration rounded up to 1 ms                           since, and where Init is billed apart or not at all
    with_restore   Duration rounded up, plus Billed Restore Duration     SnapStart; Billed already contains it
    with_init      Duration plus Init Duration, rounded up together      custom runtimes and images, then all
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from collectors.aws_lambda.facts import Report

# Billed this much above Duration cannot be rounding.
_GAP_MS = 2.0


def billed_ms_expected(*, duration_ms: float, init_ms: float | None = None, billed_restore_ms: float | None = None) -> dict[str, float]:
    """What each rule would bill, by its name; rules whose input is absent are left out."""
    duration_us, init_us = _us(duration_ms), _us(init_ms or 0.0)
    expected = {"per_ms": _up(duration_us, 1000), "per_100ms": _up(duration_us, 100_000)}
    if billed_restore_ms is not None:
        expected["with_restore"] = _up(duration_us, 1000) + billed_restore_ms
    if init_ms is not None:
        expected["with_init"] = _up(duration_us + init_us, 1000)
    return expected


def explained_by(report: Report) -> str:
    """The first rule that gives the billed duration as read, "unexplained", or "not_billed" where none is reported."""
    if report.billed_ms is None or report.duration_ms is None:
        return "not_billed"
    expected = billed_ms_expected(duration_ms=report.duration_ms, init_ms=report.init_ms, billed_restore_ms=report.billed_restore_ms)
    return next((rule for rule, billed_ms in expected.items() if billed_ms == report.billed_ms), "unexplained")


def count_by_rule(reports: Iterable[Report]) -> Counter[str]:
    """How many reports each rule explains: the check's own count, beside the ledger's."""
    return Counter(explained_by(report) for report in reports)


def unexplained_gap_ms(report: Report) -> float | None:
    """
    How much the bill is above Duration, where that shows an initialisation (or restore) that no field names.

    So it is where the end of the line was cut off; None where the gap may be rounding.
    """
    billed_ms, duration_ms = report.billed_ms, report.duration_ms
    # Billing by 100 ms, and by 50 ms at the edge, leaves larger gaps that mean nothing.
    if billed_ms is None or duration_ms is None or billed_ms % 50 == 0 or report.init_ms is not None or report.restore_ms is not None:
        return None
    gap_ms = billed_ms - _up(_us(duration_ms), 1000)
    return gap_ms if gap_ms >= _GAP_MS else None


def _us(ms: float) -> int:
    # Sums of hundredths of a ms miss whole numbers as floats, and rounding up would add a ms.
    return round(ms * 1000)


def _up(us: int, step_us: int) -> float:
    return -(-us // step_us) * step_us / 1000
