"""What makes a verdict provisional: each code has its section in docs/flags.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import numpy.typing as npt

from analysis.costing.reconcile import Reconciliation
from analysis.judging import diagnostics
from analysis.judging.counts import Counts
from analysis.judging.diagnostics import Floats
from trial.config import TrialSection
from trial.results import Flag, Verdict
from trial.summary import DaySummary

# Slow weather and growth show only in time: with fewer days, too many false verdicts on such traffic carry no other flag
# (analysis.judging.calibration: at 12 days the warnings are up in nine of ten of them).
FEW_DAYS = 12
HEAVY_DAY = 3.0  # times the mean day
AUTOCORRELATION = 0.4
DESIGN_EFFECT = 30.0
TREND_P = 0.10
TREND_REQUESTS = 0.25  # change of log requests over the days, and of the daily rate: less does no harm, however certain it is
TREND_RATE = 0.03
COMPLETENESS = 0.99

CODES = {
    "few-days": "too few complete days to see slow changes of the traffic",
    "missing-days": "complete days of the trial that are not collected",
    "trend": "traffic or the cold-hit rate rises or falls through the trial",
    "heavy-day": "one day holds more than three times the mean day's requests",
    "autocorrelation": "busy or cold days follow one another",
    "design-effect": "cold hits come in large clusters",
    "incomplete-logs": "the provider counted more requests than the logs show",
    "completeness-unknown": "the provider counts no requests, so nothing shows what the logs may lack",
    "unknowns-could-flip": "unknown or unseen requests could turn the rate across the threshold",
    "settings-changed": "model, region, idle time-out, price or another setting changed during the trial",
    "threshold-changed": "the registered rule was changed after the trial began",
    "bill-differs": "the provider billed more or less than the model says, beyond the tolerance",
}

# Said, and no doubt about what was seen: on a platform that counts nothing every verdict would be provisional for ever.
SAID_ONLY = frozenset(("completeness-unknown",))

# Keys of [trial] that are the rule itself; a change of them is a change of the question.
RULE_KEYS = frozenset(("cold_hit_threshold", "confidence", "user_facing", "latency_slo_ms", "noticed_share"))

# Prolonging a trial is no harm: the evidence may be looked at on any day.
HARMLESS_KEYS = frozenset(("name", "days", "max_age_days", "tolerance", "hours_per_month"))


def flags(
    days: Sequence[DaySummary], *, endpoint: str, trial: TrialSection, through: date | None, changes: Sequence[Mapping[str, str]] = ()
) -> tuple[Flag, ...]:
    """
    The flags of one endpoint's days, in the order of CODES; the bill's comes later, with the cost (`with_bill`).

    Args:
        days: one summary per complete local day, ascending.
        through: the last day of the trial that has ended; days up to it that are not among `days` are missing.
        changes: later changes of registered settings, each with `when`, `key`, `from` and `to`.
    """
    found: dict[str, list[str]] = {code: [] for code in CODES}
    if len(days) < FEW_DAYS:
        found["few-days"].append(f"{len(days)} of the {FEW_DAYS} complete days it takes to see whether the traffic changes slowly")
    found["missing-days"] += _missing(days, trial, through)
    counts = Counts.of_cold_hits(days)
    if days:
        for code, detail in _of_traffic(counts, diagnostics.weekends(days)):
            found[code].append(detail)
    found["incomplete-logs"] += _incomplete(days)
    uncounted = sum(d.provider_requests is None for d in days)
    if uncounted:
        found["completeness-unknown"].append(f"the provider's own count of requests is not known for {uncounted} of {len(days)} days")
    low, high = counts.bounds
    if counts.requests.any() and low <= trial.cold_hit_threshold < high:
        found["unknowns-could-flip"].append(
            f"with all unknown and unseen requests warm the rate is {low:.1%}, with all of them cold {high:.1%}"
        )
    found["settings-changed"] += _changed_in_the_logs(
        "model", [(d.day, {m: of.get("requests", 0) for m, of in d.by_model.items()}) for d in days]
    )
    found["settings-changed"] += _changed_in_the_logs("region", [(d.day, d.regions) for d in days])
    for change in changes:
        touched = _code_of(change.get("key", ""), endpoint)
        if touched:
            found[touched].append(_told(change))
    return tuple(Flag(code=code, detail="; ".join(details)) for code, details in found.items() if details)


def with_bill(verdict: Verdict, found: Reconciliation | None) -> Verdict:
    """The verdict, provisional where the bill says that the money behind it is not understood; its decision stays."""
    if found is None or found.within_tolerance is not False:
        return verdict
    flag = Flag(code="bill-differs", detail=found.sentence.removeprefix(f"{verdict.endpoint}: ").removesuffix("."))
    reasons = (*verdict.reasons, f"{flag.code}: {flag.detail}")
    return replace(verdict, evidence="provisional", flags=(*verdict.flags, flag), reasons=reasons)


def with_changes(verdict: Verdict, details: Sequence[str]) -> Verdict:
    """The verdict, provisional where what was read besides the day counts shows a change in the middle; its decision stays."""
    if not details:
        return verdict
    found = {flag.code: flag for flag in verdict.flags}
    known = [found["settings-changed"].detail] if "settings-changed" in found else []
    found["settings-changed"] = Flag(code="settings-changed", detail="; ".join([*known, *details]))
    reasons = (*verdict.reasons, f"settings-changed: {'; '.join(details)}")
    return replace(verdict, evidence="provisional", flags=tuple(found[code] for code in CODES if code in found), reasons=reasons)


def traffic_flags(requests: Floats, cold_hits: Floats, weekend: npt.NDArray[np.bool_]) -> dict[str, npt.NDArray[np.bool_]]:
    """
    The flags that the day counts alone raise, for one trial or for many at once.

    Args:
        requests, cold_hits: days along the last axis.
        weekend: one per day.

    Returns:
        by code, whether it is up: arrays without the last axis.
    """
    span = requests.shape[-1] - 1
    volume, volume_p = diagnostics.trend(np.log1p(requests), kinds=weekend)
    rate, rate_p = diagnostics.trend(diagnostics.rates(requests, cold_hits), requests, kinds=weekend)
    return {
        "trend": ((volume_p < TREND_P) & (np.abs(volume) * span > TREND_REQUESTS))
        | ((rate_p < TREND_P) & (np.abs(rate) * span > TREND_RATE)),
        "heavy-day": diagnostics.largest_share(requests) > HEAVY_DAY,
        "autocorrelation": diagnostics.lag_1(diagnostics.scores(requests, cold_hits)) > AUTOCORRELATION,
        "design-effect": diagnostics.design_effect(requests, cold_hits) > DESIGN_EFFECT,
    }


def _of_traffic(counts: Counts, weekend: npt.NDArray[np.bool_]) -> list[tuple[str, str]]:
    requests, cold = counts.seen.astype(np.float64), counts.fewest.astype(np.float64)
    up = traffic_flags(requests, cold, weekend)
    volume, _ = diagnostics.trend(np.log1p(requests), kinds=weekend)
    rate, _ = diagnostics.trend(diagnostics.rates(requests, cold), requests, kinds=weekend)
    details = {
        "trend": f"requests change by {np.expm1(volume):+.0%} a day, the rate by {100 * rate:+.1f} points a day: "
        "a verdict holds for these days only",
        "heavy-day": f"the busiest day holds {diagnostics.largest_share(requests):.1f} times the mean day",
        "autocorrelation": f"correlation of a day's score with the next day's {diagnostics.lag_1(diagnostics.scores(requests, cold)):.2f}",
        "design-effect": f"the day counts vary {diagnostics.design_effect(requests, cold):.0f} times as much as independent requests would",
    }
    return [(code, details[code]) for code, is_up in up.items() if bool(is_up)]


def _missing(days: Sequence[DaySummary], trial: TrialSection, through: date | None) -> list[str]:
    last = max([d.day for d in days] + ([through] if through else []), default=None)
    if last is None:
        return []
    last = min(last, trial.start + timedelta(days=trial.days - 1))
    have = {d.day for d in days}
    due = [trial.start + timedelta(days=i) for i in range((last - trial.start).days + 1)]
    missing = [day for day in due if day not in have]
    if not missing:
        return []
    named = ", ".join(day.isoformat() for day in missing[:5])
    return [f"{len(missing)} of {len(due)} days not collected: {named}{', ...' if len(missing) > 5 else ''}"]


def _incomplete(days: Sequence[DaySummary]) -> list[str]:
    said = [d for d in days if d.provider_requests is not None]
    counted, seen = sum(d.provider_requests or 0 for d in said), sum(min(d.seen, d.provider_requests or 0) for d in said)
    details = []
    if counted and seen / counted < COMPLETENESS:
        details.append(f"the logs show {seen} of the {counted} requests the provider counted ({seen / counted:.1%})")
    broken, total = sum(d.incomplete + d.quarantined for d in days), sum(d.seen for d in days)
    if total and broken / total > 1 - COMPLETENESS:
        details.append(f"{broken} of {total} requests were seen in part only or broke a rule, and are in no rate")
    return details


def _changed_in_the_logs(what: str, days: Sequence[tuple[date, Mapping[str, int]]]) -> list[str]:
    """The one that most of a day's lines name, where it is another than the day before's: whatever trial.toml says."""
    details, last = [], None
    for day, named in days:
        if not named:
            continue
        main = max(sorted(named), key=lambda name: named[name])
        if last is not None and main != last:
            details.append(f"the logs' {what} from {last} to {main} on {day}")
        last = main
    return details


def _code_of(key: str, endpoint: str) -> str | None:
    """Which flag a change of this key raises for this endpoint; None where it touches neither its rate nor its price nor its rule."""
    table, _, rest = key.partition(".")
    if table == "endpoints":
        return "settings-changed" if f"{rest}.".startswith(f"{endpoint}.") else None
    if table == "trial" and rest in RULE_KEYS:
        return "threshold-changed"
    return "settings-changed" if table in ("trial", "prices") and rest not in HARMLESS_KEYS else None


def _told(change: Mapping[str, str]) -> str:
    when = str(change.get("when", "")).partition("T")[0]
    if change.get("key") == "prices.sha256":
        return f"the price book on {when}"
    old, new = (str(change.get(end, "absent")).strip('"') for end in ("from", "to"))
    return f"{change.get('key')} from {old} to {new} on {when}"
