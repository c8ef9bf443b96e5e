"""The what-if frontier (cost against callers over the SLO), and the day-to-day spread of cost and latency."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from analysis.sketches import quantile
from reports import format as say
from reports.days import DayPoint, latency
from reports.figures.svg import INK, MARKERS, MUTED, SERIES, Figure, draw
from reports.tables import Table
from trial.results import EndpointResult, WhatIf

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas


def frontier(whatifs: Sequence[WhatIf]) -> list[WhatIf]:
    """The settings no other one beats on both cost and callers over the SLO, cheapest first."""
    kept: list[WhatIf] = []
    for setting in sorted(
        (w for w in whatifs if w.usd_per_day is not None and w.over_slo is not None), key=lambda w: (w.usd_per_day, w.over_slo)
    ):
        if not kept or (setting.over_slo or 0) < (kept[-1].over_slo or 0):
            kept.append(setting)
    return kept


def whatif(endpoints: Sequence[EndpointResult], *, noticed_share: float) -> Figure | None:
    """One panel per endpoint with a replay; None where there is none."""
    from matplotlib.lines import Line2D

    shown = [(e.endpoint, [w for w in e.whatifs if w.usd_per_day is not None and w.over_slo is not None]) for e in endpoints]
    shown = [(name, settings) for name, settings in shown if settings]
    if not shown:
        return None
    names = list(dict.fromkeys(w.name for _, settings in shown for w in settings))
    numbers = {name: i for i, name in enumerate(names, start=1)}

    def plot(canvas: Canvas) -> None:
        columns = min(3, len(shown))
        axes = canvas.subplots(-(-len(shown) // columns), columns, sharey=True, squeeze=False)
        for axis, (name, settings) in zip(axes.flat, shown, strict=False):
            edge = frontier(settings)
            axis.step(
                [float(w.usd_per_day or 0) for w in edge], [100 * (w.over_slo or 0) for w in edge], where="post", color=MUTED, linewidth=1
            )
            axis.axhspan(0, 100 * noticed_share, color=SERIES[2], alpha=0.15, linewidth=0)
            for w in settings:
                inside = w in edge
                x, y = float(w.usd_per_day or 0), 100 * (w.over_slo or 0)
                axis.plot(
                    x,
                    y,
                    marker=MARKERS[0],
                    markersize=6,
                    color=SERIES[0],
                    markerfacecolor=SERIES[0] if inside else "none",
                    linestyle="none",
                )
                axis.annotate(str(numbers[w.name]), (x, y), xytext=(5, 4), textcoords="offset points", fontsize=9)
            axis.set_title(name)
            _dollars(axis, [float(w.usd_per_day or 0) for w in settings])
        for axis in list(axes.flat)[len(shown) :]:
            axis.set_visible(False)
        most = 100 * max(w.over_slo or 0 for _, settings in shown for w in settings)
        # Linear up to what is tolerated, logarithmic above: settings differ by 0.1 % at one end and by 10 % at the other.
        axes[0][0].set_yscale("symlog", linthresh=max(100 * noticed_share, 0.1))
        axes[0][0].set_ylim(0, max(1.5 * most, 300 * noticed_share, 1))
        axes[0][0].yaxis.set_major_formatter(lambda v, _: f"{v:g} %")
        axes[0][0].set_ylabel("callers over the SLO")
        canvas.supxlabel("USD a day (logarithmic)", fontsize=9.5, color=MUTED)

    legend = (
        Line2D([], [], color=SERIES[0], marker="o", linestyle="none", label="no other setting is better on both"),
        Line2D([], [], color=SERIES[0], marker="o", markerfacecolor="none", linestyle="none", label="another setting is better on both"),
        Line2D([], [], color=SERIES[2], alpha=0.3, linewidth=7, label=f"meets the SLO (at most {say.set_share(noticed_share)} over it)"),
    )
    best = [(name, [w.name for w in frontier(settings)]) for name, settings in shown]
    alt = " ".join(f"{name}, cheapest first: {say.listed(edge)}." for name, edge in best)
    return draw(
        plot,
        name="what-if",
        title="Cost against callers over the SLO, by setting",
        alt=f"Settings that no other one beats. {alt}",
        data=whatif_table([w for _, settings in shown for w in settings], numbers),
        size=(9.4, 0.7 + 2.6 * -(-len(shown) // 3)),
        legend=legend,
    )


def _dollars(axis: Axes, amounts: Sequence[float]) -> None:
    """A logarithmic scale around all of them: one provisioned setting may cost a hundred times the rest."""
    from matplotlib.ticker import LogLocator, NullFormatter

    low, high = min([a for a in amounts if a > 0], default=1.0), max([*amounts, 1e-6])
    axis.set_xscale("log")
    axis.set_xlim(low / 1.5, max(high, low * 4) * 1.6)
    axis.xaxis.set_major_locator(LogLocator(subs=(1.0,) if high / low > 50 else (1.0, 2.0, 5.0)))
    axis.xaxis.set_major_formatter(lambda v, _: f"${v:,g}")
    axis.xaxis.set_minor_formatter(NullFormatter())


def whatif_table(whatifs: Sequence[WhatIf], numbers: Mapping[str, int]) -> Table:
    rows = [
        (
            w.endpoint,
            str(numbers.get(w.name, "")),
            w.name,
            say.usd(w.usd_per_day),
            say.percent(w.over_slo),
            say.estimate(w.cold_hit_rate),
            say.ms(w.waited_ms.get("p95")),
            say.count(w.rejected),
            say.count(w.workers.get("peak")),
            {True: "yes", False: "no", None: say.NOT_KNOWN}[w.meets_slo],
        )
        for w in whatifs
    ]
    columns = (
        "Endpoint",
        "No.",
        "Setting",
        "USD a day",
        "Callers over SLO",
        "Cold-hit rate",
        "Wait for a worker, p95",
        "Turned away",
        "Peak workers",
        "Meets SLO",
    )
    return Table(caption="Every setting replayed on the observed arrivals", columns=columns, rows=rows, text_columns=3)


def spread(days: Mapping[str, Sequence[DayPoint]]) -> Figure | None:
    """Each day's cost and 95th percentile of latency, one dot a day; None where neither is known."""
    shown = {name: points for name, points in days.items() if points}
    panels = [
        ("cost of a day", {n: [float(p.usd) for p in points if p.usd is not None] for n, points in shown.items()}, lambda v, _: f"${v:g}"),
        (
            "latency p95 of a day",
            {n: [v for p in points if (v := quantile(latency(p.summary), 0.95)) is not None] for n, points in shown.items()},
            lambda v, _: say.ms(v).replace(".00", "").replace(".0\u00a0", "\u00a0") if v else "0",
        ),
    ]
    panels = [panel for panel in panels if any(panel[1].values())]
    if not panels:
        return None

    def plot(canvas: Canvas) -> None:
        axes = canvas.subplots(1, len(panels), squeeze=False, sharey=True)[0]
        for axis, (label, values, form) in zip(axes, panels, strict=True):
            for row, of in enumerate(values.values()):
                axis.plot(of, [row] * len(of), marker="o", linestyle="none", color=SERIES[0], markerfacecolor="none", markersize=6)
                if of:
                    axis.plot([_median(of)], [row], marker="|", color=INK, markersize=18, markeredgewidth=2)
            axis.set_yticks(range(len(values)), list(values))
            axis.tick_params(axis="y", labelcolor=INK, length=0)
            axis.set_ylim(len(values) - 0.5, -0.5)
            axis.set_xlim(left=0)
            axis.xaxis.set_major_formatter(form)
            axis.set_xlabel(label)
            axis.grid(axis="y", visible=False)

    from matplotlib.lines import Line2D

    legend = (
        Line2D([], [], color=SERIES[0], marker="o", markerfacecolor="none", linestyle="none", label="one day"),
        Line2D([], [], color=INK, marker="|", markersize=12, markeredgewidth=2, linestyle="none", label="median day"),
    )
    table = spread_table(shown)
    alt = " ".join(f"{r[0]}: cost varies by {r[3]} of its mean, p95 latency by {r[6]}." for r in table.rows)
    return draw(
        plot,
        name="spread",
        title="Day-to-day spread of cost and latency",
        alt=alt,
        data=table,
        size=(9.4, 1.0 + 0.42 * len(shown)),
        legend=legend,
    )


def spread_table(days: Mapping[str, Sequence[DayPoint]]) -> Table:
    rows = []
    for name, points in days.items():
        usd = [float(p.usd) for p in points if p.usd is not None]
        p95 = [v for p in points if (v := quantile(latency(p.summary), 0.95)) is not None]
        rows.append((name, *_spread_cells(usd, say.usd), *_spread_cells(p95, say.ms)))
    columns = ("Endpoint", "Median day", "Dearest day", "Cost: spread", "Median p95", "Worst p95", "p95: spread")
    return Table(caption="Spread between days (standard deviation as a share of the mean)", columns=columns, rows=rows)


def variation(values: Sequence[float]) -> float | None:
    """Standard deviation over mean; None with fewer than two days or a mean of zero."""
    if len(values) < 2 or sum(values) == 0:
        return None
    mean = sum(values) / len(values)
    return (sum((v - mean) ** 2 for v in values) / (len(values) - 1)) ** 0.5 / mean


def _spread_cells(values: Sequence[float], form) -> tuple[str, str, str]:
    return (form(_median(values)), form(max(values)), say.percent(variation(values))) if values else (say.NOT_KNOWN,) * 3


def _median(values: Sequence[float]) -> float:
    ordered = sorted(values)
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2
