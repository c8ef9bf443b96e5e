"""The verdict: the registered rule on these days, and what the evidence supports of traffic like this."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

import numpy as np

from analysis.judging import flags as flagging
from analysis.judging import reasons
from analysis.judging.counts import Counts
from analysis.judging.noticed import demonstrably_unnoticed, noticed_share, users_notice
from analysis.judging.weighing import LEAST_DAYS, Side, weigh
from trial.config import TrialSection
from trial.records import Decision
from trial.results import Verdict
from trial.summary import DaySummary

# Where busy weekdays and quiet weekends differ this much, five days may hold none of one kind.
ALIKE = (0.8, 1.25)


def judge(
    days: Sequence[DaySummary],
    *,
    endpoint: str,
    platform: str,
    trial: TrialSection,
    through: date | None = None,
    changes: Sequence[Mapping[str, str]] = (),
    logs_of: str | None = None,
) -> Verdict:
    """
    The verdict on one endpoint from its complete local days.

    `rule` is the registered rule to the letter: a realised rate strictly above the threshold, and users who notice (where it cannot be
    known whether they do, a user-facing endpoint's users are taken to) is evaluate-dedicated, all else stay-serverless. `decision`
    asks for evidence besides: evaluate-dedicated if the long-run rate lies above and users notice; stay-serverless if it lies
    below, or above where users demonstrably do not notice; not-decided otherwise, and always before five complete days.

    Args:
        days: one summary for each complete local day, in any order.
        through: the last local day that has ended, to see which days are missing.
        changes: changes of registered settings, each with `when`, `key`, `from` and `to`.
        logs_of: the platform that measured the latencies, where it is not `platform`: an export holds another's logs.

    Raises:
        ValueError: two summaries of one day, or a summary of several.
    """
    days = sorted(days, key=lambda d: d.day)
    if len({d.day for d in days}) != len(days):
        raise ValueError(f"{endpoint}: two summaries of one day")
    census, share, notice = Counts.of_cold_hits(days), noticed_share(days, trial=trial), users_notice(days, trial=trial)
    requests, cold_hits = sum(d.requests for d in days), sum(d.cold_hits for d in days)
    realised = cold_hits / requests if requests else None
    above = realised is not None and realised > trial.cold_hit_threshold
    found = weigh(days, trial=trial)
    unnoticed = demonstrably_unnoticed(days, trial=trial, noticed=share)
    decision = _decide(days, found.side, notice=notice, unnoticed=unnoticed)
    raised = flagging.flags(days, endpoint=endpoint, trial=trial, through=through, changes=changes)
    verdict = Verdict(
        endpoint=endpoint,
        platform=platform,
        decision=decision,
        rule="evaluate-dedicated" if above and notice is not False else "stay-serverless",
        evidence="decided" if decision != "not-decided" and {f.code for f in raised} <= flagging.SAID_ONLY else "provisional",
        as_of=days[-1].day if days else None,
        days=len(days),
        requests=requests,
        cold_hits=cold_hits,
        unknown=sum(d.unknown for d in days),
        unseen=sum(d.untold for d in days),
        threshold=trial.cold_hit_threshold,
        realised=realised,
        bounds=census.bounds,
        long_run=found.long_run,
        e_value=found.e_value,
        noticed=share,
        users_notice=notice,
        passed_on=passed_on(days, threshold=trial.cold_hit_threshold),
        flags=raised,
    )
    return reasons.with_reasons(
        verdict, days, trial=trial, found=found, whole_week=whole_week(days), unnoticed=unnoticed, logs_of=logs_of or platform
    )


def passed_on(days: Sequence[DaySummary], *, threshold: float) -> date | None:
    """The first day on which the cumulative realised rate passed the threshold, whatever it did later."""
    requests = cold_hits = 0
    for day in sorted(days, key=lambda d: d.day):
        requests, cold_hits = requests + day.requests, cold_hits + day.cold_hits
        if requests and cold_hits / requests > threshold:
            return day.day
    return None


def whole_week(days: Sequence[DaySummary]) -> bool:
    """Whether the days stand for a week: all seven weekdays are in them, or weekdays and weekends ask for about the same."""
    if len({d.day.weekday() for d in days}) == 7:
        return True
    kinds = [[d.requests for d in days if (d.day.weekday() >= 5) is weekend] for weekend in (False, True)]
    if not all(kinds) or not all(any(kind) for kind in kinds):
        return False
    low, high = ALIKE
    return low <= float(np.mean(kinds[1])) / float(np.mean(kinds[0])) <= high


def _decide(days: Sequence[DaySummary], side: Side | None, *, notice: bool | None, unnoticed: bool) -> Decision:
    if side is None or len(days) < LEAST_DAYS:
        return "not-decided"
    if side == "above" and notice:
        return "evaluate-dedicated"
    if side == "below" or unnoticed:
        return "stay-serverless" if whole_week(days) else "not-decided"
    return "not-decided"
