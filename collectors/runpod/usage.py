"""What RunPod billed for an endpoint: `GET /v2/billing/serverless`, in hour or day buckets."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from collectors.rest import get_json
from collectors.runpod.envelope import instant
from collectors.runpod.fetch import Clients
from trial.calendar import Window
from trial.errors import Denied, Malformed
from trial.meter import Meter
from trial.records import UsageBucket

SOURCE = "runpod-billing"
_AMOUNTS = {"gpuAmount": "gpu", "cpuAmount": "cpu", "diskAmount": "disk", "feeAmount": "fee"}
_NOISE_USD = Decimal("0.000001")  # the API's amounts are doubles
# An hour bucket fits every local day whose zone is whole hours off UTC; a whole trial of them is still one page.
_HOURLY_UP_TO = timedelta(days=31)


def fetch_usage(
    clients: Clients, endpoint: Any, window: Window, *, meter: Meter, sleep: Callable[[float], None] = time.sleep
) -> Iterator[UsageBucket]:
    """
    The bill of the window, one record per bucket that begins in it.

    The API widens a window to whole buckets on both sides. Every bucket is given where it begins and nowhere else, so that
    adjoining windows never count one twice; in a zone half an hour off UTC a day's last bucket reaches into the next day, as
    the record's own start and end say. A bucket that has not ended yet is not final.

    Raises:
        Denied, NotFound, Throttled, Unreachable, Malformed.
    """
    where = f"{endpoint.name} (RunPod billing of {endpoint.endpoint_id})"
    if clients.http is None:
        raise Denied("no key to read the bill with", where=where, do=f"Set {endpoint.api_key_env} to a RunPod API key")
    size = "hour" if window.end - window.start <= _HOURLY_UP_TO else "day"
    params = {
        "startTime": _rfc3339(window.start),
        "endTime": _rfc3339(window.end),
        "bucketSize": size,
        "serverlessId": endpoint.endpoint_id,
    }
    answer = get_json(
        clients.http, "/v2/billing/serverless", params=params, meter=meter, where=where, key_env=endpoint.api_key_env, sleep=sleep
    )
    records = answer.get("records")
    if not isinstance(records, list):
        raise Malformed("the answer has no list of records", where=where)
    now = clients.now()
    for record in records:
        bucket = _bucket(record, endpoint, now, where)
        if bucket is not None and bucket.start in window:
            yield bucket


def _bucket(record: Any, endpoint: Any, now: datetime, where: str) -> UsageBucket | None:
    if not isinstance(record, Mapping):
        raise Malformed("a billing record is not an object", where=where)
    # Asked for one endpoint, the API answers with it alone; a proxy that ignores the filter must not add strangers' bills.
    if record.get("serverlessId", endpoint.endpoint_id) != endpoint.endpoint_id:
        return None
    start, end = instant(record.get("startTime")), instant(record.get("endTime"))
    if start is None or end is None or end <= start:
        raise Malformed(f"a billing record spans {record.get('startTime')!r} to {record.get('endTime')!r}", where=where)
    billed = {kind: amount for name, kind in _AMOUNTS.items() if (amount := _usd(record.get(name), name, where)) is not None}
    total = _usd(record.get("totalAmount"), "totalAmount", where)
    if total is not None and abs(total - (known := sum(billed.values(), Decimal(0)))) >= _NOISE_USD:
        # A part the API does not name yet must not vanish from the sum.
        billed = {**billed, "other": total - known}
    return UsageBucket(endpoint=endpoint.name, source=SOURCE, start=start, end=end, billed_usd=billed, final=end <= now)


def _usd(value: Any, name: str, where: str) -> Decimal | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, Decimal)) or not Decimal(value).is_finite():
        raise Malformed(f"{name} is {value!r}, expected a number", where=where)
    return Decimal(value)


def _rfc3339(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")
