"""Changes in the middle of a trial that the logs and the bill give away, whatever trial.toml says."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

import numpy as np

from analysis.costing.reconcile import DayResidual
from analysis.replaying.arrivals import Arrivals
from analysis.replaying.idle_timeout import IdleTimeout, from_gaps, gaps_of
from analysis.replaying.result import US_PER_S, Flags

# Time-outs drift by a few per cent on real platforms (629 to 655 s on Lambda in a fortnight); that is no change of a setting.
LEAST_RATIO = 1.25
# Gaps between the two time-outs, on either side of the change, that must have gone the one way and the other.
LEAST_GAPS = 5
MISFITS = 0.1
LEAST_BILLED_DAYS = 3


def idle_timeout_changed(seen: Arrivals, *, first: date, min_workers: int = 0, concurrency: int = 1) -> str | None:
    """
    The day from which the idle time-out is another one, in plain words; None where nothing shows it.

    Of all days the trial could be cut at, the one that leaves the fewest misfits to the two time-outs estimated before it and from it on
    (analysis.replaying.idle_timeout). It is told only if the two brackets lie apart, and gaps between them were warm on one side
    of the cut and cold on the other.

    Args:
        first: the local day that `seen.day` counts from.
        min_workers, concurrency: as for the estimate.
    """
    found = gaps_of(seen, min_workers=min_workers, concurrency=concurrency)
    if found is None or not found.cold.any():
        return None
    gap, cold, day = found
    # Gaps far under nearly every cold one fit any time-out there may be: millions of them, on busy endpoints.
    telling = np.flatnonzero(gap >= np.quantile(gap[cold], 0.05) / 4)
    telling = telling[np.argsort(gap[telling], kind="stable")]  # sorted once, not for every cut
    gap, cold, day = gap[telling], cold[telling], day[telling]
    cuts = [(cut, from_gaps(gap[day < cut], cold[day < cut]), from_gaps(gap[day >= cut], cold[day >= cut])) for cut in np.unique(day)[1:]]
    if not cuts:
        return None
    cut, before, after = min(cuts, key=lambda c: c[1].misfits + c[2].misfits)
    shorter, longer = sorted((before, after), key=lambda of: of.high_s)
    if not shorter.high_s * LEAST_RATIO <= longer.low_s:
        return None
    between = (gap > shorter.high_s * US_PER_S) & (gap < longer.low_s * US_PER_S)
    of_shorter = between & ((day < cut) if shorter is before else (day >= cut))
    if not (_mostly(cold[of_shorter]) and _mostly(~cold[between & ~of_shorter])):
        return None
    return f"the idle time-out in the logs from {_about(before)} to {_about(after)} on {first + timedelta(days=int(cut))}"


def price_changed(days: Sequence[DayResidual], *, tolerance: float) -> str | None:
    """
    The day from which the bill stands in another proportion to the model, in plain words; None where nothing shows it.

    Told where the days' ratios before and after do not overlap, with more than the tolerance between them.

    Args:
        tolerance: [prices] tolerance, a share.
    """
    ratios = [(d.day, float(d.billed / d.modelled)) for d in sorted(days, key=lambda d: d.day) if d.modelled > 0 and d.billed > 0]
    for at in range(LEAST_BILLED_DAYS, len(ratios) - LEAST_BILLED_DAYS + 1):
        before, after = [r for _, r in ratios[:at]], [r for _, r in ratios[at:]]
        lower, upper = sorted((before, after), key=max)
        if max(lower) * (1 + tolerance) < min(upper):
            middle = [float(np.median(side)) for side in (before, after)]
            return f"the bill from {middle[0]:.2f} to {middle[1]:.2f} times the model on {ratios[at][0]}: another price, or another machine"
    return None


def _mostly(flags: Flags) -> bool:
    return len(flags) >= LEAST_GAPS and float(flags.mean()) >= 1 - MISFITS


def _about(of: IdleTimeout) -> str:
    if of.low_s and np.isfinite(of.high_s):
        return f"{(of.low_s + of.high_s) / 2:.0f} s"
    return f"under {of.high_s:.0f} s" if np.isfinite(of.high_s) else f"over {of.low_s:.0f} s"
