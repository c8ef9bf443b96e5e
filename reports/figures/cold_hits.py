"""Cold-hit rate by day: each day's own rate, the realised rate so far, the interval of the long-run rate, the threshold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from reports import format as say
from reports.days import DayPoint
from reports.figures.svg import ALERT, INK, MUTED, SERIES, Figure, draw
from reports.tables import Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas


def cold_hits(days: Mapping[str, Sequence[DayPoint]], *, threshold: float, days_planned: int, confidence: float) -> Figure:
    """One row per endpoint on common axes."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    shown = {name: points for name, points in days.items() if points}
    tops = [p.rate for points in shown.values() for p in points if p.rate is not None]
    top = min(1.0, 1.15 * max([threshold * 1.3, *tops]))

    def plot(canvas: Canvas) -> None:
        axes = canvas.subplots(len(shown), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
        for axis, (name, points) in zip(axes, shown.items(), strict=True):
            _row(axis, points, threshold=threshold, top=top)
            axis.set_title(name)
        axes[-1].set_xlim(0.5, max([days_planned, *(p.number for points in shown.values() for p in points)]) + 0.5)
        axes[-1].set_xlabel("trial day")
        axes[-1].xaxis.set_major_locator(_whole_days())

    legend = (
        Line2D([], [], color=SERIES[0], marker="o", linestyle="none", label="that day (bar: unknown requests)"),
        Line2D([], [], color=INK, label="realised so far"),
        Patch(color=MUTED, alpha=0.22, linewidth=0, label=f"{say.set_share(confidence)} interval of the long-run rate"),
        Line2D([], [], color=ALERT, linestyle=(0, (5, 3)), label=f"threshold {say.set_share(threshold)}"),
    )
    return draw(
        plot,
        name="cold-hits",
        title="Cold-hit rate by day",
        alt=_alt(shown, threshold),
        data=_table(shown),
        size=(9.4, 0.9 + 1.55 * len(shown)),
        legend=legend,
    )


def _row(axis: Axes, points: Sequence[DayPoint], *, threshold: float, top: float) -> None:
    known = [p for p in points if p.rate is not None]
    numbers = [p.number for p in points]
    axis.fill_between(
        numbers,
        [100 * p.long_run[0] for p in points],
        [100 * min(p.long_run[1], 2 * top) for p in points],
        color=MUTED,
        alpha=0.22,
        linewidth=0,
        step="mid",
    )
    axis.axhline(100 * threshold, color=ALERT, linestyle=(0, (5, 3)), linewidth=1.2)
    so_far = [p for p in points if p.cumulative is not None]
    axis.plot([p.number for p in so_far], [100 * (p.cumulative or 0) for p in so_far], color=INK)
    axis.vlines(
        [p.number for p in known], [100 * (p.low or 0) for p in known], [100 * (p.high or 0) for p in known], color=SERIES[0], linewidth=2
    )
    axis.plot([p.number for p in known], [100 * (p.rate or 0) for p in known], color=SERIES[0], marker="o", linestyle="none")
    axis.set_ylim(0, 100 * top)
    axis.yaxis.set_major_formatter(lambda v, _: f"{v:g} %")
    axis.grid(axis="x", visible=False)


def _whole_days():
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(nbins=15, integer=True, min_n_ticks=1)


def _alt(shown: Mapping[str, Sequence[DayPoint]], threshold: float) -> str:
    parts = []
    for name, points in shown.items():
        rates = [p.rate for p in points if p.rate is not None]
        if rates:
            over = sum(r > threshold for r in rates)
            parts.append(
                f"{name}: daily rates from {say.percent(min(rates))} to {say.percent(max(rates))},"
                f" {over} of {len(rates)} days above the threshold, {say.percent(points[-1].cumulative)} over all days."
            )
    return " ".join([f"Daily cold-hit rates against the threshold of {say.set_share(threshold)}.", *parts])


def _table(shown: Mapping[str, Sequence[DayPoint]]) -> Table:
    rows = [
        (
            name,
            f"{p.number}, {say.short_day(p.day)}",
            say.count(p.summary.requests),
            say.count(p.summary.cold_hits),
            say.count(p.summary.unknown + p.summary.untold),
            say.percent(p.rate),
            say.percent_range(p.low, p.high),
            say.percent(p.cumulative),
            say.percent_range(*p.long_run),
        )
        for name, points in shown.items()
        for p in points
    ]
    columns = (
        "Endpoint",
        "Day",
        "Requests",
        "Cold hits",
        "Unknown or unseen",
        "Rate",
        "With unknowns",
        "Realised so far",
        "Long-run interval",
    )
    return Table(caption="Cold-hit rate by day", columns=columns, rows=rows, text_columns=2)
