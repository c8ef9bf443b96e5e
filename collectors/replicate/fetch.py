"""`GET /v1/predictions`: newest first, a hundred a page, without any time filter."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx

from collectors.replicate.events import to_event
from collectors.rest import get_json
from trial.calendar import Window
from trial.errors import Malformed
from trial.meter import Meter
from trial.records import RawEvent, UsageBucket

# Pages are in order of creation as one of Replicate's clocks has it; a page further is read before the end is believed.
CLOCK_MARGIN = timedelta(minutes=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Clients:
    """
    Args:
        http: an httpx.Client with base_url (https://api.replicate.com) and the bearer token.
        sleep: how to wait out a spent quota.
    """

    http: httpx.Client
    sleep: Callable[[float], None] = time.sleep


def fetch(clients: Clients, endpoint: Any, window: Window, *, meter: Meter) -> Iterator[RawEvent]:
    """
    The account's predictions created in the window, of all models; parse tells whose they are.

    The list only goes backwards from now, so an old window costs the pages of everything newer.

    Raises:
        Denied, NotFound, Throttled, Unreachable, Malformed.
    """
    where = f"{endpoint.name} (Replicate predictions)"
    url, seen = "/v1/predictions", set[str]()
    while url:
        page = get_json(clients.http, url, meter=meter, where=where, key_env=endpoint.api_key_env, sleep=clients.sleep)
        predictions = page.get("results")
        if not isinstance(predictions, list):
            raise Malformed("a page has no list of results", where=where)
        past = bool(predictions)
        for prediction in predictions:
            try:
                event = to_event(_floats(prediction))
            except ValueError as exc:
                raise Malformed(f"a prediction cannot be placed in time: {exc}", where=where) from exc
            past = past and event.at < window.start - CLOCK_MARGIN
            if event.at in window:
                meter.events += 1
                yield event
        if past:
            return
        seen.add(url)
        url = _next(page.get("next"), clients.http, where)
        if url in seen:
            raise Malformed("the pages lead back to one already read", where=where)


def fetch_usage(clients: Clients, endpoint: Any, window: Window, *, meter: Meter) -> Iterator[UsageBucket]:  # noqa: ARG001 (the Protocol's shape)
    """Nothing: Replicate has no billing API."""
    yield from ()


def _next(url: Any, http: httpx.Client, where: str) -> str:
    if not url:
        return ""
    if not isinstance(url, str) or _host(url) not in ("", http.base_url.host):
        # The client sends its token wherever it is led.
        raise Malformed(f"the next page is said to be at {str(url)[:80]!r}, not at {http.base_url.host}", where=where)
    return url


def _host(url: str) -> str | None:
    try:
        return httpx.URL(url).host
    except httpx.InvalidURL:
        return None


def _floats(value: Any) -> Any:
    """Decimal fractions, which are for money, as floats again."""
    if isinstance(value, dict):
        return {key: _floats(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_floats(inner) for inner in value]
    return value if isinstance(value, (str, int, type(None))) else float(value)
