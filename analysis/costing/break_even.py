"""Where a dedicated option becomes cheaper: both sides of the crossing, its band, and what would turn the answer round."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

from analysis.costing.traffic import Curve, Usd
from trial.records import Estimate

MOST_REQUESTS = 1e8
_STEPS = 480


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One abscissa of the figure, USD a day."""

    requests_per_day: float
    low: float
    best: float
    high: float
    dedicated: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakEven:
    """
    One endpoint against one dedicated option.

    Args:
        at: the trial's requests a day.
        crossing: requests a day from which on dedicated is cheaper; its high is inf where the band's cheap side never
            crosses; None where even the best curve does not.
        crossings: every change of sides as (requests a day, whether dedicated is cheaper above it): a second instance can
            turn it back.
        dedicated_cheaper: at the trial's own traffic.
        flip_factor: times the serverless price would have to rise (above 1) or fall (below 1) for the cheaper side to change
            at this traffic; its reciprocal for the dedicated price.
        sure: whether the whole band lies on one side at this traffic.
        points: the curves around both, for the figure.
        sentence: what a manager needs.
    """

    endpoint: str
    option: str
    at: float
    crossing: Estimate | None
    crossings: tuple[tuple[float, bool], ...]
    serverless_usd: Estimate
    dedicated_usd: float
    dedicated_cheaper: bool
    flip_factor: float | None
    sure: bool
    points: tuple[Point, ...]
    sentence: str


def break_even(serverless: Curve, dedicated: Curve, *, at: float, days: int = 0) -> BreakEven:
    """
    Args:
        at: the trial's requests a day.
        days: how many days the serverless curve rests on.
    """
    crossings = crossings_of(serverless.best, dedicated.best)
    first = _first_above(crossings)
    # Where serverless is dear the crossing comes early: the high curve gives the low end.
    early = _first_above(crossings_of(serverless.high, dedicated.best))
    late = _first_above(crossings_of(serverless.low, dedicated.best))
    crossing = None
    if first is not None:
        low, high = min(first, early if early is not None else first), max(first, late if late is not None else math.inf)
        crossing = Estimate(low=low, best=first, high=high, n=days, method="crossing of cost curves")
    ours = Estimate(low=serverless.low(at), best=serverless.best(at), high=serverless.high(at), n=days, method="cost curve")
    theirs = dedicated.best(at)
    cheaper = theirs < (ours.best or 0.0)
    return BreakEven(
        endpoint=serverless.name,
        option=dedicated.name,
        at=at,
        crossing=crossing,
        crossings=tuple(crossings),
        serverless_usd=ours,
        dedicated_usd=theirs,
        dedicated_cheaper=cheaper,
        flip_factor=theirs / ours.best if ours.best else None,
        sure=ours.high < theirs or ours.low > theirs,
        points=_points(serverless, dedicated, at, first),
        sentence=_sentence(serverless.name, dedicated.name, at=at, crossing=crossing, cheaper=cheaper),
    )


def crossings_of(serverless: Usd, dedicated: Usd, *, most: float = MOST_REQUESTS) -> list[tuple[float, bool]]:
    """
    Every change of the cheaper side between 1 and `most` requests a day, as (requests a day, dedicated cheaper above it).

    A side that is cheaper from the first request on is a crossing at 0 for dedicated and none for serverless.
    """
    grid = [math.exp(math.log(most) * i / _STEPS) for i in range(_STEPS + 1)]
    cheaper = [dedicated(n) < serverless(n) for n in grid]
    found = [(0.0, True)] if cheaper[0] else []
    for (left, right), (before, after) in zip(pairwise(grid), pairwise(cheaper), strict=True):
        if before != after:
            found.append((_bisect(serverless, dedicated, left, right, after), after))
    return found


def _bisect(serverless: Usd, dedicated: Usd, low: float, high: float, above: bool) -> float:
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if (dedicated(middle) < serverless(middle)) == above else (middle, high)
    return (low + high) / 2


def _first_above(crossings: list[tuple[float, bool]]) -> float | None:
    return next((n for n, dedicated_above in crossings if dedicated_above), None)


def _points(serverless: Curve, dedicated: Curve, at: float, first: float | None) -> tuple[Point, ...]:
    """From a tenth of the smaller to ten times the larger of the trial's traffic and the crossing, evenly in the logarithm."""
    marks = [n for n in (at, first) if n]
    low, high = (min(marks) / 10, max(marks) * 10) if marks else (1.0, 1000.0)
    grid = [low * (high / low) ** (i / 80) for i in range(81)]
    return tuple(
        Point(requests_per_day=n, low=serverless.low(n), best=serverless.best(n), high=serverless.high(n), dedicated=dedicated.best(n))
        for n in grid
    )


def _sentence(endpoint: str, option: str, *, at: float, crossing: Estimate | None, cheaper: bool) -> str:
    you = f"you are at {at:,.0f}"
    if crossing is None or crossing.best is None:
        return f"{option} does not become cheaper than {endpoint} at any traffic up to {MOST_REQUESTS:,.0f} requests a day; {you}."
    if crossing.best == 0:
        return f"{option} is cheaper than {endpoint} from the first request on; {you}."
    band = f" (between {crossing.low:,.0f} and {'no limit' if math.isinf(crossing.high) else format(crossing.high, ',.0f')})"
    band = "" if crossing.low == crossing.high else band
    verb = "becomes" if not cheaper else "is"
    return f"{option} {verb} cheaper than {endpoint} above {crossing.best:,.0f} requests a day{band}; {you}."
