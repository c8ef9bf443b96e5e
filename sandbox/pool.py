"""An event loop over one endpoint's arrivals: newest-idle-first routing, scale-out, idle time-out, resets, prestarts."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from sandbox.happened import Arrival, History, Prestart, Served, Worker
from sandbox.instants import MINUTE, MS, SECOND
from sandbox.plans import Plan
from sandbox.seeds import uuid4_text

INIT_LIMIT_US = 10 * SECOND
RETRY_AFTER_US = MINUTE
RESUME_WITHIN_US = 90 * SECOND
# Instance logs lag the request log by a third of a second: nearer to readiness than this, logs cannot tell who waited.
BRINK_BEFORE_US, BRINK_AFTER_US = 1_500 * MS, 1_200 * MS


@dataclass(slots=True)
class _Live:
    """A worker while it lives; mutable inside this loop only."""

    number: int
    id: str
    started_us: int
    ready_us: int
    reason: str
    process_us: int
    cases: frozenset[str]
    keep_until_us: int = 0
    last_us: int = 0
    ends: tuple[int, ...] = ()
    fresh: bool = True
    needs_reinit: bool = False

    def active(self, at: int) -> int:
        self.ends = tuple(end for end in self.ends if end > at)
        return len(self.ends)

    def expires(self, timeout_us: int) -> int:
        return max(self.last_us + timeout_us, self.keep_until_us)


class Pool:
    """Serves arrivals in order of time and remembers everything; use `run`."""

    def __init__(self, plan: Plan, *, rng: np.random.Generator, cases: frozenset[str]) -> None:
        self._plan, self._rng, self._cases = plan, rng, cases
        self._live: list[_Live] = []
        self._done: list[Worker] = []
        self._served: list[Served] = []
        self._workers = 0
        self._timeout = int(plan.idle_timeout_s * SECOND)
        self._version_cases: frozenset[str] = frozenset()

    def serve(self, arrivals: Iterable[Arrival], prestarts: Iterable[Prestart]) -> History:
        queue: list[tuple[int, int, Arrival | Prestart]] = []
        incoming: list[Arrival | Prestart] = [*prestarts, *arrivals]
        for order, item in enumerate(incoming):
            heapq.heappush(queue, (item.at_us, order, item))
        order = len(queue)
        while queue:
            at, _, item = heapq.heappop(queue)
            self._expire(at)
            if isinstance(item, Prestart):
                self._prestart(item)
                continue
            later = self._on_the_brink(at)
            if later is not None:
                heapq.heappush(queue, (later, order, replace(item, at_us=later)))
            else:
                served = self._request(item)
                self._served.append(served)
                if "async-retry" in item.cases and served.fate in ("crash", "error") and item.attempt == 1:
                    again = served.ended_us + RETRY_AFTER_US
                    retry = replace(item, at_us=again, request_id=served.request_id, attempt=2, cases=frozenset(("retried",)))
                    heapq.heappush(queue, (again, order, retry))
            order += 1
        self._expire(1 << 62)
        return History(requests=tuple(self._served), workers=tuple(sorted(self._done, key=lambda w: w.number)))

    def _on_the_brink(self, at: int) -> int | None:
        """When to come instead, where an arrival at `at` would meet a worker just as it gets ready."""
        if not self._plan.shares_starting:
            return None
        for live in self._live:
            if live.ready_us - BRINK_BEFORE_US <= at < live.ready_us + BRINK_AFTER_US:
                return live.ready_us + BRINK_AFTER_US
        return None

    def _expire(self, at: int) -> None:
        for live in [w for w in self._live if w.expires(self._timeout) <= at]:
            self._stop(live, live.expires(self._timeout))

    def _stop(self, live: _Live, at: int) -> None:
        self._live.remove(live)
        self._done.append(
            Worker(
                number=live.number,
                id=live.id,
                started_us=live.started_us,
                ready_us=live.ready_us,
                stopped_us=at,
                reason=live.reason,
                process_us=live.process_us,
                cases=live.cases,
            )
        )

    def _prestart(self, item: Prestart) -> None:
        if item.drains_others:
            for live in list(self._live):
                # A draining instance finishes what it has and stops; the new revision takes every later request.
                self._stop(live, max(item.at_us, live.last_us))
        if item.reason == "drain":
            self._version_cases = item.cases
            return
        live = self._start(item.at_us, reason=item.reason, cases=item.cases)
        live.keep_until_us = item.keep_until_us

    def _start(self, at: int, *, reason: str, cases: frozenset[str]) -> _Live:
        plan, cases = self._plan, cases | self._version_cases
        boot = int(plan.boot_ms * MS * self._rng.lognormal(0.0, 0.18))
        load = int(plan.load_ms * MS * self._rng.lognormal(0.0, 0.22))
        start_up = min(boot + load, INIT_LIMIT_US - SECOND) if plan.platform == "aws-lambda" else boot + load
        if "lazy-load" in cases:
            start_up = boot
        if "init-timeout" in cases:
            start_up = INIT_LIMIT_US + int(self._rng.uniform(11, 16) * SECOND)
        if "init-timeout-twice" in cases:
            start_up = INIT_LIMIT_US + 50 * MS
        if "init-error" in cases:
            start_up = int(self._rng.uniform(1.5, 1.8) * SECOND) + int(self._rng.uniform(1.6, 1.9) * SECOND)
        if "snapstart" in cases:
            start_up = int(self._rng.uniform(0.5, 1.1) * SECOND)
        number, self._workers = self._workers, self._workers + 1
        ready = at + start_up
        live = _Live(
            number=number,
            id=self._worker_id(),
            started_us=at,
            ready_us=ready,
            reason=reason,
            process_us=at + boot // 2,
            cases=cases,
            last_us=ready,
        )
        self._live.append(live)
        return live

    def _worker_id(self) -> str:
        if self._plan.platform == "cloud-run":
            return "00" + self._rng.bytes(75).hex()
        if self._plan.platform == "runpod":
            return "".join("abcdefghijklmnopqrstuvwxyz0123456789"[i] for i in self._rng.integers(0, 36, 14))
        return self._rng.bytes(16).hex()

    def _choose(self, at: int) -> _Live | None:
        """The newest idle worker; for shared instances the busiest with room, as its idle peers are to be stopped."""
        ready = [w for w in self._live if w.ready_us <= at and w.active(at) < self._plan.concurrency]
        if self._plan.platform == "aws-lambda":
            # An environment past its age takes nothing new.
            ready = [w for w in ready if at - w.started_us < self._plan.max_life_s * SECOND]
        return max(ready, key=lambda w: (w.active(at), w.last_us, w.number), default=None)

    def _request(self, item: Arrival) -> Served:
        plan, at = self._plan, item.at_us
        if "aborted" in item.cases:
            return self._aborted(item)
        live = self._choose(at)
        cold, waited, reason, resumed = False, False, None, False
        if live is None and plan.shares_starting:
            starting = [w for w in self._live if w.ready_us > at and w.active(at) < plan.concurrency]
            live = min(starting, key=lambda w: w.ready_us, default=None)
        if live is None:
            if plan.max_workers is not None and len(self._live) >= plan.max_workers:
                return self._aborted(item)
            live, resumed = self._resume(item) or (None, False)
            if live is None:
                # The platform notices 35 to 52 ms after the request came.
                begin = (
                    at + int(self._rng.uniform(35, 52) * MS) if plan.platform == "cloud-run" else at + int(self._rng.uniform(5, 30) * MS)
                )
                live = self._start(begin, reason="autoscaling", cases=item.cases & _ON_START)
        picked_up = int(self._rng.uniform(1, 4) * MS)
        taken = max(at, live.ready_us) + (0 if "at-midnight" in item.cases else picked_up)
        if live.ready_us > at:
            cold, waited, reason = True, True, _REASONS[plan.platform]
            if resumed:
                reason = "flashboot_resume"
            elif {"init-timeout", "init-timeout-twice"} & live.cases:
                reason = "init_timeout"
            elif "init-error" in live.cases:
                reason = "init_error"
            elif "snapstart" in live.cases:
                reason = "restore"
            elif "labels-missing" in live.cases:
                reason = "instance_start_inferred"
        elif live.fresh and live.reason in ("proactive", "provisioned"):
            # Text logs do not name what initialised it ahead.
            cold, waited, reason = True, False, live.reason if "json" in live.cases or "json-only" in self._cases else "proactive"
        elif live.fresh and live.reason == "mid_stream":
            cold, waited, reason = False, False, "mid_stream"
        return self._handle(item, live, taken, cold=cold, waited=waited, reason=reason)

    def _handle(self, item: Arrival, live: _Live, taken: int, *, cold: bool, waited: bool, reason: str | None) -> Served:
        plan = self._plan
        service = max(20 * MS, int(plan.service_ms * MS * self._rng.lognormal(0.0, plan.service_sigma)))
        tokens = (int(self._rng.integers(80, 900)), int(self._rng.integers(20, 260)))
        fate, load, reinit = "ok", 0, 0
        # A resumed worker, and one that is older than its logs, had served before.
        first = live.needs_reinit or (live.fresh and live.reason not in ("resumed", "mid_stream"))
        if live.needs_reinit:
            reinit = int(plan.boot_ms * MS * 0.6) + int(plan.load_ms * MS * self._rng.lognormal(0.0, 0.2))
            cold, waited, reason, live.needs_reinit = True, True, "reinit", False
        # The rolled-out or prestarted instance whose handler loads the model lazily is what makes its first request wait.
        if "lazy-load" in live.cases and live.fresh:
            load = int(plan.load_ms * MS * self._rng.uniform(1.0, 1.3))
            if not cold or not waited:
                cold, waited, reason = True, True, "lazy_load"
        # A wait of over a second is too long for a worker that is up, where a job object tells of it.
        visible = reason != "flashboot_resume" or (bool(_JOB_OBJECTS & self._cases) and (taken - item.at_us) // MS > 1000)
        live.fresh = False
        limit = int(plan.timeout_s * SECOND)
        for name in ("crash", "out-of-memory", "timeout", "killed", "error"):
            if name in item.cases:
                fate = name
        fate = next((_FATES[name] for name in sorted(item.cases) if name in _FATES), fate)
        if fate == "timeout":
            service, load = limit, 0
        elif fate in ("crash", "out-of-memory"):
            service = max(30 * MS, service // 3)
        if "probe-lags" in item.cases:
            service = 40 * MS
        if item.until_us:
            service = item.until_us - taken
        handler = service + load if fate == "timeout" else min(service + load, limit - SECOND)
        if "at-midnight" in item.cases:
            # Lines tell whole milliseconds: that it began at midnight is to follow from its end and this.
            handler -= handler % MS
        share = 1.0 if plan.gpu_share is None else plan.gpu_share * float(self._rng.uniform(0.9, 1.05))
        taken += reinit
        end = taken + handler
        live.ends = (*live.ends, end)
        live.last_us = max(live.last_us, end)
        live.needs_reinit = fate in ("crash", "out-of-memory", "timeout")
        if fate == "killed" or "exit" in item.cases:
            live.keep_until_us = 0
            self._stop(live, end)
        ping = item.kind == "ping"
        return Served(
            number=len(self._served),
            arrival=item,
            request_id=item.request_id or self._request_id(),
            worker=live.number,
            taken_us=taken,
            handler_us=handler,
            gpu_us=int((handler - load) * share),
            load_us=load,
            reinit_us=reinit,
            first_of_process=first,
            cold=cold,
            waited=waited,
            reason=reason,
            visible=visible,
            fate=fate,
            input_tokens=0 if ping else tokens[0],
            output_tokens=0 if ping else tokens[1],
        )

    def _resume(self, item: Arrival) -> tuple[_Live, bool] | None:
        """FlashBoot: the worker that stopped last comes back with its process, now and then."""
        if "flashboot" not in self._cases or self._plan.platform != "runpod" or not self._done or self._rng.random() > 0.08:
            return None
        last = max(self._done, key=lambda w: w.stopped_us)
        # One that was resumed already, and is at work, cannot be resumed again.
        if not 0 <= item.at_us - last.stopped_us <= RESUME_WITHIN_US or any(live.id == last.id for live in self._live):
            return None
        live = self._start(item.at_us + 10 * MS, reason="resumed", cases=frozenset(("flashboot",)))
        live.id, live.process_us = last.id, last.process_us
        live.ready_us = live.last_us = live.started_us + int(self._rng.uniform(0.9, 1.8) * SECOND)
        return live, True

    def _aborted(self, item: Arrival) -> Served:
        return Served(
            number=len(self._served),
            arrival=item,
            request_id=self._request_id(),
            worker=None,
            taken_us=item.at_us,
            handler_us=0,
            gpu_us=0,
            fate="aborted",
        )

    def _request_id(self) -> str:
        if self._plan.platform == "cloud-run":
            return self._rng.bytes(16).hex()
        if self._plan.platform == "replicate":
            return "".join("0123456789abcdefghjkmnpqrstvwxyz"[i] for i in self._rng.integers(0, 32, 26))
        text = uuid4_text(self._rng)
        return f"{text}-u1" if self._plan.platform == "runpod" else text


_FATES = {"async-retry": "crash", "init-timeout-twice": "timeout", "failed-sdk-lines": "error", "failed-plain-lines": "error"}
_JOB_OBJECTS = frozenset(("job-objects", "webhook-only"))
_ON_START = frozenset(
    ("init-timeout", "init-timeout-twice", "init-error", "snapstart", "lazy-load", "labels-missing", "short-reason", "probe-failed")
)
_REASONS = {"aws-lambda": "init", "cloud-run": "instance_start", "runpod": "handler_flag", "replicate": "queue_delay"}
