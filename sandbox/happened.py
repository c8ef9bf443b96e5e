"""What happened in the sandbox: requests and worker lives, exact, before any log line is written about them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """A request on its way in, with what is planted on it."""

    at_us: int
    kind: str = "user"  # user or ping
    cases: frozenset[str] = frozenset()
    request_id: str | None = None
    attempt: int = 1
    until_us: int = 0  # the handler runs until then, where that is planted


@dataclass(frozen=True, slots=True, kw_only=True)
class Prestart:
    """
    An instance the platform starts without a request waiting for it.

    With reason "drain" none is started: a new version is deployed, the others stop, and `cases` hold for every later start.
    """

    at_us: int
    reason: str
    cases: frozenset[str] = frozenset()
    keep_until_us: int = 0
    drains_others: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """
    One attempt of a request, as it went.

    Args:
        worker: number of the worker in the history; None for a request aborted before any.
        taken_us: when the worker was free and ready for it (START); the wait before is start-up.
        handler_us: time in the handler, lazy loading included; gpu_us of it on the GPU.
        reinit_us: a start-up inside this request that the platform does not report.
        cold: it met a worker that was not ready; waited: its caller waited for that.
        reason: why it was cold, in the words of the cold_reason column.
        visible: whether any source the collector reads can show it.
    """

    number: int
    arrival: Arrival
    request_id: str
    worker: int | None
    taken_us: int
    handler_us: int
    gpu_us: int
    load_us: int = 0
    reinit_us: int = 0
    first_of_process: bool = False
    cold: bool = False
    waited: bool = False
    reason: str | None = None
    visible: bool = True
    fate: str = "ok"  # ok, error, timeout, crash, out-of-memory, killed, aborted
    input_tokens: int = 0
    output_tokens: int = 0

    @property
    def ended_us(self) -> int:
        return self.taken_us + self.handler_us


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """
    One worker's life.

    Args:
        started_us, ready_us, stopped_us: billed from start to stop where the platform bills lives.
        reason: autoscaling, min_instance, rollout, proactive, provisioned, resumed, mid_stream.
        process_us: when its process began: a resumed worker keeps its own.
        cases: what is planted on its start.
    """

    number: int
    id: str
    started_us: int
    ready_us: int
    stopped_us: int
    reason: str
    process_us: int
    cases: frozenset[str] = frozenset()

    @property
    def start_up_us(self) -> int:
        return self.ready_us - self.started_us


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """One endpoint's two weeks, requests in order of arrival, workers in order of start."""

    requests: tuple[Served, ...]
    workers: tuple[Worker, ...]
