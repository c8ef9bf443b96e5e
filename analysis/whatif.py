"""What if: the trial's own arrivals under other settings, calibrated on the trial, with what each would have cost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import numpy as np

from analysis.replay import replay
from analysis.replaying.arrivals import Arrivals
from analysis.replaying.bursts import Concurrency, observed
from analysis.replaying.idle_timeout import IdleTimeout, estimate_of
from analysis.replaying.policies import Policy
from analysis.replaying.result import ReplayResult
from analysis.replaying.settings import AS_IT_IS, Setting, current_policies, described, scaling, standard_settings
from analysis.statistics import confidence_sequence
from trial.config import Dedicated
from trial.errors import ConfigError
from trial.records import Estimate
from trial.results import WhatIf

TRUSTED_POINTS = 2.0

Price = Callable[[ReplayResult, Setting], Decimal | None]  # USD per day of the replayed setting


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """
    How well the replay of the current setting tells the trial.

    Args:
        idle_timeout: as estimated from the log; None where nothing was observed.
        idle_timeout_s: the one used: the estimate, else the configured one.
        residual_points: replayed minus observed cold-hit rate, in percentage points; None where nothing was observed.
        agreement: share of requests whose replayed flag is the observed one.
    """

    idle_timeout: IdleTimeout | None
    idle_timeout_s: float | None
    policy: Policy
    residual_points: float | None
    agreement: float | None

    @property
    def trusted(self) -> bool:
        """Whether what-ifs of this trial should be believed."""
        return self.residual_points is not None and abs(self.residual_points) <= TRUSTED_POINTS


@dataclass(frozen=True, slots=True, kw_only=True)
class WhatIfTable:
    """The rows, what they rest on, and what must be said with them; `observed` is the trial's own concurrency and bursts."""

    endpoint: str
    rows: tuple[WhatIf, ...]
    calibration: Calibration
    slo_ms: float
    noticed_share: float
    observed: Concurrency
    notes: tuple[str, ...]

    @property
    def cheapest(self) -> WhatIf | None:
        return cheapest_meeting_slo(self.rows)


def what_if(
    arrivals: Arrivals,
    endpoint: Any,
    *,
    dedicated: Sequence[Dedicated] = (),
    slo_ms: float,
    noticed_share: float = 0.01,
    confidence: float = 0.95,
    price: Price | None = None,
    default_idle_timeout_s: float | None = None,
    cold_start_ms: float | None = None,
) -> WhatIfTable:
    """
    Replays the standard settings on one endpoint's arrivals.

    Args:
        endpoint: its table of trial.toml (trial.config.Endpoint).
        slo_ms, noticed_share: a setting meets the SLO when at most this share of callers waits longer, rejected ones included.
        price: USD per day of one replayed setting; without it, no row has a cost.
        default_idle_timeout_s: of the price row, where neither the log nor trial.toml tells one.
        cold_start_ms: what a cold start adds, where the trial measured none.

    Raises:
        ConfigError: no cold start was measured and none is given, or no idle time-out is to be had.
    """
    notes = list(arrivals.notes)
    calibration, as_it_was = _calibrated(arrivals, endpoint, default_idle_timeout_s=default_idle_timeout_s, cold_start_ms=cold_start_ms)
    if calibration.idle_timeout is not None:
        notes.append(calibration.idle_timeout.sentence())
    warm_late = _late_even_warm(arrivals, slo_ms)
    if warm_late > noticed_share:
        notes.append(
            f"{warm_late:.1%} of requests take longer than {slo_ms:,g} ms on a ready worker: only a faster instance can meet the SLO"
        )
    settings = standard_settings(calibration.policy, dedicated=dedicated, ping_service_ms=ping_service_ms(arrivals))

    def replayed(setting: Setting) -> ReplayResult:
        # The calibration has replayed the trial as it was, with the cold starts it had.
        same = setting.keep_pings and setting.dedicated is None and setting.policy == calibration.policy and cold_start_ms is None
        return as_it_was if same and as_it_was is not None else run_setting(arrivals, setting, cold_start_ms=cold_start_ms)

    rows = (
        row(
            replayed(setting),
            arrivals,
            setting,
            endpoint=endpoint.name,
            slo_ms=slo_ms,
            noticed_share=noticed_share,
            confidence=confidence,
            price=price,
            residual_points=calibration.residual_points,
        )
        for setting in settings
    )
    return WhatIfTable(
        endpoint=endpoint.name,
        rows=tuple(rows),
        calibration=calibration,
        slo_ms=slo_ms,
        noticed_share=noticed_share,
        observed=observed(arrivals),
        notes=(*notes, *warnings(calibration)),
    )


