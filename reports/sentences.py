"""The first screen in words: the verdict, the cheapest setting, where the two disagree, how sure we are, what would change it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from analysis.costing.break_even import BreakEven
from analysis.replaying.settings import AS_IT_IS
from reports import format as say
from trial.config import Trial
from trial.results import EndpointResult, TrialResult, WhatIf

RESIDUAL_POINTS = 3.0  # a replay further than this from the observed rate is no ground to choose a setting on


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A sentence about one endpoint, or about the trial where `about` is None."""

    about: str | None
    text: str


def headline(result: TrialResult) -> list[str]:
    """The verdict in one sentence, or one for each group of endpoints that share it."""
    if not any(e.days for e in result.endpoints):
        return ["No complete day has been collected yet, so there is no verdict."]
    groups = {d: [e for e in result.endpoints if e.verdict.decision == d] for d in ("evaluate-dedicated", "stay-serverless", "not-decided")}
    parts = []
    if moving := groups["evaluate-dedicated"]:
        parts.append(f"Evaluate dedicated endpoints for {_names(moving)}.")
    if staying := groups["stay-serverless"]:
        parts.append(f"Stay serverless on {_names(staying)}.")
    if open_ := groups["not-decided"]:
        parts.append(f"{_names(open_)} {'is' if len(open_) == 1 else 'are'} not decided{_yet(result)}.")
    return parts


def standing(result: TrialResult) -> str:
    """Where the trial stands: "Day 6 of 14"."""
    running = f"Day {result.day_number} of {result.days_planned}"
    return running if result.day_number >= result.days_planned else f"{running}: the trial is still running, and all of this may change"


def cheapest(result: TrialResult, config: Trial) -> list[Said]:
    """The cheapest setting that meets the SLO: over all endpoints, then for each."""
    slo = f"at most {say.set_share(config.trial.noticed_share)} of callers over {say.set_ms(config.trial.latency_slo_ms)}"
    found = [(e, e.cheapest) for e in result.endpoints if e.cheapest is not None]
    said = []
    priced = [(e, w) for e, w in found if w.usd_per_day is not None]
    if len(priced) > 1:
        e, w = min(priced, key=lambda pair: pair[1].usd_per_day or Decimal(0))
        said.append(Said(about=None, text=f"Of all settings replayed, {_setting(w)} is the cheapest with {slo}."))
    for e in result.endpoints:
        if e.cheapest is not None:
            over = f", {say.percent(e.cheapest.over_slo)} over the SLO" if e.cheapest.over_slo is not None else ""
            said.append(Said(about=e.endpoint, text=f"{e.cheapest.name}, {say.usd(e.cheapest.usd_per_day)} a day{over}.{_doubt(e)}"))
        elif e.whatifs:
            said.append(Said(about=e.endpoint, text=f"no setting replayed meets it ({slo}).{_doubt(e)}"))
        else:
            said.append(Said(about=e.endpoint, text="no settings were replayed, so none can be named."))
    return said


def disagreements(result: TrialResult) -> list[Said]:
    """Where the verdict, the registered rule and the cheapest setting point in different directions."""
    dedicated = {d.name for d in result.dedicated}
    said = []
    for e in result.endpoints:
        verdict = e.verdict
        if verdict.decision == "not-decided" and verdict.rule != "not-decided" and e.days:
            said.append(
                Said(
                    about=e.endpoint,
                    text=f"the registered rule alone says “{say.DECISIONS[verdict.rule].lower()}” of these days; the evidence does not"
                    " carry it to days like them.",
                )
            )
        if e.cheapest is None:
            continue
        to_dedicated = e.cheapest.name in dedicated
        price = say.usd(e.cheapest.usd_per_day)
        if verdict.decision == "evaluate-dedicated" and not to_dedicated:
            said.append(
                Said(
                    about=e.endpoint,
                    text=f"the verdict is to evaluate dedicated endpoints, but the cheapest setting that meets the SLO is still serverless:"
                    f" {e.cheapest.name}, {price} a day.",
                )
            )
        if verdict.decision == "stay-serverless" and (to_dedicated or e.cheapest.name != AS_IT_IS):
            how = f"the dedicated {e.cheapest.name}" if to_dedicated else f"another serverless setting, {e.cheapest.name}"
            said.append(
                Said(
                    about=e.endpoint,
                    text=f"the verdict is to stay as it is, but what meets the SLO at the lowest cost is {how}, at {price} a day.",
                )
            )
    return said


