"""Break-even: cost of a day over traffic, serverless against every dedicated option, with the trial's own traffic marked."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from analysis.costing.break_even import BreakEven, Point
from reports import format as say
from reports.figures.svg import INK, MUTED, SERIES, Figure, draw
from reports.tables import Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

_DASHES = ((0, (5, 2)), (0, (1, 1.5)), (0, (7, 2, 1, 2)), (0, (3, 1.5)))


def break_even(found: Sequence[BreakEven]) -> Figure | None:
    """One panel per endpoint; None where nothing was compared."""
    from matplotlib.lines import Line2D

    if not found:
        return None
    endpoints = list(dict.fromkeys(b.endpoint for b in found))
    options = list(dict.fromkeys(b.option for b in found))
    look = {option: (SERIES[1 + i % (len(SERIES) - 1)], _DASHES[i % len(_DASHES)]) for i, option in enumerate(options)}

    def plot(canvas: Canvas) -> None:
        columns = min(3, len(endpoints))
        axes = canvas.subplots(-(-len(endpoints) // columns), columns, squeeze=False)
        for axis, name in zip(axes.flat, endpoints, strict=False):
            _panel(axis, [b for b in found if b.endpoint == name], look)
            axis.set_title(name)
        for axis in list(axes.flat)[len(endpoints) :]:
            axis.set_visible(False)
        axes[0][0].set_ylabel("USD a day")
        canvas.supxlabel("requests a day (logarithmic)", fontsize=9.5, color=MUTED)

    legend = [
        Line2D([], [], color=SERIES[0], label="serverless, with its band"),
        *(Line2D([], [], color=colour, linestyle=dash, label=option) for option, (colour, dash) in look.items()),
        Line2D([], [], color=INK, marker="o", linestyle="none", label="this trial"),
    ]
    return draw(
        plot,
        name="break-even",
        title="Break-even over traffic",
        alt=" ".join(min((b for b in found if b.endpoint == e), key=lambda b: b.dedicated_usd).sentence for e in endpoints),
        data=_table(found),
        size=(9.4, 0.7 + 2.5 * -(-len(endpoints) // 3)),
        legend=legend,
    )


def _panel(axis: Axes, found: Sequence[BreakEven], look: dict) -> None:
    first = found[0]
    points = _thinned(first.points)
    at = [p.requests_per_day for p in points]
    axis.fill_between(at, [p.low for p in points], [p.high for p in points], color=SERIES[0], alpha=0.18, linewidth=0)
    axis.plot(at, [p.best for p in points], color=SERIES[0])
    for b in found:
        colour, dash = look[b.option]
        line = _thinned(b.points)
        axis.plot([p.requests_per_day for p in line], [p.dedicated for p in line], color=colour, linestyle=dash, linewidth=1.4)
    if first.serverless_usd.best is not None:
        axis.axvline(first.at, color=MUTED, linewidth=0.8)
        axis.plot([first.at], [first.serverless_usd.best], marker="o", markersize=6, color=INK, linestyle="none")
    axis.set_xscale("log")
    axis.set_xlim(at[0], at[-1])
    # The far end of a steep curve may leave the picture: the crossing and the trial's own point must be seen.
    axis.set_ylim(0, 1.8 * max(*(b.dedicated_usd for b in found), first.serverless_usd.best or 0.0) or 1.0)
    axis.xaxis.set_major_formatter(lambda v, _: f"{v:,.0f}")
    axis.xaxis.set_minor_formatter(lambda _v, _: "")
    axis.yaxis.set_major_formatter(lambda v, _: f"${v:g}")


def _thinned(points: Sequence[Point]) -> list[Point]:
    every = max(1, len(points) // 80)
    return [*points[::every], points[-1]]


def _table(found: Sequence[BreakEven]) -> Table:
    rows = [
        (
            b.endpoint,
            b.option,
            say.count(round(b.at)),
            _crossing(b),
            say.usd(b.serverless_usd.best),
            say.usd(b.dedicated_usd),
            b.option if b.dedicated_cheaper else "serverless",
            "yes" if b.sure else "no",
            say.NOT_KNOWN if b.flip_factor is None else say.ratio(b.flip_factor),
        )
        for b in found
    ]
    columns = (
        "Endpoint",
        "Against",
        "This trial, requests a day",
        "Dedicated is cheaper above",
        "Serverless a day",
        "Dedicated a day",
        "Cheaper here",
        "Whole band agrees",
        "Serverless price times this would turn it",
    )
    return Table(caption="Break-even by endpoint and dedicated option", columns=columns, rows=rows, text_columns=2)


def _crossing(b: BreakEven) -> str:
    if b.crossing is None or b.crossing.best is None:
        return "no traffic"
    if b.crossing.best == 0:
        return "any traffic"
    high = "no limit" if math.isinf(b.crossing.high) else say.count(round(b.crossing.high))
    exact = b.crossing.low == b.crossing.high
    return say.count(round(b.crossing.best)) + ("" if exact else f" ({say.count(round(b.crossing.low))} to {high})")
