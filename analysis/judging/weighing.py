"""The evidence on the long-run rate against the threshold, with everything that is not known held against it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from analysis.judging.counts import Counts
from analysis.statistics import enough_requests, evidence, long_run
from trial.config import TrialSection
from trial.records import Estimate
from trial.summary import DaySummary

Side = Literal["above", "below"]

LEAST_DAYS = 5  # at 95 % the evidence is silent before anyway; at less, this holds it back


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What the days say of the long-run rate against the threshold, at both ends of what is not known."""

    side: Side | None
    e_value: float
    long_run: Estimate
    ends_agree: bool
    enough: bool


def weigh(days: Sequence[DaySummary], *, trial: TrialSection) -> Evidence:
    """
    The evidence on the long-run rate, without the first request of the trial.

    It names a side only if both ends, all unknown and unseen requests warm and all of them cold, prove that side: each by an e-value
    of 1/alpha, an interval that leaves the threshold out, and requests enough for day counts to be judged by their spread.
    """
    counts, threshold, alpha = Counts.of_cold_hits(days, without_first=True), trial.cold_hit_threshold, 1 - trial.confidence
    sides: list[Side | None] = []
    e_values, estimates, enough = [], [], []
    for hits in (counts.fewest, counts.most):
        total, cold = int(counts.requests.sum()), int(hits.sum())
        e_values.append(evidence(counts.requests, hits, threshold))
        estimates.append(long_run(counts.requests, hits, alpha=alpha))
        enough.append(enough_requests(total, cold, threshold, alpha=alpha))
        proven = enough[-1] and e_values[-1] >= 1 / alpha
        sides.append(_side(estimates[-1], threshold) if proven else None)
    total, realised = sum(d.requests for d in days), sum(d.cold_hits for d in days)
    low, high = min(e.low for e in estimates), max(e.high for e in estimates)
    return Evidence(
        side=sides[0] if sides[0] == sides[1] else None,
        e_value=min(e_values),
        long_run=Estimate(low=low, best=realised / total if total else None, high=high, n=len(days), method=estimates[0].method),
        ends_agree=sides[0] == sides[1],
        enough=all(enough),
    )


def _side(estimate: Estimate, threshold: float) -> Side | None:
    if estimate.low >= threshold:
        return "above"
    return "below" if estimate.high <= threshold else None