def certainty(result: TrialResult, config: Trial) -> list[Said]:
    """How sure each verdict is, and why."""
    said = []
    for e in result.endpoints:
        verdict = e.verdict
        if not e.days:
            said.append(Said(about=e.endpoint, text="no complete day yet."))
            continue
        after = f"{verdict.evidence} after {say.plural(verdict.days, 'day')}."
        flags = f"Flagged: {say.listed([f.code for f in verdict.flags])}." if verdict.flags else ""
        said.append(Said(about=e.endpoint, text=" ".join(filter(None, [after, *(verdict.reasons[:1] or [_interval(e, config)]), flags]))))
    return said


def turning_points(result: TrialResult, *, break_even: Sequence[BreakEven] = ()) -> list[Said]:
    """How far each verdict is from turning: in cold hits, in price, in traffic."""
    said = []
    option = min(result.dedicated, key=lambda d: d.usd_per_day, default=None)
    for e in result.endpoints:
        verdict, parts = e.verdict, []
        if not e.days or not verdict.requests:
            continue
        limit = _most_under(verdict.threshold, verdict.requests)
        apart = verdict.cold_hits - limit
        if apart > 0:
            parts.append(f"{say.plural(apart, 'cold hit')} fewer of {say.count(verdict.cold_hits)} would put it under the threshold")
        else:
            parts.append(
                f"{say.plural(1 - apart, 'cold hit')} more than the {say.count(verdict.cold_hits)} seen would put it over the threshold"
            )
        compared = min((b for b in break_even if b.endpoint == e.endpoint), key=lambda b: b.dedicated_usd, default=None)
        if compared is not None:
            parts += _turning_price(compared.flip_factor, compared.option)
        elif option is not None and e.cost is not None and e.cost.usd_per_day:
            parts += _turning_price(float(option.usd_per_day / e.cost.usd_per_day), option.name)
        said.append(Said(about=e.endpoint, text="; ".join(parts) + "." + (f" {compared.sentence}" if compared else "")))
    return said


def _most_under(threshold: float, requests: int) -> int:
    """The most cold hits whose rate is not above the threshold, as the rule compares it: 29 of 100 is not above 0.29."""
    near = math.floor(threshold * requests)
    return max(n for n in (near - 1, near, near + 1) if n / requests <= threshold)


def _turning_price(factor: float | None, option: str) -> list[str]:
    if factor is None:
        return []
    if factor >= 1:
        return [f"serverless would have to cost {say.ratio(factor)} as much a day before {option} is cheaper"]
    return [f"serverless would have to cost {say.ratio(factor)} of what it does to be cheaper than {option}"]


def _interval(e: EndpointResult, config: Trial) -> str:
    low, high, limit = e.verdict.long_run.low, e.verdict.long_run.high, e.verdict.threshold
    side = "wholly above" if low > limit else "wholly below" if high < limit else "on both sides of"
    level = say.set_share(config.trial.confidence)
    return f"The {level} interval of the long-run rate is {say.percent_range(low, high)}, {side} {say.set_share(limit)}."


def _doubt(e: EndpointResult) -> str:
    """What a reader must know of a replay that misses what was observed."""
    off = next((w.residual_points for w in e.whatifs if w.name == AS_IT_IS), None)
    if off is None or abs(off) <= RESIDUAL_POINTS:
        return ""
    return f" Doubtful: the replay misses the observed cold-hit rate by {abs(off):.1f} points."


def replayed(e: EndpointResult) -> str:
    """What must be said with the what-ifs of an endpoint: its replay's notes, else its residual."""
    if e.notes:
        return " ".join(f"{note[0].upper()}{note[1:]}." for note in e.notes)
    off = next((w.residual_points for w in e.whatifs if w.name == AS_IT_IS), None)
    return "" if off is None else f"The replay of “{AS_IT_IS}” is {off:+.1f} percentage points off the observed cold-hit rate."


def _setting(of: WhatIf) -> str:
    return f"“{of.name}” on {of.endpoint}"


def _names(endpoints: Sequence[EndpointResult]) -> str:
    return say.listed([e.endpoint for e in endpoints])


def _yet(result: TrialResult) -> str:
    return " yet" if result.day_number < result.days_planned else ""
