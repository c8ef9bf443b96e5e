"""JSON over HTTP for platforms without an SDK worth having: paced, retried where told to, errors in our own words."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import httpx

from trial.errors import Denied, Malformed, NotFound, SourceError, Throttled, Unreachable
from trial.meter import Meter

ATTEMPTS = 4
LONGEST_PAUSE_S = 60.0
# IETF draft-ietf-httpapi-ratelimit-headers: `"minute";r=0;t=12`; older drafts: RateLimit-Remaining and -Reset.
_REMAINING = re.compile(r";\s*r=(\d+)")
_RESET = re.compile(r";\s*t=(\d+)")


def get_json(
    http: httpx.Client,
    url: str,
    *,
    params: Mapping[str, Any] | None = None,
    meter: Meter,
    where: str,
    key_env: str,
    sleep: Callable[[float], None] = time.sleep,
) -> dict[str, Any]:
    """
    One GET, its JSON object with decimal fractions as Decimal, exactly as written.

    A 429 is tried again after the pause the server asks for, up to LONGEST_PAUSE_S; a spent quota is waited out
    before the answer is returned, so that the next call finds it renewed.

    Args:
        where: names the endpoint in errors.
        key_env: the environment variable that holds the key, for the error a refused key gives.

    Raises:
        Denied, NotFound, Throttled, Unreachable: by status. Malformed: the answer is no JSON object.
    """
    for attempt in range(1, ATTEMPTS + 1):
        meter.calls += 1
        try:
            answer = http.get(url, params=params)
        except httpx.HTTPError as exc:
            raise unreachable(exc, where) from exc
        meter.bytes += len(answer.content)
        if answer.status_code != 429 or attempt == ATTEMPTS:
            break
        meter.throttles += 1
        wait_s = pause_s(answer)
        if wait_s > LONGEST_PAUSE_S:
            break
        sleep(wait_s or float(2**attempt))
    refuse(answer, where=where, key_env=key_env)
    if 0 < (spent_s := pause_s(answer)) <= LONGEST_PAUSE_S:
        sleep(spent_s)
    return _object(answer, where)


def refuse(answer: httpx.Response, *, where: str, key_env: str) -> None:
    """
    Nothing where the answer is a success.

    Raises:
        SourceError: its kind by the status; the text from the body's problem details (RFC 9457) where it has them.
    """
    if answer.is_success:
        return
    status, detail = answer.status_code, _without_key(_problem(answer), answer)
    if status in (401, 403):
        raise Denied(f"the key was refused ({status}{detail})", where=where, do=f"Set {key_env} to a valid key that may read this endpoint")
    if status in (404, 410):
        raise NotFound(f"the API knows no such thing ({status}{detail})", where=where, do="Check the id in trial.toml")
    if status == 429:
        raise Throttled(f"too many requests ({status}{detail})", where=where, do=f"Try again in {max(1, round(pause_s(answer)))} s")
    if status >= 500 or status == 408:
        raise Unreachable(f"the API failed ({status}{detail})", where=where, do="Try again later")
    raise SourceError(f"the API refused the request ({status}{detail})", where=where)


def unreachable(exc: httpx.HTTPError, where: str) -> Unreachable:
    """A transport failure (refused, reset, timed out, not resolved) in one line."""
    kind = "no answer in time" if isinstance(exc, httpx.TimeoutException) else "no connection"
    return Unreachable(
        f"{kind}: {str(exc) or type(exc).__name__}", where=where, do="Check the network and api_endpoint, or try again later"
    )


def pause_s(answer: httpx.Response) -> float:
    """How long the server wants us to wait before the next call: 0 while quota is left."""
    headers = answer.headers
    after = headers.get("retry-after", "")
    if after.isdigit():
        return float(after)
    limits = headers.get("ratelimit", "")
    waits = [
        float(reset[1])
        for item in limits.split(",")
        if (left := _REMAINING.search(item)) and int(left[1]) == 0 and (reset := _RESET.search(item))
    ]
    if headers.get("ratelimit-remaining") == "0" and headers.get("ratelimit-reset", "").isdigit():
        waits.append(float(headers["ratelimit-reset"]))
    return max(waits, default=0.0)


def _object(answer: httpx.Response, where: str) -> dict[str, Any]:
    try:
        data = json.loads(answer.content, parse_float=Decimal)
    except (ValueError, RecursionError) as exc:
        raise Malformed("the API's answer is not JSON", where=where, do="Check api_endpoint: is it the API's address?") from exc
    if not isinstance(data, dict):
        raise Malformed(f"the API answered with a {type(data).__name__}, expected an object", where=where)
    return data


def _without_key(text: str, answer: httpx.Response) -> str:
    """Servers quote the key they refuse."""
    key = answer.request.headers.get("authorization", "").rpartition(" ")[2]
    return text.replace(key, "***") if key else text


def _problem(answer: httpx.Response) -> str:
    try:
        data = json.loads(answer.content)
        text = " ".join(str(data[key]) for key in ("detail", "error", "title") if data.get(key)) if isinstance(data, dict) else ""
    except (ValueError, RecursionError):
        return ""
    return f": {text[:200]}" if text else ""
