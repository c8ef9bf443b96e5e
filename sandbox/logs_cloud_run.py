"""Cloud Logging entries of a Cloud Run service, as `gcloud logging read --format=json` prints them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from sandbox.emitted import Event
from sandbox.foreign_lines import foreign_lines
from sandbox.happened import History, Served, Worker
from sandbox.instants import MS, SECOND, iso_us, to_us
from sandbox.lines import handler_object, has_line, text
from sandbox.plans import Plan
from trial.calendar import Calendar

PROJECT, SERVICE, REGION = "acme", "summariser", "us-central1"
_AGENT = "Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/143.0"
_LONG = {
    "AUTOSCALING": "Instance started due to configured scaling factors (e.g. CPU utilization, request throughput, etc.) or no existing"
    " capacity for current traffic.",
    "DEPLOYMENT_ROLLOUT": "Instance started due to traffic shifting between revisions due to deployment, traffic split adjustment,"
    " or deployment health check.",
    "MANUAL_OR_CUSTOMER_MIN_INSTANCE": "Instance started because of customer-configured minimum instances.",
}
_TOKENS = {"autoscaling": "AUTOSCALING", "rollout": "DEPLOYMENT_ROLLOUT", "min_instance": "MANUAL_OR_CUSTOMER_MIN_INSTANCE"}
# The front end's own time beside the handler's.
_OVERHEAD = (6, 30)


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudRunLogs:
    """
    Args:
        health: (at) of health checks, HEAD and OPTIONS requests that reached an instance.
        forbidden: (at) of requests refused before any instance.
    """

    events: tuple[Event, ...]
    health: tuple[int, ...]
    forbidden: tuple[int, ...]


def write(plan: Plan, history: History, *, calendar: Calendar, cases: frozenset[str], rng: np.random.Generator) -> CloudRunLogs:
    writer = _Writer(plan, history, cases=cases, rng=rng)
    for worker in history.workers:
        writer.instance(worker)
    for request in history.requests:
        writer.request(request)
    health = tuple(writer.health_checks(calendar)) if "health-check" in cases else ()
    forbidden = tuple(writer.refusals(calendar)) if "forbidden" in cases else ()
    return CloudRunLogs(events=tuple(writer.events), health=health, forbidden=forbidden)


class _Writer:
    """Collects one service's entries."""

    def __init__(self, plan: Plan, history: History, *, cases: frozenset[str], rng: np.random.Generator) -> None:
        self.plan, self.cases, self.rng = plan, cases, rng
        self.workers = {w.number: w for w in history.workers}
        self.history = history
        self.events: list[Event] = []
        rollouts = [w.number for w in history.workers if w.reason == "rollout"]
        self._revisions = {w.number: 7 + sum(1 for r in rollouts if r <= w.number) for w in history.workers}

    def instance(self, worker: Worker) -> None:
        token = _TOKENS[worker.reason]
        short = "short-reason" in worker.cases
        said = f"Starting new instance. Reason: {token}" + ("" if short else f" - {_LONG[token]}")
        bare = "labels-missing" in worker.cases
        self._system(worker, worker.started_us, said, labelled=not bare)
        if "probe-failed" in worker.cases:
            failed = (
                'Default STARTUP TCP probe failed 1 time consecutively for container "summariser-1" on port 8080. '
                "The instance was not started. Connection failed with status DEADLINE_EXCEEDED."
            )
            self._system(worker, worker.started_us + worker.start_up_us // 2, failed, labelled=not bare, severity="ERROR")
        # Instance lines lag the request log: the probe is written a sixth to a third of a second after it succeeded.
        at = worker.ready_us + int(self.rng.uniform(170, 330) * MS)
        probed = 'Default STARTUP TCP probe succeeded after 1 attempt for container "summariser-1" on port 8080.'
        self._system(worker, at, probed, labelled=not bare)

    def request(self, request: Served) -> None:
        if request.worker is None:
            self._aborted(request)
            return
        worker = self.workers[request.worker]
        arrived = request.arrival.at_us
        latency = request.ended_us - arrived + int(self.rng.uniform(*_OVERHEAD) * MS)
        agent = "Google-Cloud-Scheduler" if request.arrival.kind == "ping" else _AGENT
        path = "/warmup" if request.arrival.kind == "ping" and "silent-pings" in self.cases else "/summarise"
        self._entry(
            "requests",
            arrived,
            worker,
            {
                "httpRequest": _http("POST", path, 200, latency, agent, rng=self.rng),
                "trace": f"projects/{PROJECT}/traces/{request.request_id}",
                "spanId": self.rng.bytes(8).hex(),
            },
            severity="INFO",
        )
        at = request.ended_us + int(self.rng.uniform(1, 5) * MS)
        for extra, broken in self._own_lines(request):
            self._entry("stdout", at - 2 * MS, worker, {"textPayload": extra}, broken=broken)
        foreign = foreign_lines(self.plan, request, instance=worker.id)
        for printed in foreign:
            # What is a JSON object arrives as one.
            self._entry("stdout", at, worker, {"jsonPayload": json.loads(printed)} if printed[0] == "{" else {"textPayload": printed})
        if has_line(request, worker) and not foreign:
            line = handler_object(self.plan, request, worker, instance=worker.id, silent_pings="silent-pings" in self.cases)
            self._entry("stdout", at, worker, {"jsonPayload": line})
        if "stderr" in request.arrival.cases:
            self._entry("stderr", at, worker, {"textPayload": "UserWarning: prompt was cut to 2048 tokens"}, severity="WARNING")
        if "exit" in request.arrival.cases:
            self._system(worker, worker.stopped_us + 40 * MS, "Container called exit(1).", labelled=True, severity="WARNING")

    def _own_lines(self, request: Served) -> Iterator[tuple[str, bool]]:
        cases = request.arrival.cases
        if self.rng.random() < 0.1:
            yield f"prompt of {request.input_tokens} tokens", False
        if "half-json" in cases:
            printed = text({"fortnight": 1, "request_id": request.request_id, "gpu_ms": 21.5})
            yield printed[:-5], True
        if "garbage" in cases:
            yield "\x07\ufffd" + "".join(chr(int(c)) for c in self.rng.integers(0x80, 0x2FF, 20)), False

    def _aborted(self, request: Served) -> None:
        status = (500, 429, 503, 429)[request.number % 4]
        http = _http("POST", "/summarise", status, 0, _AGENT, rng=self.rng)
        if request.number % 3 == 0:
            del http["latency"]
        fields: dict[str, Any] = {
            "httpRequest": http,
            "textPayload": "The request was aborted because there was no available instance.",
            "trace": f"projects/{PROJECT}/traces/{request.request_id}",
            "spanId": self.rng.bytes(8).hex(),
        }
        self._entry("requests", request.arrival.at_us, None, fields, severity="ERROR" if status >= 500 else "WARNING")

    def health_checks(self, calendar: Calendar) -> Iterator[int]:
        """Three a day, on an instance that is up; they keep nothing warm, as they come right beside a real request."""
        requests = [r for r in self.history.requests if r.worker is not None]
        for spot in sorted(self.rng.choice(len(requests), size=min(len(requests), 3 * calendar.days), replace=False)) if requests else ():
            request = requests[int(spot)]
            worker = self.workers[request.worker or 0]
            at = request.ended_us + 50 * MS
            if at >= worker.stopped_us:
                continue
            method, path, agent = (
                ("GET", "/healthz", "GoogleStackdriverMonitoring-UptimeChecks(https://cloud.google.com/monitoring)"),
                ("HEAD", "/", "curl/8.14.1"),
                ("OPTIONS", "/summarise", _AGENT),
            )[int(spot) % 3]
            http = _http(method, path, 200 if method != "OPTIONS" else 204, 3 * MS, agent, rng=self.rng)
            trace = f"projects/{PROJECT}/traces/{self.rng.bytes(16).hex()}"
            self._entry("requests", at, worker, {"httpRequest": http, "trace": trace, "spanId": self.rng.bytes(8).hex()}, severity="INFO")
            yield at

    def refusals(self, calendar: Calendar) -> Iterator[int]:
        for day in calendar.all_days():
            window = calendar.window(day)
            for at in sorted(self.rng.integers(to_us(window.start) + SECOND, to_us(window.end) - SECOND, 2)):
                http = _http("POST", "/summarise", 403, 0, "python-requests/2.32.5", rng=self.rng)
                fields = {
                    "httpRequest": http,
                    "textPayload": "The request was not authenticated. Either allow unauthenticated invocations or set the proper"
                    " Authorization header.",
                    "trace": f"projects/{PROJECT}/traces/{self.rng.bytes(16).hex()}",
                    "spanId": self.rng.bytes(8).hex(),
                }
                self._entry("requests", int(at), None, fields, severity="WARNING")
                yield int(at)

    def _system(self, worker: Worker, at: int, said: str, *, labelled: bool, severity: str = "INFO") -> None:
        self._entry("varlog%2Fsystem", at, worker, {"textPayload": said}, labelled=labelled, severity=severity)

    def _entry(
        self,
        log: str,
        at: int,
        worker: Worker | None,
        fields: dict[str, Any],
        *,
        labelled: bool = True,
        severity: str | None = None,
        broken: bool = False,
    ) -> None:
        revision = self._revisions[worker.number] if worker else max(self._revisions.values(), default=7)
        labels = {
            "configuration_name": SERVICE,
            "location": REGION,
            "project_id": PROJECT,
            "revision_name": f"{SERVICE}-{revision:05d}-{('kex', 'bod', 'zut', 'wam')[revision % 4]}",
            "service_name": SERVICE,
        }
        entry: dict[str, Any] = {
            "insertId": f"{at // SECOND:08x}{at % SECOND:08x}{self.rng.bytes(4).hex()}",
            **fields,
            "resource": {"type": "cloud_run_revision", "labels": labels},
            "timestamp": iso_us(at),
            "logName": f"projects/{PROJECT}/logs/run.googleapis.com%2F{log}",
        }
        if severity:
            entry["severity"] = severity
        if worker is not None and labelled:
            entry["labels"] = {"instanceId": worker.id}
        elif worker is not None:
            entry["labels"] = {"container_name": "summariser-1"}
        self.events.append(Event(stream=entry["logName"], at_us=at, readable_us=at, order=len(self.events), payload=entry, broken=broken))


def _http(method: str, path: str, status: int, latency_us: int, agent: str, *, rng: np.random.Generator) -> dict[str, Any]:
    nanoseconds = latency_us * 1000 + (int(rng.integers(0, 1000)) if latency_us else 0)
    return {
        "requestMethod": method,
        "requestUrl": f"https://{SERVICE}-2hq7x3pd5a-uc.a.run.app{path}",
        "requestSize": str(int(rng.integers(400, 4000))),
        "status": status,
        "responseSize": str(int(rng.integers(150, 2000))),
        "userAgent": agent,
        "remoteIp": f"203.0.113.{int(rng.integers(1, 255))}",
        "serverIp": "216.239.36.53",
        "latency": f"{nanoseconds // 1_000_000_000}.{nanoseconds % 1_000_000_000:09d}s" if nanoseconds else "0s",
        "protocol": "HTTP/1.1",
    }
