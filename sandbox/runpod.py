"""RunPod over HTTP: v2 billing, the endpoint, its live workers and their logs as server-sent events, jobs that expire, GPU prices."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

from sandbox import runpod_billing
from sandbox.clock import Clock
from sandbox.endpoints import Endpoint
from sandbox.faults import Dice, Fault
from sandbox.happened import Worker
from sandbox.http_server import Request, Response
from sandbox.instants import HOUR, MINUTE, MS, SECOND, iso_s, to_us
from sandbox.logs_runpod import ENDPOINT_ID
from sandbox.runpod_problem import Problem, rfc3339

API_KEY = "rpa_SANDBOX0000000000000000000000"
GPU = "NVIDIA GeForce RTX 4090"
MAX_WORKERS = 10
JOB_KEPT_US = 30 * MINUTE
_QUOTA = {"RateLimit": '"minute";r=59;t=60, "hour";r=2990;t=1812, "day";r=49500;t=45012'}
_POLICY = {"RateLimit-Policy": '"minute";q=60;w=60, "hour";q=3000;w=3600, "day";q=50000;w=86400'}


class Runpod:
    """Answers for one account with one endpoint."""

    def __init__(self, endpoint: Endpoint, *, rate: Decimal, clock: Clock, dice: Dice, key: str = API_KEY) -> None:
        self._endpoint, self._rate, self._clock, self._dice, self._key = endpoint, rate, clock, dice, key
        self.calls: dict[str, int] = {}
        self._routes: list[tuple[re.Pattern[str], Callable[..., Response]]] = [
            (re.compile(r"/v2/billing/serverless"), self._billing),
            (re.compile(r"/v2/catalog/gpus"), self._gpus),
            (re.compile(r"/v2/serverless/([^/]+)"), self._settings),
            (re.compile(r"/v2/serverless/([^/]+)/workers"), self._workers),
            (re.compile(r"/v2/serverless/([^/]+)/releases"), self._releases),
            (re.compile(r"/v2/serverless/([^/]+)/workers/([^/]+)/logs"), self._logs),
            (re.compile(r"/v2/([^/]+)/status/([^/]+)"), self._status),
            (re.compile(r"/v2/([^/]+)/health"), self._health),
        ]

    def __call__(self, request: Request) -> Response:
        try:
            fault = self._refuse(request)
            if fault == "drop":
                return Response(drop=True)
            for pattern, answer in self._routes:
                match = pattern.fullmatch(request.path)
                if match:
                    if request.method != "GET":
                        raise Problem(405, "The requested method is not allowed for this path.", {"Allow": "GET"})
                    self.calls[pattern.pattern] = self.calls.get(pattern.pattern, 0) + 1
                    response = answer(request, *match.groups())
                    return replace(response, cut=True) if fault == "cut" and isinstance(response.body, bytes) else response
            raise Problem(404, "resource not found")
        except Problem as exc:
            return exc.response()

    def _refuse(self, request: Request) -> Fault | None:
        given = request.headers.get("authorization", "")
        if not given.startswith("Bearer ") or len(given) <= len("Bearer "):
            raise Problem(401, "missing bearer token")
        if given.removeprefix("Bearer ") != self._key or self._dice.faults.expired:
            raise Problem(401, "invalid bearer token")
        if self._dice.faults.denied:
            raise Problem(403, "access denied")
        fault = self._dice.next_fault()
        if fault == "throttle":
            raise Problem(429, "rate limit exceeded for the minute window", {"Retry-After": "1", **_QUOTA, **_POLICY})
        if fault == "error":
            raise Problem(503, "service unavailable")
        return fault

    def _known(self, endpoint_id: str) -> None:
        if endpoint_id != ENDPOINT_ID:
            raise Problem(404, "serverless endpoint not found")

    def _billing(self, request: Request) -> Response:
        answer = runpod_billing.answer(
            request.query, seconds=self._endpoint.billed_seconds, rate=self._rate, serverless_id=ENDPOINT_ID, now_us=self._clock.us
        )
        return _json(answer)

    def _gpus(self, _request: Request) -> Response:
        hourly = float(round(self._rate * 3600, 2))
        gpu = {
            "id": GPU,
            "name": "RTX 4090",
            "pool": "ADA_24",
            "manufacturer": "NVIDIA",
            "memory": 24,
            "secure": True,
            "community": True,
            "price": {"secure": 0.69, "community": 0.44, "serverless": hourly},
            "maxCount": {"secure": 8, "community": 4},
        }
        return _json({"gpus": [gpu]})

    def _settings(self, _request: Request, endpoint_id: str) -> Response:
        self._known(endpoint_id)
        base = f"https://api.runpod.ai/v2/{endpoint_id}"
        return _json(
            {
                "id": endpoint_id,
                "name": "summariser",
                "type": "QUEUE",
                "requestUrls": {
                    "run": f"{base}/run",
                    "runSync": f"{base}/runsync",
                    "status": f"{base}/status/{{job_id}}",
                    "stream": f"{base}/stream/{{job_id}}",
                    "cancel": f"{base}/cancel/{{job_id}}",
                    "retry": f"{base}/retry/{{job_id}}",
                    "purgeQueue": f"{base}/purge-queue",
                    "health": f"{base}/health",
                },
                "image": "acme/summariser:1.4.0",
                "args": "",
                "disk": 20,
                "ports": [],
                "env": {},
                "registry": None,
                "gpu": {"pools": ["ADA_24"], "count": 1, "allowedCudaVersions": [], "minCudaVersion": None},
                "workers": {"min": 0, "max": self._max_workers(), "idleTimeout": int(self._endpoint.plan.idle_timeout_s)},
                "scaling": {"type": "QUEUE_DELAY", "queueDelay": 4},
                "dataCenterIds": ["EU-RO-1"],
                "networkVolumes": [],
                "timeout": int(self._endpoint.plan.timeout_s * 1000),
                "flashboot": "FLASHBOOT",
                "createdAt": iso_s(self._first_us()),
            }
        )

    def _releases(self, _request: Request, endpoint_id: str) -> Response:
        self._known(endpoint_id)
        alive = len(self._alive())
        release = {
            "id": "5r9x2m7q",
            "version": 1,
            "source": "MANUAL",
            "buildId": None,
            "createdByUserId": None,
            "createdAt": iso_s(self._first_us()),
            "workerCount": alive,
            "diff": [],
        }
        rollout = {"inProgress": False, "workersOnLatest": alive, "workersTotal": alive, "percentOnLatest": 100 if alive else 0}
        return _json({"endpointVersion": 1, "rollout": rollout, "releases": [release]})

    def _workers(self, _request: Request, endpoint_id: str) -> Response:
        self._known(endpoint_id)
        now, rows = self._clock.us, []
        summary = dict.fromkeys(("running", "idle", "initializing", "throttled", "unhealthy"), 0)
        for worker in self._alive():
            status = "INITIALIZING" if worker.ready_us > now else ("RUNNING" if worker.number in self._busy() else "IDLE")
            summary[status.lower()] += 1
            rows.append(
                {
                    "id": worker.id,
                    "status": status,
                    "isStale": False,
                    "version": 1,
                    "gpuCount": 1,
                    "image": "acme/summariser:1.4.0",
                    "uptimeSeconds": (now - worker.started_us) // SECOND,
                    "gpuTypeId": GPU,
                    "dataCenterId": "EU-RO-1",
                    "startedAt": iso_s(worker.started_us),
                }
            )
        return _json({"endpointVersion": 1, "summary": {**summary, "total": len(rows)}, "workers": rows})

    def _logs(self, request: Request, endpoint_id: str, worker_id: str) -> Response:
        self._known(endpoint_id)
        if worker_id not in {w.id for w in self._alive()}:
            raise Problem(404, "worker not found")
        source = _one(request, "source")
        if source not in (None, "container", "system"):
            raise Problem(400, "source must be container or system")
        tail = int(_one(request, "tail") or 100)
        if not 0 <= tail <= 5000:
            raise Problem(422, "tail must be between 0 and 5000")
        lines = [] if source == "system" else [line for line in self._endpoint.console.get(worker_id, ()) if line[0] <= self._clock.us]
        since = request.headers.get("last-event-id") or _one(request, "since")
        numbered = list(enumerate(lines))
        if since:
            # The cursor has whole seconds; its line number tells which of that second's lines were seen.
            stamp, _, seen = since.partition("/")
            begin = to_us(rfc3339("since", stamp))
            numbered = [(i, line) for i, line in numbered if line[0] // SECOND * SECOND >= begin and (not seen or i > int(seen))]
        else:
            numbered = numbered[len(numbered) - tail :] if tail else []
        headers = {"Content-Type": "text/event-stream", "Cache-Control": "no-cache", "X-Accel-Buffering": "no", **_QUOTA, **_POLICY}
        return Response(body=_events(numbered), headers=headers)

    def _status(self, _request: Request, endpoint_id: str, job_id: str) -> Response:
        self._known(endpoint_id)
        job, now = self._endpoint.jobs.get(job_id), self._clock.us
        if job is None or now < job.arrived_us or now > job.ended_us + JOB_KEPT_US:
            raise Problem(404, "job not found")
        answer: dict[str, Any] = {"id": job.id, "status": "IN_QUEUE" if now < job.taken_us else "IN_PROGRESS"}
        if now >= job.taken_us:
            answer |= {"delayTime": (job.taken_us - job.arrived_us) // MS, "workerId": job.worker_id}
        if now >= job.ended_us:
            answer |= {"status": "FAILED" if job.failed else "COMPLETED", "executionTime": (job.ended_us - job.taken_us) // MS}
            answer |= {"error": "prompt too long"} if job.failed else {"output": {"summary": "..."}}
        return _json(answer)

    def _health(self, _request: Request, endpoint_id: str) -> Response:
        self._known(endpoint_id)
        now = self._clock.us
        jobs = list(self._endpoint.jobs.values())
        done = [j for j in jobs if j.ended_us <= now]
        running = [j for j in jobs if j.taken_us <= now < j.ended_us]
        alive = self._alive()
        return _json(
            {
                "jobs": {
                    "completed": sum(not j.failed for j in done),
                    "failed": sum(j.failed for j in done),
                    "inProgress": len(running),
                    "inQueue": sum(j.arrived_us <= now < j.taken_us for j in jobs),
                    "retried": 0,
                },
                "workers": {
                    "idle": len(alive) - len(running),
                    "initializing": sum(w.ready_us > now for w in alive),
                    "ready": sum(w.ready_us <= now for w in alive),
                    "running": len(running),
                    "throttled": 0,
                    "unhealthy": 0,
                },
            }
        )

    def _alive(self) -> list[Worker]:
        now = self._clock.us
        return [w for w in self._endpoint.history.workers if w.started_us <= now < w.stopped_us]

    def _busy(self) -> set[int]:
        now = self._clock.us
        return {r.worker for r in self._endpoint.history.requests if r.worker is not None and r.taken_us <= now < r.ended_us}

    def _max_workers(self) -> int:
        """RunPod cuts an endpoint without requests to two workers after three days, and to none after seven."""
        last = max((j.arrived_us for j in self._endpoint.jobs.values() if j.arrived_us <= self._clock.us), default=self._first_us())
        days = (self._clock.us - last) / (24 * HOUR)
        return 0 if days >= 7 else 2 if days >= 3 else MAX_WORKERS

    def _first_us(self) -> int:
        return min((w.started_us for w in self._endpoint.history.workers), default=0)


def _events(numbered: list[tuple[int, tuple[int, str]]]) -> Iterator[bytes]:
    for number, (at, line) in numbered:
        data = json.dumps({"ts": iso_s(at), "source": "container", "line": line}, separators=(",", ":"))
        yield f"id: {iso_s(at)}/{number:012d}\ndata: {data}\n\n".encode()
    # The real stream stays open for new lines; the sandbox's clock stands still, so there are none.
    yield b": keep-alive\n\n"


def _one(request: Request, name: str) -> str | None:
    values = request.query.get(name)
    return values[0] if values else None


def _json(answer: Mapping[str, Any]) -> Response:
    return Response(body=json.dumps(answer).encode(), headers={"Content-Type": "application/json", **_QUOTA, **_POLICY})