def row(
    result: ReplayResult,
    arrivals: Arrivals,
    setting: Setting,
    *,
    endpoint: str,
    slo_ms: float,
    noticed_share: float,
    confidence: float = 0.95,
    price: Price | None = None,
    residual_points: float | None = None,
) -> WhatIf:
    """One replayed setting as a row of the table; see `what_if` for the arguments."""
    over = result.over_slo(slo_ms - arrivals.overhead_ms)
    return WhatIf(
        endpoint=endpoint,
        name=setting.name,
        settings=described(setting.policy),
        requests=result.requests,
        cold=result.cold_hits,
        rejected=result.rejections,
        cold_hit_rate=rate(result, arrivals, setting, confidence=confidence),
        over_slo=over,
        waited_ms=result.waited_ms(),
        workers=result.mean_workers(),
        billed_seconds=result.billed_seconds,
        usd_per_day=price(result, setting) if price is not None else None,
        meets_slo=over <= noticed_share,
        residual_points=residual_points,
    )


def calibrate(
    arrivals: Arrivals, endpoint: Any, *, default_idle_timeout_s: float | None = None, cold_start_ms: float | None = None
) -> Calibration:
    """
    The idle time-out from the log, and of the platform's possible scaling rules the one whose replay agrees best with the trial.

    The trial as it was had the cold starts it had: `cold_start_ms` counts only where it measured none.
    """
    return _calibrated(arrivals, endpoint, default_idle_timeout_s=default_idle_timeout_s, cold_start_ms=cold_start_ms)[0]


def _calibrated(
    arrivals: Arrivals, endpoint: Any, *, default_idle_timeout_s: float | None, cold_start_ms: float | None
) -> tuple[Calibration, ReplayResult | None]:
    """The calibration, with the replay it was compared in."""
    if arrivals.cold_extra_ms is not None:
        cold_start_ms = None
    estimate = estimate_of(arrivals, min_workers=endpoint.min_workers, concurrency=endpoint.concurrency)
    timeout = _timeout(estimate, endpoint, default_idle_timeout_s)
    tried = [_compared(arrivals, estimate, timeout, policy, cold_start_ms) for policy in current_policies(endpoint, timeout).values()]
    return max(tried, key=lambda one: one[0].agreement if one[0].agreement is not None else 0.0)


def run_setting(arrivals: Arrivals, setting: Setting, *, cold_start_ms: float | None = None) -> ReplayResult:
    """
    One setting on the arrivals.

    Raises:
        ConfigError: a cold start may happen, and how long it takes is neither measured nor given.
    """
    keep = np.ones(len(arrivals), np.bool_) if setting.keep_pings else ~arrivals.synthetic
    if not keep.any():
        raise ConfigError("only keep-warm pings, no request to replay", do="Check [endpoints.keep_warm]")
    scale = float(setting.dedicated.service_ms_scale) if setting.dedicated is not None else 1.0
    return replay(
        arrivals.arrival_ms[keep],
        arrivals.service_ms[keep] * scale,
        setting.policy,
        cold_extra_ms=_extra(arrivals, setting.policy, cold_start_ms)[keep],
        synthetic=arrivals.synthetic[keep],
        horizon_ms=arrivals.horizon_ms,
    )


