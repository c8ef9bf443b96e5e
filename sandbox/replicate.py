"""Replicate over HTTP: GET /v1/predictions newest first, a hundred a page, cursors as URLs; and one prediction by id."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

from sandbox.clock import Clock
from sandbox.emitted import Event
from sandbox.endpoints import Endpoint
from sandbox.faults import Dice
from sandbox.http_server import Request, Response
from sandbox.instants import HOUR, to_us
from sandbox.runpod_problem import rfc3339

API_TOKEN = "r8_SANDBOX00000000000000000000000000000"
PAGE = 100
# Input, output and logs of predictions made through the API are removed after an hour.
DATA_KEPT_US = HOUR


class Replicate:
    """Answers for one account."""

    def __init__(self, endpoint: Endpoint, *, clock: Clock, dice: Dice, token: str = API_TOKEN) -> None:
        self._clock, self._dice, self._token = clock, dice, token
        self._events = sorted(endpoint.events, key=lambda e: (e.at_us, e.order), reverse=True)
        self.calls = 0

    def __call__(self, request: Request) -> Response:
        self.calls += 1
        refused = self._refuse(request)
        if refused is not None:
            return refused
        if request.method != "GET":
            return _json(405, {"detail": f'Method "{request.method}" not allowed.'})
        if request.path == "/v1/predictions":
            return self._page(request)
        prefix = "/v1/predictions/"
        found = [e for e in self._visible() if request.path == f"{prefix}{_payload(e)['id']}"]
        return _json(200, self._as_of_now(found[0])) if found else _json(404, {"detail": "Not found."})

    def _refuse(self, request: Request) -> Response | None:
        faults = self._dice.faults
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme not in ("Bearer", "Token") or token != self._token or faults.expired:
            return _json(401, {"title": "Unauthenticated", "detail": "You did not pass a valid authentication token", "status": 401})
        if faults.denied:
            return _json(403, {"detail": "You do not have permission to perform this action."})
        fault = self._dice.next_fault()
        if fault == "throttle":
            return _json(429, {"detail": "Request was throttled. Expected available in 1 second."}, {"Retry-After": "1"})
        if fault == "error":
            return _json(502, {"detail": "Bad gateway"})
        return Response(drop=True) if fault else None

    def _page(self, request: Request) -> Response:
        cursor = request.query.get("cursor", [""])[0]
        before = (1 << 62, 1 << 62)
        if cursor:
            try:
                at, order = json.loads(base64.urlsafe_b64decode(cursor.encode()))
            except ValueError:
                return _json(400, {"detail": "Invalid cursor"})
            before = (int(at), int(order))
        # Newer predictions that come in between move nobody: the cursor is a place, not a page number.
        rest = [e for e in self._visible() if (e.at_us, e.order) < before]
        page = rest[:PAGE]
        following = None
        if len(rest) > PAGE:
            place = base64.urlsafe_b64encode(json.dumps([page[-1].at_us, page[-1].order]).encode()).decode()
            following = f"http://{request.headers.get('host', '127.0.0.1')}/v1/predictions?cursor={place}"
        return _json(200, {"previous": None, "next": following, "results": [self._as_of_now(e) for e in page]})

    def _visible(self) -> list[Event]:
        now = self._clock.us
        return [e for e in self._events if e.readable_us <= now]

    def _as_of_now(self, event: Event) -> dict[str, Any]:
        """A prediction as it stands: queued, running or over; its data gone an hour after it ended."""
        final, now = _payload(event), self._clock.us
        started = to_us(rfc3339("started_at", final["started_at"])) if final["started_at"] else None
        ended = to_us(rfc3339("completed_at", final["completed_at"]))
        if now >= ended:
            gone: dict[str, Any] = {"input": {}, "output": None, "logs": None, "data_removed": True} if now >= ended + DATA_KEPT_US else {}
            return {**final, **gone}
        running = started is not None and now >= started
        return {
            **final,
            "status": "processing" if running else "starting",
            "started_at": final["started_at"] if running else None,
            "completed_at": None,
            "output": None,
            "error": None,
            "metrics": {},
        }


def _payload(event: Event) -> dict[str, Any]:
    if not isinstance(event.payload, dict):
        raise TypeError(f"a prediction is an object, not {type(event.payload).__name__}")
    return event.payload


def _json(status: int, answer: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Response:
    head = {"Content-Type": "application/json", "ratelimit-remaining": "2999", "ratelimit-reset": "1", **(headers or {})}
    return Response(status=status, body=json.dumps(answer).encode(), headers=head)
