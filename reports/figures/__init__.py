"""The report's figures: static SVG, readable without colour, each with its words and its numbers."""

from __future__ import annotations

from reports.days import series
from reports.extras import ReportExtras
from reports.figures.break_even import break_even
from reports.figures.choices import spread, whatif
from reports.figures.cold_hits import cold_hits
from reports.figures.latency import gpu_time, latency
from reports.figures.money import cost_by_phase
from reports.figures.svg import Figure
from trial.config import Trial
from trial.results import TrialResult

__all__ = ["Figure", "draw_all"]


def draw_all(result: TrialResult, *, config: Trial, extras: ReportExtras) -> dict[str, Figure]:
    """Every figure the data allow, by name, in reading order; one that has nothing to show is absent."""
    rule = config.trial
    days = {e.endpoint: series(e, calendar=config.calendar, confidence=rule.confidence) for e in result.endpoints}
    drawn = [
        cold_hits(days, threshold=rule.cold_hit_threshold, days_planned=result.days_planned, confidence=rule.confidence)
        if any(days.values())
        else None,
        latency(result.endpoints, slo_ms=rule.latency_slo_ms),
        gpu_time(result.endpoints),
        cost_by_phase(result.endpoints, result.dedicated),
        break_even(extras.break_even or ()),
        whatif(result.endpoints, noticed_share=rule.noticed_share),
        spread(days),
    ]
    return {figure.name: figure for figure in drawn if figure is not None}
