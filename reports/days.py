"""An endpoint's days as a series: the numbers behind the daily figures and MLflow's metric steps."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from analysis.sketches import quantile
from analysis.statistics import long_run
from trial.calendar import Calendar
from trial.results import DayCost, EndpointResult
from trial.summary import DaySummary, Sketch


@dataclass(frozen=True, slots=True, kw_only=True)
class DayPoint:
    """
    One day of the series.

    Args:
        number: 1 for the first day of the trial.
        rate, low, high: the day's own cold-hit rate, and its bounds with all unknown and unseen requests warm, and all cold.
        cumulative: the realised rate of all days so far.
        long_run: the confidence sequence as of this day, widened by the unknown and unseen requests.
    """

    day: date
    number: int
    summary: DaySummary
    rate: float | None
    low: float | None
    high: float | None
    cumulative: float | None
    long_run: tuple[float, float]
    cost: DayCost | None

    @property
    def usd(self) -> Decimal | None:
        return None if self.cost is None else self.cost.total_usd


def series(result: EndpointResult, *, calendar: Calendar, confidence: float) -> tuple[DayPoint, ...]:
    """The endpoint's days in order, each with what was known by its end."""
    costs = {c.day: c for c in result.cost.days} if result.cost else {}
    points: list[DayPoint] = []
    asked: list[int] = []
    at_least: list[int] = []
    at_most: list[int] = []
    requests = cold_hits = 0
    for summary in result.days:
        all_asked = summary.requests + summary.untold
        most = summary.cold_hits + summary.unknown + summary.untold
        asked.append(all_asked)
        at_least.append(summary.cold_hits)
        at_most.append(most)
        requests += summary.requests
        cold_hits += summary.cold_hits
        low = long_run(asked, at_least, alpha=1 - confidence).low
        high = long_run(asked, at_most, alpha=1 - confidence).high
        points.append(
            DayPoint(
                day=summary.day,
                number=calendar.number(summary.day),
                summary=summary,
                rate=summary.cold_hits / summary.requests if summary.requests else None,
                low=summary.cold_hits / all_asked if all_asked else None,
                high=most / all_asked if all_asked else None,
                cumulative=cold_hits / requests if requests else None,
                long_run=(low, high),
                cost=costs.get(summary.day),
            )
        )
    return tuple(points)


def latency(summary: DaySummary | None) -> Sketch:
    """The latency of all requests whose coldness is known."""
    found = summary.sketches if summary else {}
    return found.get("latency_ms.cold", Sketch()) + found.get("latency_ms.warm", Sketch())


def quantile_of(summary: DaySummary | None, column: str, q: float) -> float | None:
    """A quantile in ms of a sketched column; None where nothing was measured."""
    return quantile(summary.sketches.get(column, Sketch()), q) if summary else None
