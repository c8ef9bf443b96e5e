"""The records that travel between rooms: frozen, slotted, keyword-only, with their invariants checked on creation."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Literal

Cold = Literal["cold", "warm", "unknown"]
GpuMsSource = Literal["cuda_event", "handler_wall", "platform_wall", "none"]
Status = Literal["ok", "error", "timeout", "throttled", "aborted"]
Decision = Literal["stay-serverless", "evaluate-dedicated", "not-decided"]

COLD = frozenset(("cold", "warm", "unknown"))
GPU_MS_SOURCES = frozenset(("cuda_event", "handler_wall", "platform_wall", "none"))
STATUSES = frozenset(("ok", "error", "timeout", "throttled", "aborted"))


def _require_aware(name: str, at: datetime | None) -> None:
    if at is not None and at.utcoffset() is None:
        raise ValueError(f"{name} must carry a time zone, got the naive {at!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class RawEvent:
    """
    One log event or API item as the platform returned it.

    The identity is (stream, event_id): two events with one identity are the same event read twice.

    Args:
        source: which of the endpoint's sources it came from, for example "cloudwatch-logs".
        stream: log stream, log name or file; never empty.
        event_id: the platform's id, or a content hash where it gives none.
        at: the event's own timestamp, aware; decides the day it is counted on.
        ingested_at: when the platform says it received it, if it says so.
        payload: the text of a log line, or the object of an API item, untouched.
        copies: how often the identity came back within one pull (see trial.ledger).
    """

    source: str
    stream: str
    event_id: str
    at: datetime
    payload: str | dict[str, Any]
    ingested_at: datetime | None = None
    copies: int = 1

    @property
    def identity(self) -> tuple[str, str]:
        return (self.stream, self.event_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ignored:
    """A well-formed event that says nothing about a request, and why it is passed over."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """An event that looks as if it should be understood and cannot be; it is kept verbatim in quarantine."""

    reason: str
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Invocation:
    """One inference request; the columns are described one by one in trial.schema. Times in ms unless said."""

    platform: str
    endpoint: str
    day: date
    request_id: str | None
    instance_id: str | None
    started_at: datetime
    queue_ms: float | None = None
    init_ms: float | None = None
    load_ms: float | None = None
    handler_ms: float | None = None
    gpu_ms: float | None = None
    gpu_ms_source: GpuMsSource = "none"
    billed_ms: float | None = None
    latency_ms: float | None = None
    cold: Cold = "unknown"
    cold_reason: str | None = None
    waited: bool | None = None
    status: Status = "ok"
    model: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    ttft_ms: float | None = None
    synthetic: bool = False

    def __post_init__(self) -> None:
        _require_aware("started_at", self.started_at)
        if self.cold not in COLD:
            raise ValueError(f"cold must be one of {sorted(COLD)}, got {self.cold!r}")
        if self.gpu_ms_source not in GPU_MS_SOURCES:
            raise ValueError(f"gpu_ms_source must be one of {sorted(GPU_MS_SOURCES)}, got {self.gpu_ms_source!r}")
        if self.status not in STATUSES:
            raise ValueError(f"status must be one of {sorted(STATUSES)}, got {self.status!r}")
        if self.gpu_ms is not None and self.gpu_ms_source == "none":
            raise ValueError("gpu_ms without a source: say whether it is cuda_event, handler_wall or platform_wall")


@dataclass(frozen=True, slots=True, kw_only=True)
class Incomplete:
    """A request of which only a part was seen (a START without its REPORT): in no rate, but counted and named."""

    endpoint: str
    day: date
    request_id: str | None
    instance_id: str | None
    started_at: datetime
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """
    One worker or execution environment as far as the logs show its life.

    Args:
        id: the platform's id (log stream, instanceId, worker id).
        started_at: the start the platform reports; None where it reports none (then first_seen_at bounds it).
        ready_at: when it could first serve.
        first_seen_at, last_seen_at: first and last moment the logs show it alive, within what was read.
        start_reason: the platform's reason token in lower case ("autoscaling", "init", "min_instance", ...).
        init_ms: the start-up the platform reports.
    """

    endpoint: str
    id: str
    first_seen_at: datetime
    last_seen_at: datetime
    started_at: datetime | None = None
    ready_at: datetime | None = None
    start_reason: str | None = None
    init_ms: float | None = None

    def __post_init__(self) -> None:
        if self.last_seen_at < self.first_seen_at:
            raise ValueError(f"instance {self.id}: last seen {self.last_seen_at} before first seen {self.first_seen_at}")


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageBucket:
    """
    What the provider itself counted or billed for one endpoint in [start, end).

    `None` means the provider does not say; 0 means it says none.
    """

    endpoint: str
    source: str
    start: datetime
    end: datetime
    requests: int | None = None
    errors: int | None = None
    throttled: int | None = None  # turned away before they became requests; not among `requests`
    billed_usd: dict[str, Decimal] = field(default_factory=dict)  # by kind: gpu, cpu, disk, fee, ...
    billed_ms: float | None = None
    latency_ms_sum: float | None = None
    latency_ms: dict[str, float] = field(default_factory=dict)  # by percentile: "p50", "p95", ...
    gpu_utilisation: float | None = None  # 0 to 1
    gpu_ms: float | None = None  # computed on a GPU, as the server itself counts
    instances: float | None = None  # mean alive in the bucket
    starts: int | None = None  # instances started in the bucket, for whatever reason
    final: bool = True  # False while the provider still fills the bucket

    def __post_init__(self) -> None:
        if self.end <= self.start:
            raise ValueError(f"usage bucket of {self.endpoint} ends at {self.end}, not after its start {self.start}")

    @property
    def total_usd(self) -> Decimal | None:
        return sum(self.billed_usd.values(), Decimal(0)) if self.billed_usd else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """
    An inferred number with the interval that method gives it.

    Args:
        low, best, high: same unit; best is None where the method has no point estimate.
        n: how many units (days, requests) it rests on; with n = 0 the interval is the whole range.
        method: a short name of the method, whose source stands beside its formula.
    """

    low: float
    best: float | None
    high: float
    n: int
    method: str

    def __post_init__(self) -> None:
        if not self.low <= self.high:
            raise ValueError(f"{self.method}: low {self.low} above high {self.high}")


def as_dict(record: Any) -> dict[str, Any]:
    """A flat record as a dict, one level deep: what the schema and JSON need, without dataclasses' deep copies."""
    return {f.name: getattr(record, f.name) for f in fields(record)}
