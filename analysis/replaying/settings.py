"""The settings a trial is replayed under: as it is, the article's, and each dedicated option, by their stable names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from analysis.replaying.policies import Policy, QueueDelay, RequestCount
from trial.config import Dedicated

AS_IT_IS = "as it is"
PING_EVERY_S = 480.0

# How platforms decide to start a worker. Which one a trial shows is found by replaying it (analysis.whatif).
PER_REQUEST = "a worker per waiting request"
WAIT_FOR_LOAD = "requests wait for a starting worker"
QUEUE_DELAY = "a worker after 4 s in the queue"


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """
    One row of the what-if table.

    Args:
        keep_pings: the trial's own keep-warm pings stay in the arrivals.
        dedicated: the option of trial.toml, for its price and its speed.
    """

    name: str
    policy: Policy
    keep_pings: bool = True
    dedicated: Dedicated | None = None


def current_policies(endpoint: Any, idle_timeout_s: float | None) -> dict[str, Policy]:
    """
    What the endpoint may be set to, by the scaling rule: the same settings under every rule its platform may follow.

    Args:
        endpoint: its table of trial.toml.
        idle_timeout_s: as estimated from its log.
    """
    always_on = getattr(endpoint, "instances", 0) or getattr(endpoint, "replicas", 0)
    if always_on:
        return {"instances that are always on": Policy(dedicated=always_on, concurrency=endpoint.concurrency, idle_timeout_s=None)}
    base = Policy(
        idle_timeout_s=idle_timeout_s,
        min_workers=endpoint.min_workers,
        concurrency=endpoint.concurrency,
        provisioned=getattr(endpoint, "provisioned_concurrency", 0),
    )
    platform = endpoint.format if endpoint.platform == "export" else endpoint.platform
    if platform == "aws-lambda":
        return {PER_REQUEST: base}
    rules = {
        PER_REQUEST: base,
        WAIT_FOR_LOAD: replace(base, load_queueing=True),
        QUEUE_DELAY: replace(base, scaler=QueueDelay(seconds=4.0)),
    }
    # RunPod's default comes first there: of rules that fit alike, the first is taken.
    return {QUEUE_DELAY: rules[QUEUE_DELAY], **rules} if platform == "runpod" else rules


def standard_settings(current: Policy, *, dedicated: Sequence[Dedicated] = (), ping_service_ms: float = 0.0) -> list[Setting]:
    """The named rows, in the order in which they are shown; an always-on endpoint has no idle time-out to vary."""
    rows = [Setting(name=AS_IT_IS, policy=current)]
    if current.dedicated is None:
        bare = replace(current, ping_every_s=None)
        pinged = replace(current, idle_timeout_s=current.idle_timeout_s, ping_every_s=PING_EVERY_S, ping_service_ms=ping_service_ms)
        rows += [
            Setting(name="idle 10 min", policy=replace(current, idle_timeout_s=600.0)),
            Setting(name="idle 15 min", policy=replace(current, idle_timeout_s=900.0)),
            Setting(name="health check every 8 min", policy=pinged, keep_pings=False),
            Setting(name="min workers 1", policy=replace(bare, min_workers=1), keep_pings=False),
            Setting(name="2 provisioned", policy=replace(bare, provisioned=2), keep_pings=False),
        ]
    rows += [Setting(name=d.name, policy=on_dedicated(d, current), keep_pings=False, dedicated=d) for d in dedicated]
    return rows


def on_dedicated(option: Dedicated, current: Policy) -> Policy:
    """The option's instances with one queue, each serving as many requests at once as a worker of the trial did."""
    return Policy(dedicated=option.instances, concurrency=current.concurrency, idle_timeout_s=None)


def described(policy: Policy) -> dict[str, float | int | str]:
    """The settings that matter, for a table, JSON and MLflow parameters."""
    if policy.dedicated is not None:
        return {"dedicated": policy.dedicated, "concurrency": policy.concurrency}
    floor = policy.min_workers if isinstance(policy.min_workers, int) else f"by shifts, up to {policy.most_floor}"
    said: dict[str, float | int | str] = {
        "idle_timeout_s": "none" if policy.idle_timeout_s is None else round(policy.idle_timeout_s, 3),
        "min_workers": floor,
        "provisioned": policy.provisioned,
        "concurrency": policy.concurrency,
        "scaling": scaling(policy),
        "routing": policy.routing,
    }
    if policy.max_workers is not None:
        said |= {"max_workers": policy.max_workers, "overflow": policy.overflow}
    if policy.ping_every_s is not None:
        said["ping_every_s"] = policy.ping_every_s
    return said


def scaling(policy: Policy) -> str:
    """The rule by which workers start, in words."""
    if isinstance(policy.scaler, QueueDelay):
        return f"a worker after {policy.scaler.seconds:g} s in the queue"
    if isinstance(policy.scaler, RequestCount):
        return f"a worker per {policy.scaler.per_worker} requests"
    return WAIT_FOR_LOAD if policy.load_queueing else PER_REQUEST
