"""Why the verdict is what it is and what would change it, in plain sentences, the most important first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from analysis.judging.noticed import NOT_THE_CALLERS_WAIT
from analysis.judging.weighing import LEAST_DAYS, Evidence
from trial.config import TrialSection
from trial.results import Verdict
from trial.summary import DaySummary


def with_reasons(
    verdict: Verdict, days: Sequence[DaySummary], *, trial: TrialSection, found: Evidence, whole_week: bool, unnoticed: bool, logs_of: str
) -> Verdict:
    """The verdict with its reasons."""
    said = [
        *_changed(verdict),
        _main(verdict, trial, found, whole_week, unnoticed),
        *_rate(verdict),
        *_noticing(verdict, trial, days, logs_of),
    ]
    said += [f"{flag.code}: {flag.detail}" for flag in verdict.flags if flag.code != "threshold-changed"]
    return replace(verdict, reasons=tuple(said))


def percent(share: float) -> str:
    """A share as a percentage, with as many digits as it needs not to be taken for the threshold or for nothing."""
    value = 100 * share
    return (f"{value:.2f}".rstrip("0").rstrip(".") if value == 0 or abs(value) >= 0.005 else f"{value:.1g}") + " %"


def _changed(verdict: Verdict) -> list[str]:
    return [f"The registered rule was changed during the trial: {f.detail}." for f in verdict.flags if f.code == "threshold-changed"]


def _main(verdict: Verdict, trial: TrialSection, found: Evidence, whole_week: bool, unnoticed: bool) -> str:
    threshold, level = percent(verdict.threshold), percent(trial.confidence)
    if verdict.days == 0:
        return "Not decided: no complete day has been collected yet."
    if verdict.requests == 0:
        return f"Not decided: no request in {_days(verdict.days)}."
    span = f"between {percent(verdict.long_run.low)} and {percent(verdict.long_run.high)}"
    if verdict.decision == "evaluate-dedicated":
        more = f"Traffic like this meets a cold instance in more than {threshold} of its requests"
        return f"{more} ({span}, {level} confidence), and users notice."
    if verdict.decision == "stay-serverless" and found.side == "below":
        return f"Traffic like this meets a cold instance in less than {threshold} of its requests ({span}, {level} confidence)."
    if verdict.decision == "stay-serverless":
        who = "nobody waits for it" if not trial.user_facing else "cold waits do not push users past the latency they were promised"
        return f"The cold-hit rate lies above {threshold} ({span}, {level} confidence), but {who}."
    if verdict.days < LEAST_DAYS:
        return f"Not decided: {_days(verdict.days)} of traffic; no evidence is possible before {LEAST_DAYS} complete days."
    return "Not decided: " + _what_would_decide(verdict, found, whole_week, unnoticed, span, threshold)


def _what_would_decide(verdict: Verdict, found: Evidence, whole_week: bool, unnoticed: bool, span: str, threshold: str) -> str:
    if found.side is not None and not whole_week and (found.side == "below" or unnoticed):
        return f"the evidence says stay ({span}), but the days do not cover a whole week; a full week of days would decide it."
    if found.side == "above":
        return (
            f"the cold-hit rate lies above {threshold} ({span}), but whether users notice is open; "
            "latency logged for the cold requests, or more days, would decide it."
        )
    if not found.ends_agree:
        missing = f"{verdict.unknown:,} unknown and {verdict.unseen:,} unseen requests"
        return f"{missing} leave both answers open ({span}); complete logs would decide it."
    if not found.enough:
        return f"{verdict.requests:,} requests are too few to tell any rate from {threshold}; more requests would decide it."
    return (
        f"the long-run rate lies {span}, with {threshold} inside; "
        "more days like these narrow it only slowly, a rate further from the threshold would decide it sooner."
    )


def _rate(verdict: Verdict) -> list[str]:
    if verdict.realised is None:
        return []
    low, high = verdict.bounds
    hits = f"{verdict.cold_hits:,} of {verdict.requests:,} requests were cold hits"
    seen = f"In these {_days(verdict.days)} {hits} ({percent(verdict.realised)})"
    if verdict.unknown or verdict.unseen:
        seen += f"; {verdict.unknown:,} unknown and {verdict.unseen:,} unseen requests make it {percent(low)} to {percent(high)}"
    side = "above" if verdict.realised > verdict.threshold else "not above"
    said = [f"{seen}: {side} the threshold of {percent(verdict.threshold)}, so the rule alone says {verdict.rule}."]
    if verdict.passed_on is not None:
        said.append(f"The rate of the trial so far first passed the threshold on {verdict.passed_on}.")
    return said


def _noticing(verdict: Verdict, trial: TrialSection, days: Sequence[DaySummary], logs_of: str) -> list[str]:
    if not trial.user_facing:
        return ["The endpoint is registered as not user-facing: cold starts cost money but no user waits."]
    if verdict.noticed is None:
        return []
    slo, share = f"{trial.latency_slo_ms:g} ms", percent(trial.noticed_share)
    unknown = sum(d.noticed_unknown for d in days)
    said = f"A cold start pushed {percent(verdict.noticed.best or 0.0)} of requests past {slo}"
    said += f", and {unknown:,} more may have been" if unknown else ""
    answer = {True: "users notice", False: "users do not notice", None: "whether users notice is open"}[verdict.users_notice]
    limit = NOT_THE_CALLERS_WAIT.get(logs_of)
    return [f"{said}; with {share} registered as noticeable, {answer}.", *([f"{limit}."] if limit else [])]


def _days(n: int) -> str:
    return f"{n} complete day{'s' * (n != 1)}"
