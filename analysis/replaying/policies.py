"""The settings a what-if replays: one frozen record, checked for contradictions when it is made."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from trial.errors import ConfigError

Routing = Literal["newest-idle", "newest-created", "least-recently-used", "random"]
Overflow = Literal["queue", "reject"]

ROUTINGS = ("newest-idle", "newest-created", "least-recently-used", "random")
OVERFLOWS = ("queue", "reject")
DAY_S = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """Minimum workers between two hours of the day; `to_hour` below `from_hour` runs across midnight."""

    from_hour: float
    to_hour: float
    workers: int

    def __post_init__(self) -> None:
        if not (0 <= self.from_hour < 24 and 0 < self.to_hour <= 24) or self.from_hour == self.to_hour:
            raise _contradiction(f"a shift from hour {self.from_hour:g} to {self.to_hour:g}", "Use hours from 0 to 24 that differ")
        if self.workers < 0:
            raise _contradiction(f"a shift of {self.workers} workers", "Use 0 or more")

    def covers(self, hour: float) -> bool:
        if self.from_hour < self.to_hour:
            return self.from_hour <= hour < self.to_hour
        return hour >= self.from_hour or hour < self.to_hour


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueDelay:
    """RunPod's queue-delay scaler: the first request starts a worker, later ones only after waiting this long."""

    seconds: float = 4.0

    def __post_init__(self) -> None:
        if not (self.seconds >= 0 and math.isfinite(self.seconds)):
            raise _contradiction(f"a queue delay of {self.seconds} s", "Use a number of seconds, 0 or more")


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestCount:
    """RunPod's request-count scaler: ceil((requests queued + in progress) / per_worker) workers."""

    per_worker: int = 4

    def __post_init__(self) -> None:
        if self.per_worker < 1:
            raise _contradiction(f"a request-count scaler of {self.per_worker} requests per worker", "Use 1 or more")


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """
    How a platform is set to start, keep and stop workers.

    Args:
        idle_timeout_s: a worker idle this long stops; None keeps it for ever.
        min_workers: workers kept ready whatever the idle time-out, always or by shifts of the local day.
        max_workers: at most this many alive, min_workers included, provisioned ones not; None for no limit.
        overflow: what happens to a request above max_workers.
        concurrency: requests one worker serves at once.
        ping_every_s: a keep-warm request every so often; it is routed like any request and counted apart.
        ping_service_ms: how long a ping keeps its worker busy.
        provisioned: workers that never stop and are always asked first; what they cannot take spills over to the others.
        routing: which of several idle workers takes the request. Lambda was seen to take the newest idle in 23,230 of 23,230
            choices (logs of pacslab/serverless-performance-modeling); SimFaaS takes the newest created.
        scaler: None starts a worker for each request that finds none free.
        dedicated: that many instances which never stop, with one queue before them, and nothing else.
        load_queueing: requests that arrive while a worker starts wait for it instead of starting their own.
        seed: of the random routing.
        midnight_ms: where a local midnight lies on the clock of the arrivals, for shifts.

    Raises:
        ConfigError: the settings contradict each other.
    """

    idle_timeout_s: float | None = 600.0
    min_workers: int | tuple[Shift, ...] = 0
    max_workers: int | None = None
    overflow: Overflow = "queue"
    concurrency: int = 1
    ping_every_s: float | None = None
    ping_service_ms: float = 0.0
    provisioned: int = 0
    routing: Routing = "newest-idle"
    scaler: QueueDelay | RequestCount | None = None
    dedicated: int | None = None
    load_queueing: bool = False
    seed: int = 0
    midnight_ms: float = 0.0

    def __post_init__(self) -> None:
        _check_values(self)
        _check_dedicated(self)
        if self.ping_every_s is not None and self.idle_timeout_s is None:
            raise _contradiction("a keep-warm ping, but no idle time-out", "Give an idle time-out, or leave the ping out")
        if self.max_workers is not None and self.most_floor > self.max_workers:
            raise _contradiction(
                f"min_workers {self.most_floor} above max_workers {self.max_workers}", "Raise max_workers or lower min_workers"
            )
        if self.max_workers == 0 and not self.provisioned:
            raise _contradiction("max_workers 0 with no provisioned worker", "Nothing could serve a request: allow at least 1")
        if self.overflow == "reject" and self.max_workers is None and self.dedicated is None:
            raise _contradiction("requests are to be rejected, but nothing limits the workers", "Give max_workers, or queue")

    @property
    def most_floor(self) -> int:
        """The largest minimum of the day."""
        return self.min_workers if isinstance(self.min_workers, int) else max((s.workers for s in self.min_workers), default=0)

    def floor_at(self, ms: float) -> int:
        """Minimum workers at a moment of the arrivals' clock; where shifts overlap, the largest."""
        if isinstance(self.min_workers, int):
            return self.min_workers
        hour = ((ms - self.midnight_ms) / 3_600_000) % 24
        return max((s.workers for s in self.min_workers if s.covers(hour)), default=0)


