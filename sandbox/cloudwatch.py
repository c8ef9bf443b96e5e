"""One address for both CloudWatch services, in the wire protocol botocore speaks to them: JSON, 1.1 for logs and 1.0 for metrics."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import orjson

from sandbox.cloudwatch_logs import ApiError, CloudWatchLogs
from sandbox.cloudwatch_metrics import CloudWatchMetrics
from sandbox.faults import Dice
from sandbox.http_server import Request, Response, serve_http
from sandbox.instants import SECOND, to_datetime


class CloudWatch:
    """Reads requests off the wire and writes answers onto it; the services behind know neither."""

    def __init__(self, *, logs: CloudWatchLogs, metrics: CloudWatchMetrics, dice: Dice) -> None:
        self.logs, self.metrics, self._dice = logs, metrics, dice
        self.calls: dict[str, int] = {}

    def __call__(self, request: Request) -> Response:
        service, _, operation = request.headers.get("x-amz-target", "").rpartition(".")
        self.calls[operation] = self.calls.get(operation, 0) + 1
        try:
            fault = self._refuse(request)
            if fault == "drop":
                return Response(drop=True)
            answer = _answer(self._run(service, operation, _read(request.body)))
            return replace(answer, cut=True) if fault == "cut" else answer
        except ApiError as exc:
            return _error(exc)

    def _refuse(self, request: Request) -> str | None:
        faults = self._dice.faults
        if "authorization" not in request.headers:
            raise ApiError("MissingAuthenticationToken", "Request is missing Authentication Token", 403)
        if faults.expired:
            raise ApiError("ExpiredTokenException", "The security token included in the request is expired")
        if faults.denied:
            raise ApiError("AccessDeniedException", "User: arn:aws:iam::123456789012:user/trial is not authorized to perform this action")
        fault = self._dice.next_fault()
        if fault == "throttle":
            raise ApiError("ThrottlingException", "Rate exceeded")
        if fault == "error":
            raise ApiError("ServiceUnavailableException", "The service cannot complete the request.", 503)
        return fault

    def _run(self, service: str, operation: str, given: Mapping[str, Any]) -> dict[str, Any]:
        if service == "Logs_20140328" and operation in self.logs.operations:
            return self.logs.operations[operation](given)
        if service == "GraniteServiceVersion20100801" and operation == "GetMetricData":
            return self.metrics.get_metric_data(given)
        raise ApiError("UnknownOperationException", f"{service}.{operation} is not offered here", 404)


def _read(body: bytes) -> Mapping[str, Any]:
    try:
        given = orjson.loads(body or b"{}")
    except orjson.JSONDecodeError as exc:
        raise ApiError("SerializationException", "The request body is no JSON") from exc
    return {k: to_datetime(round(v * SECOND)) if k in ("StartTime", "EndTime") else v for k, v in given.items()}


def _answer(result: dict[str, Any]) -> Response:
    body = orjson.dumps(result, default=lambda at: at.timestamp(), option=orjson.OPT_PASSTHROUGH_DATETIME)
    return Response(body=body, headers={"Content-Type": "application/x-amz-json-1.1", "x-amzn-RequestId": "sandbox"})


def _error(exc: ApiError) -> Response:
    body = orjson.dumps({"__type": exc.code, "message": exc.message})
    headers = {
        "Content-Type": "application/x-amz-json-1.1",
        "x-amzn-ErrorType": exc.code,
        "x-amzn-query-error": f"{exc.code};{'Sender' if exc.status < 500 else 'Receiver'}",
    }
    return Response(status=exc.status, body=body, headers=headers)


@contextlib.contextmanager
def serve_cloudwatch(service: CloudWatch) -> Iterator[str]:
    with serve_http(service) as url:
        yield url
