"""GET /v2/billing/serverless: windows snapped outward to whole buckets, the current bucket still filling."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from sandbox.instants import HOUR, MINUTE, iso_s, to_datetime, to_us
from sandbox.runpod_problem import Problem, rfc3339

SIZES = ("hour", "day", "week", "month", "year")
# A bucket's amounts follow what ran in it by a few minutes.
LAG_US = 5 * MINUTE
_PARAMETERS = frozenset(("startTime", "endTime", "bucketSize", "lastN", "serverlessId"))


def answer(query: Mapping[str, list[str]], *, seconds: Mapping[int, int], rate: Decimal, serverless_id: str, now_us: int) -> dict[str, Any]:
    """
    Args:
        seconds: billed seconds by the hour they begin in.

    Raises:
        Problem: a parameter that is unknown, given twice, malformed, or excluded by another.
    """
    unknown = sorted(query.keys() - _PARAMETERS)
    if unknown:
        raise Problem(422, f"unknown query parameter {unknown[0]}")
    given = {name: values[0] for name, values in query.items()}
    size = given.get("bucketSize", "day")
    if size not in SIZES:
        raise Problem(422, f"bucketSize must be one of {', '.join(SIZES)}")
    now = to_datetime(now_us)
    if "lastN" in given:
        if "startTime" in given or "endTime" in given:
            raise Problem(400, "lastN is mutually exclusive with startTime and endTime")
        if not given["lastN"].isdigit() or int(given["lastN"]) < 1:
            raise Problem(422, "lastN must be an integer of at least 1")
        end = _after(now, size)
        start = _floor(now, size)
        for _ in range(int(given["lastN"]) - 1):
            start = _floor(start - timedelta(seconds=1), size)
    else:
        start = _floor(rfc3339("startTime", given["startTime"]) if "startTime" in given else now - timedelta(days=30), size)
        end = rfc3339("endTime", given["endTime"]) if "endTime" in given else now
        end = end.astimezone(UTC)
        end = end if end == _floor(end, size) else _after(end, size)
    if start >= end:
        raise Problem(400, "startTime must be before endTime")
    wanted = given.get("serverlessId")
    buckets: dict[datetime, Decimal] = defaultdict(Decimal)
    if wanted in (None, serverless_id):
        for hour, count in seconds.items():
            if start <= to_datetime(hour) < end and hour + LAG_US <= now_us:
                buckets[_floor(to_datetime(hour), size)] += rate * _visible(hour, count, now_us)
    records = [
        {"startTime": _text(at), "endTime": _text(_after(at, size)), "serverlessId": serverless_id, **_amounts(usd)}
        for at, usd in sorted(buckets.items())
    ]
    echo = {"startTime": _text(start), "endTime": _text(end), "bucketSize": size, "serverlessId": wanted}
    return {
        "records": records,
        "metadata": {
            "query": echo,
            "recordCount": len(records),
            "totals": _amounts(sum(buckets.values(), Decimal(0))),
            "uniqueServerlessCount": 1 if records else 0,
        },
    }


def _visible(hour: int, count: int, now_us: int) -> int:
    """What an hour's bucket shows by now: it fills while the hour goes on."""
    done = min(HOUR, now_us - LAG_US - hour)
    return count if done >= HOUR else count * done // HOUR


def _amounts(usd: Decimal) -> dict[str, float]:
    return {"totalAmount": float(usd), "gpuAmount": float(usd), "cpuAmount": 0, "diskAmount": 0, "feeAmount": 0}


def _floor(at: datetime, size: str) -> datetime:
    at = at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    if size == "hour":
        return at
    at = at.replace(hour=0)
    if size == "week":
        return at - timedelta(days=at.weekday())
    if size == "month":
        return at.replace(day=1)
    return at.replace(month=1, day=1) if size == "year" else at


def _after(at: datetime, size: str) -> datetime:
    """The end of the bucket that `at` lies in."""
    at = _floor(at, size)
    if size in ("hour", "day", "week"):
        return at + {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(days=7)}[size]
    return at.replace(year=at.year + 1) if size == "year" else (at + timedelta(days=32)).replace(day=1)


def _text(at: datetime) -> str:
    return iso_s(to_us(at))