def rate(result: ReplayResult, arrivals: Arrivals, setting: Setting, *, confidence: float) -> Estimate | None:
    """The replayed cold-hit rate; its interval says what traffic like these days would give in the long run."""
    callers = result.callers
    if not callers.any():
        return None
    if setting.policy.dedicated is not None:
        return Estimate(low=0.0, best=0.0, high=0.0, n=arrivals.days, method="never cold")
    # Pings of the policy carry no day, but the callers keep their order.
    day = arrivals.day[~arrivals.synthetic]
    requests = np.bincount(day, minlength=arrivals.days)
    cold = np.bincount(day, weights=result.cold[callers], minlength=arrivals.days)
    interval = confidence_sequence(requests, cold, alpha=1 - confidence)
    return replace(
        interval, low=min(interval.low, result.cold_hit_rate), best=result.cold_hit_rate, high=max(interval.high, result.cold_hit_rate)
    )


def cheapest_meeting_slo(rows: Sequence[WhatIf]) -> WhatIf | None:
    """The cheapest setting that meets the SLO; None if none does, or none has a price."""
    able = [row for row in rows if row.meets_slo and row.usd_per_day is not None]
    return min(able, key=lambda row: (row.usd_per_day, row.over_slo), default=None)


def _compared(
    arrivals: Arrivals, estimate: IdleTimeout | None, timeout: float | None, policy: Policy, cold_start_ms: float | None
) -> tuple[Calibration, ReplayResult | None]:
    residual = agreement = result = None
    if arrivals.cold is not None and arrivals.known is not None:
        result = run_setting(arrivals, Setting(name=AS_IT_IS, policy=policy), cold_start_ms=cold_start_ms)
        counted = arrivals.known & ~arrivals.synthetic
        if counted.any():
            residual = float(result.cold[counted].mean() - arrivals.cold[counted].mean()) * 100
            agreement = float((result.cold[counted] == arrivals.cold[counted]).mean())
    found = Calibration(idle_timeout=estimate, idle_timeout_s=timeout, policy=policy, residual_points=residual, agreement=agreement)
    return found, result


def _timeout(estimate: IdleTimeout | None, endpoint: Any, default_s: float | None) -> float | None:
    if estimate is not None and estimate.best_s is not None:
        return estimate.best_s
    for configured in (endpoint.idle_timeout_s, default_s):
        if configured is not None:
            return float(configured)
    if estimate is not None and estimate.gaps:
        # An open bracket: its known end is the closest the log comes.
        return estimate.low_s if estimate.high_s == float("inf") else estimate.high_s
    raise ConfigError("the log shows no idle time-out", where=f"endpoint {endpoint.name}", do="Give idle_timeout_s in trial.toml")


def _extra(arrivals: Arrivals, policy: Policy, cold_start_ms: float | None) -> np.ndarray:
    if arrivals.cold_extra_ms is not None and cold_start_ms is None:
        return arrivals.cold_extra_ms
    if cold_start_ms is None and policy.dedicated is None:
        raise ConfigError("no cold start was measured, so nobody knows how long one takes", do="Give --cold-start-ms")
    return np.full(len(arrivals), cold_start_ms or 0.0)


def ping_service_ms(arrivals: Arrivals) -> float:
    """How long a keep-warm ping keeps its worker, as the trial's own do; 0 where it has none."""
    return float(np.median(arrivals.service_ms[arrivals.synthetic])) if arrivals.synthetic.any() else 0.0


def _late_even_warm(arrivals: Arrivals, slo_ms: float) -> float:
    callers = ~arrivals.synthetic
    return float((arrivals.service_ms[callers] > slo_ms - arrivals.overhead_ms).mean()) if callers.any() else 0.0


def warnings(calibration: Calibration) -> list[str]:
    """How far to trust these what-ifs, in sentences."""
    if calibration.residual_points is None:
        return ["nothing was observed to compare the replay with: these figures are not calibrated"]
    said = (
        f"replaying the trial as it was ({scaling(calibration.policy)}) gives a cold-hit rate "
        f"{calibration.residual_points:+.1f} points from the observed one; {calibration.agreement:.1%} of requests agree"
    )
    if not calibration.trusted:
        return [said, f"that is over {TRUSTED_POINTS:g} points: these what-ifs should not be trusted"]
    return [said]
