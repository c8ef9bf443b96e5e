"""Do users notice? The share of requests whose cold wait pushed the caller over the registered latency."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from analysis.judging.counts import Counts
from analysis.statistics import long_run
from trial.config import TrialSection
from trial.records import Estimate
from trial.summary import DaySummary

# What a platform's latency leaves out of the wait of a caller; said wherever the figure decides something.
NOT_THE_CALLERS_WAIT = {
    "aws-lambda": "Lambda reports its own time: network, gateway and queueing before it are not in it",
    "runpod": "RunPod times the job from its queue on: the network and the client's polling are not in it",
    "sagemaker": "SageMaker reports the model's and its own overhead, without the network",
    "vertex-ai": "Vertex AI reports its own time, without the network",
    "replicate": "Replicate times the prediction from its creation on, without the network and the client's polling",
}


def noticed_share(days: Sequence[DaySummary], *, trial: TrialSection) -> Estimate | None:
    """
    The share with the interval of its long-run value, by days as for cold hits, over both ends of what is not known.

    None where nobody waits (`user_facing = false`) or nothing was asked.
    """
    total = sum(d.requests for d in days)
    if not trial.user_facing or total == 0:
        return None
    counts = Counts.of_noticed(days, without_first=True)
    alpha = 1 - trial.confidence
    few, many = (long_run(counts.requests, hits, alpha=alpha) for hits in (counts.fewest, counts.most))
    best = sum(d.noticed for d in days) / total
    return Estimate(low=min(few.low, best), best=best, high=max(many.high, best), n=len(days), method=few.method)


def users_notice(days: Sequence[DaySummary], *, trial: TrialSection) -> bool | None:
    """
    Whether more than the registered share of these days' requests missed the SLO because of a cold start.

    False where nobody waits; None where unknown and unseen requests leave it open, or nothing was asked.
    """
    if not trial.user_facing:
        return False
    counts = Counts.of_noticed(days)
    if not counts.requests.any():
        return None
    low, high = counts.bounds
    if low > trial.noticed_share:
        return True
    return False if high <= trial.noticed_share else None


def demonstrably_unnoticed(days: Sequence[DaySummary], *, trial: TrialSection, noticed: Estimate | None) -> bool:
    """Whether the evidence, not only these days' share, says that users do not notice."""
    if not trial.user_facing:
        return True
    return noticed is not None and noticed.high <= trial.noticed_share and bool(np.any([d.requests for d in days]))
