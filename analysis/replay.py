"""
Replay: the observed arrivals and service times under another setting.

Times are taken in milliseconds, fractions allowed, and computed in whole microseconds, so that ties are ties: at one instant a completion
frees its worker before an arrival looks for one, and a worker whose idle time reaches the time-out is gone before it.

A request that finds no ready worker starts one, waits for its start-up and is served by it (unless the policy queues requests on
starting workers); the start-up counts as running, as SimFaaS counts it. Means are over the horizon: by default from 0 on the arrivals'
clock to the last arrival, as SimFaaS's are; from the first arrival if that is negative or the clock plainly counts from 1970.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from analysis.replaying import dedicated as replay_dedicated
from analysis.replaying import events as replay_events
from analysis.replaying import provisioned as replay_provisioned
from analysis.replaying import stack as replay_stack
from analysis.replaying.policies import Policy
from analysis.replaying.result import Flags, Ints, ReplayResult
from trial.errors import ConfigError

# A trial lasts at most a year: past it, the packed integers of replay_stack would overflow 64 bits.
YEAR_US = 366 * 86_400 * 1_000_000
LATEST_US = 1 << 60


def replay(
    arrival_ms: npt.ArrayLike,
    service_ms: npt.ArrayLike,
    policy: Policy,
    *,
    cold_extra_ms: npt.ArrayLike = 0.0,
    synthetic: npt.ArrayLike | None = None,
    horizon_ms: tuple[float, float] | None = None,
) -> ReplayResult:
    """
    Replays one policy.

    Args:
        arrival_ms: sorted; equal arrivals are served in their order.
        service_ms: handler time of each request on a warm worker.
        cold_extra_ms: what a cold start adds, one number or one per request. A worker that no request started (a rise of min_workers)
            takes the median of them.
        synthetic: which arrivals are pings: they use workers like any other and are counted apart.
        horizon_ms: span of the averages and life of the workers a policy keeps; it must contain all arrivals.

    Raises:
        ConfigError: empty, unsorted, negative or missing values, lengths that differ.
    """
    arrival, service = microseconds("arrival_ms", arrival_ms, least=None), durations(service_ms)
    extra = _one_each("cold_extra_ms", cold_extra_ms, len(arrival))
    if len(service) != len(arrival):
        raise ConfigError(f"{len(arrival)} arrivals, but {len(service)} service times", do="Give one service time per arrival")
    if not len(arrival):
        raise ConfigError("no arrivals to replay", do="Give at least one request")
    check_sorted(arrival)
    pings = None if synthetic is None else np.asarray(synthetic, dtype=np.bool_)
    horizon = None if horizon_ms is None else (round(horizon_ms[0] * 1000), round(horizon_ms[1] * 1000))
    return replay_us(arrival, service, policy, cold_extra_us=extra, synthetic=pings, horizon_us=horizon)


def replay_us(
    arrival: Ints,
    service: Ints,
    policy: Policy,
    *,
    cold_extra_us: Ints,
    synthetic: Flags | None = None,
    horizon_us: tuple[int, int] | None = None,
    compiled: bool | None = None,
) -> ReplayResult:
    """
    As `replay`, from columns that are whole microseconds, sorted and checked already, as the store keeps them.

    Args:
        compiled: through numba or not, where that is possible; None decides by itself. The results are the same.
    """
    start, end = _horizon(arrival, horizon_us)
    pings = np.zeros(len(arrival), np.bool_) if synthetic is None else synthetic
    load = int(cold_extra_us[0]) if cold_extra_us.strides == (0,) else round(float(np.median(cold_extra_us)))
    if policy.ping_every_s is not None:
        arrival, service, cold_extra_us, pings = _with_pings(policy, arrival, service, cold_extra_us, pings, start, end, load)
    if replay_stack.fits(policy):
        outcome = replay_stack.run(
            policy, arrival=arrival, service=service, cold_extra=cold_extra_us, start_us=start, end_us=end, compiled=compiled
        )
    elif replay_provisioned.fits(policy):
        outcome = replay_provisioned.run(
            policy, arrival=arrival, service=service, cold_extra=cold_extra_us, start_us=start, end_us=end, compiled=compiled
        )
    elif replay_dedicated.fits(policy):
        outcome = replay_dedicated.run(policy, arrival=arrival, service=service, start_us=start, end_us=end)
    else:
        outcome = replay_events.run(
            policy, arrival=arrival, service=service, cold_extra=cold_extra_us, start_us=start, end_us=end, standard_load_us=load
        )
    return ReplayResult(
        policy=policy, arrival_us=arrival, service_us=service, synthetic=pings, horizon_us=(start, end), **outcome._asdict()
    )


def microseconds(name: str, values: npt.ArrayLike, *, least: float | None = 0.0) -> Ints:
    """
    Milliseconds as whole microseconds.

    Raises:
        ConfigError: not one-dimensional, not numbers, missing, infinite or below `least`.
    """
    try:
        array = np.asarray(values)
        ms = array if array.dtype.kind in "iu" else np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as exc:
        raise ConfigError(f"{name} holds something that is not a number: {exc}") from exc
    if ms.ndim != 1:
        raise ConfigError(f"{name} has {ms.ndim} dimensions, expected one")
    if not len(ms):
        return np.zeros(0, dtype=np.int64)
    low, high = float(ms.min()), float(ms.max())
    if not (math.isfinite(low) and math.isfinite(high)):
        at = int(np.flatnonzero(~np.isfinite(ms))[0])
        raise ConfigError(f"{name} is missing or infinite at entry {at + 1}", do="Give every request a finite number")
    if least is not None and low < least:
        raise ConfigError(f"{name} is {low:g} at entry {int(ms.argmin()) + 1}", do=f"Use {least:g} or more")
    if max(high, -low) > LATEST_US / 1000:
        raise ConfigError(f"{name} reaches {max(high, -low):g} ms, past any trial", do="Use milliseconds")
    if ms.dtype.kind in "iu":
        return ms.astype(np.int64) * 1000
    scaled = ms * 1000
    return np.rint(scaled, out=scaled).astype(np.int64)


def durations(service_ms: npt.ArrayLike) -> Ints:
    """Service times as `microseconds`, at least one each: a request is never over before it began."""
    service = microseconds("service_ms", service_ms)
    np.maximum(service, 1, out=service)
    if len(service) and service.max() > YEAR_US:
        raise ConfigError(f"service_ms reaches {service.max() / 1000:g} ms, past any trial", do="Check that it is milliseconds")
    return service


def _one_each(name: str, values: npt.ArrayLike, many: int) -> Ints:
    if np.ndim(values) == 0:
        # A view of one number: at seven million requests, 56 MB less.
        return np.broadcast_to(microseconds(name, np.atleast_1d(np.asarray(values)))[0], (many,))
    each = microseconds(name, values)
    if len(each) != many:
        raise ConfigError(f"{many} arrivals, but {len(each)} of {name}", do="Give one per arrival, or one for all")
    return each


def check_sorted(arrival: Ints) -> None:
    """
    Raises:
        ConfigError: an arrival lies before the one it follows.
    """
    back = np.flatnonzero(arrival[1:] < arrival[:-1])
    if len(back):
        at = int(back[0]) + 1
        raise ConfigError(
            f"arrivals are not sorted: entry {at + 1} ({arrival[at] / 1000:g} ms) lies before entry {at} ({arrival[at - 1] / 1000:g} ms)",
            do="Sort them by time",
        )


def _horizon(arrival: Ints, given: tuple[int, int] | None) -> tuple[int, int]:
    first, last = int(arrival[0]), int(arrival[-1])
    start, end = given if given is not None else (0 if 0 <= first <= YEAR_US else first, last)
    if end - start > YEAR_US:
        raise ConfigError(f"the arrivals span {(end - start) / YEAR_US:.1f} years, past any trial", do="Check that they are milliseconds")
    if start > first or end < last:
        raise ConfigError(f"the horizon {start / 1000:g} to {end / 1000:g} ms does not contain all arrivals")
    return start, end


def _with_pings(
    policy: Policy, arrival: Ints, service: Ints, extra: Ints, pings: Flags, start: int, end: int, load: int
) -> tuple[Ints, Ints, Ints, Flags]:
    assert policy.ping_every_s is not None
    every = round(policy.ping_every_s * 1e6)
    at = np.arange(start + every, end + 1, every, dtype=np.int64)
    # A ping at the moment of a request comes after it, so that it never takes the request's worker.
    order = np.argsort(np.concatenate([arrival, at]), kind="stable")
    many = len(at)
    return (
        np.concatenate([arrival, at])[order],
        np.concatenate([service, np.full(many, max(1, round(policy.ping_service_ms * 1000)), dtype=np.int64)])[order],
        np.concatenate([extra, np.full(many, load, dtype=np.int64)])[order],
        np.concatenate([pings, np.ones(many, dtype=np.bool_)])[order],
    )