def from_flags(*, idle_timeout_s: float | None, dedicated: int | None = None, **given: Any) -> Policy:
    """
    The policy of `fortnight whatif --arrivals ...`: `idle_timeout_s`, `dedicated` and what `changes` takes.

    The routing is SimFaaS's unless said otherwise, so that a file replayed by both gives the same averages to the last digit.

    Raises:
        ConfigError: nothing says how long a worker is kept, or any contradiction of `changes` or Policy.
    """
    found: dict[str, Any] = {"routing": "newest-created"} | changes(**given)
    policy = Policy(idle_timeout_s=idle_timeout_s, dedicated=dedicated, **found)
    if idle_timeout_s is None and dedicated is None:
        raise ConfigError("nothing says how long an idle worker is kept", do="Give --idle-timeout, in seconds, or --dedicated")
    return policy


def changes(
    *,
    reject: bool | None = None,
    shifts: Sequence[str] | None = None,
    load_queueing: bool | None = None,
    queue_delay_s: float | None = None,
    requests_per_worker: int | None = None,
    **named: Any,
) -> dict[str, Any]:
    """
    What the flags of `fortnight whatif` set in a Policy, by the names of its fields; None is a flag that was not given.

    Args:
        shifts: "8-18=2" is two workers kept ready from 8 to 18 h.
        named: fields of Policy under their own names.

    Raises:
        ConfigError: two scaling rules at once, two minimums at once, or a shift that is none.
    """
    found = {name: value for name, value in named.items() if value is not None}
    if shifts:
        if "min_workers" in found:
            raise _contradiction("one minimum of workers for always and another by shifts", "Choose one of them")
        found["min_workers"] = tuple(_shift(text) for text in shifts)
    if reject is not None:
        found["overflow"] = "reject" if reject else "queue"
    rules = [rule for rule in (load_queueing or None, queue_delay_s, requests_per_worker) if rule is not None]
    if len(rules) > 1:
        raise _contradiction("two scaling rules at once", "Choose one of queueing on a load, the queue delay and the request count")
    if rules or load_queueing is not None:
        found["load_queueing"] = bool(load_queueing)
        found["scaler"] = None
    if queue_delay_s is not None:
        found["scaler"] = QueueDelay(seconds=queue_delay_s)
    elif requests_per_worker is not None:
        found["scaler"] = RequestCount(per_worker=requests_per_worker)
    return found


def _shift(text: str) -> Shift:
    hours, _, workers = text.partition("=")
    begin, _, end = hours.partition("-")
    try:
        return Shift(from_hour=float(begin), to_hour=float(end), workers=int(workers))
    except ValueError as exc:
        raise ConfigError(f"{text!r} is no shift", do="Write hours and workers, such as 8-18=2") from exc


def _check_values(policy: Policy) -> None:
    if policy.routing not in ROUTINGS:
        raise _contradiction(f"routing {policy.routing!r}", f"Use one of {', '.join(ROUTINGS)}")
    if policy.overflow not in OVERFLOWS:
        raise _contradiction(f"overflow {policy.overflow!r}", f"Use one of {', '.join(OVERFLOWS)}")
    for name, least in (("max_workers", 0), ("concurrency", 1), ("provisioned", 0), ("dedicated", 1)):
        value = getattr(policy, name)
        if value is not None and (not isinstance(value, int) or value < least):
            raise _contradiction(f"{name} is {value}", f"Use a whole number, {least} or more")
    if isinstance(policy.min_workers, int) and policy.min_workers < 0:
        raise _contradiction(f"min_workers is {policy.min_workers}", "Use a whole number, 0 or more")
    for name, smallest in (("idle_timeout_s", 0.0), ("ping_every_s", 0.001), ("ping_service_ms", 0.0)):
        value = getattr(policy, name)
        if value is not None and not (smallest <= value < math.inf):
            raise _contradiction(f"{name} is {value}", f"Use a finite number, {smallest:g} or more")


def _check_dedicated(policy: Policy) -> None:
    if policy.dedicated is None:
        return
    unset = Policy.__dataclass_fields__
    for name in ("min_workers", "max_workers", "ping_every_s", "provisioned", "scaler", "load_queueing"):
        if getattr(policy, name) != unset[name].default:
            raise _contradiction(f"dedicated instances and {name}", f"Dedicated instances neither start nor stop: leave {name} out")


def _contradiction(what: str, do: str) -> ConfigError:
    return ConfigError(f"this policy makes no sense: {what}", do=do)
