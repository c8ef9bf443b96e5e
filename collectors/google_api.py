"""Calls to Google's APIs: the clients a fetch is given, and the pace it keeps with them."""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from collectors.dated_objects import Touching
from trial.meter import Meter

Answer = TypeVar("Answer")

# A minute and project: entries.list's quota, which cannot be raised, and well below what timeSeries.list allows.
LOGGING_CALLS, MONITORING_CALLS = 60, 600


class Pace:
    """
    At most `calls` calls in any `per_s` seconds, and another try after a transient failure. Safe to share between threads.

    The default is Cloud Logging's quota for entries.list. Eight attempts wait 47 to 95 s in all: longer than the minute after
    which that quota is whole again.
    """

    def __init__(
        self,
        *,
        calls: int = LOGGING_CALLS,
        per_s: float = 60.0,
        attempts: int = 8,
        base_s: float = 1.0,
        cap_s: float = 32.0,
        timeout_s: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.timeout_s = timeout_s
        self.calls = calls
        self._per_s, self._attempts, self._base_s, self._cap_s = per_s, attempts, base_s, cap_s
        self._clock, self._sleep = clock, sleep
        self._turns: deque[float] = deque(maxlen=calls)
        self._lock = threading.Lock()

    def call(self, send: Callable[[], Answer], *, meter: Meter) -> Answer:
        """The answer of `send`, after as many attempts as it takes; the last failure is raised as it came."""
        from google.api_core import exceptions as google

        # The clients' own retry leaves TooManyRequests out, the one answer a quota of 60 calls a minute makes likely.
        transient = (google.TooManyRequests, google.ServiceUnavailable, google.GatewayTimeout, google.InternalServerError, google.Aborted)
        for attempt in range(1, self._attempts + 1):
            self._wait_turn()
            meter.calls += 1
            try:
                return send()
            except transient as exc:
                if isinstance(exc, google.TooManyRequests):
                    meter.throttles += 1
                if attempt == self._attempts:
                    raise
                step = min(self._cap_s, self._base_s * 2 ** (attempt - 1))
                self._sleep(step / 2 + random.uniform(0, step / 2))
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _wait_turn(self) -> None:
        with self._lock:
            now = self._clock()
            full = len(self._turns) == self._turns.maxlen
            turn = max(now, self._turns[0] + self._per_s) if full else now
            self._turns.append(turn)
        if turn > now:
            self._sleep(turn - now)


@dataclass(frozen=True, slots=True, kw_only=True)
class Clients:
    """
    What Cloud Run and Vertex AI are read through.

    Args:
        logging: google.cloud.logging_v2.services.logging_service_v2.LoggingServiceV2Client (not logging.Client, which adds a
            24-hour filter of its own).
        monitoring: google.cloud.monitoring_v3.MetricServiceClient.
        logging_pace, monitoring_pace: shared by everything that reads the same project.
        objects: lists what lies under `endpoint.logs`.
    """

    logging: Any
    monitoring: Any
    logging_pace: Pace = field(default_factory=Pace)
    monitoring_pace: Pace = field(default_factory=lambda: Pace(calls=MONITORING_CALLS))
    objects: Touching | None = None


def connect(api_endpoint: str | None = None) -> Clients:
    """
    Real clients; with `api_endpoint` ("http://127.0.0.1:8085" or "127.0.0.1:8085") ones that speak plain gRPC to that address.

    Raises:
        google.auth.exceptions.GoogleAuthError: no credentials, where the vendor's own addresses are used.
    """
    from google.cloud.logging_v2.services.logging_service_v2 import LoggingServiceV2Client
    from google.cloud.logging_v2.services.logging_service_v2.transports import LoggingServiceV2GrpcTransport
    from google.cloud.monitoring_v3 import MetricServiceClient
    from google.cloud.monitoring_v3.services.metric_service.transports import MetricServiceGrpcTransport

    if api_endpoint is None:
        return Clients(logging=LoggingServiceV2Client(), monitoring=MetricServiceClient())
    import grpc

    channel = grpc.insecure_channel(api_endpoint.partition("://")[2] or api_endpoint)
    return Clients(
        logging=LoggingServiceV2Client(transport=LoggingServiceV2GrpcTransport(channel=channel)),
        monitoring=MetricServiceClient(transport=MetricServiceGrpcTransport(channel=channel)),
    )
