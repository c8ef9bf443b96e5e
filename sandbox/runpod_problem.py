"""RunPod's errors: RFC 9457 problem documents."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from http import HTTPStatus

from sandbox.http_server import Response


class Problem(Exception):
    """An error answer: status, detail, further headers."""

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.detail, self.headers = status, detail, dict(headers or {})

    def response(self) -> Response:
        body = {"title": HTTPStatus(self.status).phrase, "status": self.status, "detail": self.detail}
        headers = {"Content-Type": "application/problem+json", **self.headers}
        return Response(status=self.status, body=json.dumps(body).encode(), headers=headers)


def rfc3339(name: str, text: str) -> datetime:
    """
    Raises:
        Problem: no RFC 3339 time with a zone.
    """
    try:
        at = datetime.fromisoformat(text)
    except ValueError as exc:
        raise Problem(400, f"{name} is not an RFC 3339 time") from exc
    if at.utcoffset() is None:
        raise Problem(400, f"{name} has no time zone")
    return at
