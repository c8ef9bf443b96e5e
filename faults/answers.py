"""What goes wrong with an answer: each function makes a Bend, the same on every platform, in that platform's own words."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import grpc
import orjson

from faults.wire import Bend
from sandbox.http_server import Request, Response


def refused(*, share: float, kind: str, seed: int) -> Bend:
    """That share of calls is throttled ("throttle") or fails with a 5xx ("error"); each call on its own, rows and all."""
    rng = random.Random(seed)

    def http(_number: int, request: Request, answer: Callable[[], Response]) -> Response:
        return _refusal(request, kind) if rng.random() < share else answer()

    def over_grpc(_number: int, context: grpc.ServicerContext, answer: Callable[[], bytes]) -> bytes:
        if rng.random() < share:
            status = grpc.StatusCode.RESOURCE_EXHAUSTED if kind == "throttle" else grpc.StatusCode.UNAVAILABLE
            context.abort(status, "Quota exceeded for quota metric" if kind == "throttle" else "The service is currently unavailable.")
        return answer()

    return Bend(http=http, grpc=over_grpc)


def down(*, calls: int) -> Bend:
    """The first so many calls end in a 5xx."""

    def http(number: int, request: Request, answer: Callable[[], Response]) -> Response:
        return _refusal(request, "error") if number <= calls else answer()

    return Bend(http=http)


def at_call(number: int, happens: Callable[[], None]) -> Bend:
    """Every answer is as it should be; something happens elsewhere at that call."""

    def http(call: int, _request: Request, answer: Callable[[], Response]) -> Response:
        if call == number:
            happens()
        return answer()

    return Bend(http=http)


def slow(*, share: float, seconds: float, seed: int) -> Bend:
    """That share of answers comes later than the client waits."""
    rng = random.Random(seed)

    def http(_number: int, _request: Request, answer: Callable[[], Response]) -> Response:
        if rng.random() < share:
            time.sleep(seconds)
        return answer()

    def over_grpc(_number: int, _context: grpc.ServicerContext, answer: Callable[[], bytes]) -> bytes:
        if rng.random() < share:
            time.sleep(seconds)
        return answer()

    return Bend(http=http, grpc=over_grpc)


def cut(*, share: float, seed: int) -> Bend:
    """That share of HTTP answers ends in the middle of its body, and of gRPC connections in a reset."""
    rng = random.Random(seed)

    def http(_number: int, _request: Request, answer: Callable[[], Response]) -> Response:
        return replace(answer(), cut=True) if rng.random() < share else answer()

    return Bend(http=http, reset=share, seed=seed)


def expired_token(*, at: int) -> Bend:
    """The at-th call that continues a list is told that its page token has expired."""
    seen = [0]

    def http(_number: int, request: Request, answer: Callable[[], Response]) -> Response:
        if b'"nextToken"' in request.body:
            seen[0] += 1
            if seen[0] == at:
                return _aws(400, "InvalidParameterException", "The specified nextToken has expired.")
        return answer()

    def over_grpc(number: int, context: grpc.ServicerContext, answer: Callable[[], bytes]) -> bytes:
        if number == at + 1:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "page_token is for another request or has expired")
        return answer()

    return Bend(http=http, grpc=over_grpc)


def expired_credentials(*, after: int) -> Bend:
    """Every call beyond the first `after` is refused: the credentials have expired."""

    def http(number: int, request: Request, answer: Callable[[], Response]) -> Response:
        if number <= after:
            return answer()
        if "x-amz-target" in request.headers:
            return _aws(400, "ExpiredTokenException", "The security token included in the request is expired")
        return _json(401, {"title": "Unauthorized", "status": 401, "detail": "invalid bearer token"})

    def over_grpc(number: int, context: grpc.ServicerContext, answer: Callable[[], bytes]) -> bytes:
        if number > after:
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "Request had invalid authentication credentials.")
        return answer()

    return Bend(http=http, grpc=over_grpc)


def malformed(*, kind: str, at: int) -> Bend:
    """From its at-th call on a server answers 200 with a body that is none: "truncated", "html", or "other" (JSON, but not this API's)."""

    def http(number: int, _request: Request, answer: Callable[[], Response]) -> Response:
        if number < at:
            return answer()
        true = answer()
        match kind:
            case "truncated":
                body = bytes(true.body)
                return replace(true, body=body[: max(1, len(body) * 2 // 3)])
            case "html":
                page = b"<!DOCTYPE html><html><title>Sign in</title><body>Your session has ended.</body></html>"
                return Response(body=page, headers={"Content-Type": "text/html"})
            case _:
                return Response(body=b'["ok", true]', headers={"Content-Type": "text/plain"})

    def over_grpc(number: int, _context: grpc.ServicerContext, answer: Callable[[], bytes]) -> bytes:
        if number < at:
            return answer()
        if kind == "truncated":
            wire = answer()
            return wire[: max(1, len(wire) * 2 // 3)] if len(wire) > 8 else b"\x0a\x7f"
        return b"<!DOCTYPE html>" if kind == "html" else b'["ok", true]'

    return Bend(http=http, grpc=over_grpc)


def disordered(*, share: float, seed: int, twice: dict[str, int]) -> Bend:
    """
    Pages whose events stand in any order and partly twice.

    Args:
        share: of each page's events, how many stand in it a second time.
        twice: filled with the number of second copies by platform.
    """
    rng = random.Random(seed)

    def http(_number: int, request: Request, answer: Callable[[], Response]) -> Response:
        true = answer()
        data = orjson.loads(bytes(true.body)) if request.headers.get("x-amz-target", "").endswith("FilterLogEvents") else {}
        if data.get("events"):
            again = [event for event in data["events"] if rng.random() < share]
            twice["aws-lambda"] = twice.get("aws-lambda", 0) + len(again)
            data["events"] += again
            rng.shuffle(data["events"])
            return replace(true, body=orjson.dumps(data))
        return true

    def over_grpc(_number: int, _context: grpc.ServicerContext, answer: Callable[[], bytes]) -> bytes:
        from google.cloud.logging_v2.types import ListLogEntriesResponse

        wire = answer()
        message = ListLogEntriesResponse.pb(ListLogEntriesResponse())
        try:
            message.ParseFromString(wire)
        except Exception:  # noqa: BLE001 - the other service's answer, which is left as it is
            return wire
        entries = list(message.entries)
        if not entries or not entries[0].log_name:
            return wire
        again = [entry for entry in entries if rng.random() < share]
        twice["cloud-run"] = twice.get("cloud-run", 0) + len(again)
        entries += again
        rng.shuffle(entries)
        del message.entries[:]
        message.entries.extend(entries)
        return message.SerializeToString()

    return Bend(http=http, grpc=over_grpc)


def skewed_signature() -> Bend:
    """CloudWatch refuses signatures made by a clock that is minutes off."""

    def http(_number: int, request: Request, answer: Callable[[], Response]) -> Response:
        if "x-amz-target" not in request.headers:
            return answer()
        text = "Signature expired: 20261103T000000Z is now earlier than 20261103T000600Z (20261103T001100Z - 5 min.)"
        return _aws(403, "InvalidSignatureException", text)

    return Bend(http=http)


def _refusal(request: Request, kind: str) -> Response:
    if "x-amz-target" in request.headers:
        if kind == "throttle":
            return _aws(400, "ThrottlingException", "Rate exceeded")
        return _aws(503, "ServiceUnavailableException", "The service cannot complete the request.")
    if kind == "throttle":
        return _json(429, {"title": "Too Many Requests", "status": 429}, {"Retry-After": "1"})
    return _json(503, {"title": "Service Unavailable", "status": 503})


def _aws(status: int, code: str, message: str) -> Response:
    headers = {"Content-Type": "application/x-amz-json-1.1", "x-amzn-ErrorType": code, "x-amzn-query-error": f"{code};Sender"}
    return Response(status=status, body=json.dumps({"__type": code, "message": message}).encode(), headers=headers)


def _json(status: int, data: dict[str, Any], headers: dict[str, str] | None = None) -> Response:
    return Response(status=status, body=json.dumps(data).encode(), headers={"Content-Type": "application/problem+json", **(headers or {})})
