"""Time inside the sandbox: whole microseconds since the epoch, UTC, so that sums and comparisons are exact."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MS = 1_000
SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
_ONE = timedelta(microseconds=1)


def to_us(at: datetime) -> int:
    return (at - EPOCH) // _ONE


def to_datetime(us: int) -> datetime:
    return EPOCH + timedelta(microseconds=us)


def iso_ms(us: int) -> str:
    """2026-11-02T09:00:00.123Z, cut to milliseconds."""
    return to_datetime(us).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def iso_us(us: int) -> str:
    return to_datetime(us).strftime("%Y-%m-%dT%H:%M:%S.%f") + "Z"


def iso_s(us: int) -> str:
    return to_datetime(us).strftime("%Y-%m-%dT%H:%M:%SZ")
