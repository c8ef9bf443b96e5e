"""Latency warm and cold against the SLO, as shares of callers served within a time; and GPU time by endpoint."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from analysis.sketches import cumulative, quantile
from reports import format as say
from reports.figures.svg import ALERT, INK, MUTED, SERIES, Figure, draw
from reports.tables import Table
from trial.results import EndpointResult
from trial.summary import Sketch

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

_KINDS: tuple[tuple[str, str, Any], ...] = (("warm", SERIES[0], "-"), ("cold", SERIES[1], (0, (6, 2))))


def latency(endpoints: Sequence[EndpointResult], *, slo_ms: float) -> Figure | None:
    """One panel per endpoint with a latency; None where no endpoint has one."""
    from matplotlib.lines import Line2D

    shown = [(e.endpoint, {k: _sketch(e, f"latency_ms.{k}") for k, _, _ in _KINDS}) for e in endpoints]
    shown = [(name, of) for name, of in shown if any(s.count for s in of.values())]
    if not shown:
        return None
    lows = [max(1.0, s.min_ms or 1.0) for _, of in shown for s in of.values() if s.count]
    highs = [s.max_ms or 1.0 for _, of in shown for s in of.values() if s.count]

    def plot(canvas: Canvas) -> None:
        columns = min(3, len(shown))
        rows = -(-len(shown) // columns)
        axes = canvas.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
        for axis, (name, of) in zip(axes.flat, shown, strict=False):
            for kind, colour, style in _KINDS:
                points = [(v, 100 * share) for v, share in cumulative(of[kind]) if v > 0]
                if points:
                    axis.step(*zip(*_thinned(points), strict=True), where="post", color=colour, linestyle=style)
            axis.axvline(slo_ms, color=ALERT, linestyle=(0, (2, 2)), linewidth=1.2)
            axis.set_xscale("log")
            axis.set_xlim(min(lows) * 0.9, max(*highs, slo_ms) * 1.1)
            axis.set_ylim(0, 101)
            axis.xaxis.set_major_formatter(lambda v, _: say.ms(v).replace(".00", "").replace(".0\u00a0", "\u00a0"))
            axis.xaxis.set_minor_formatter(lambda _v, _: "")
            axis.yaxis.set_major_formatter(lambda v, _: f"{v:g} %")
            axis.set_title(name)
        for axis in list(axes.flat)[len(shown) :]:
            axis.set_visible(False)
        axes[0][0].set_ylabel("served within")
        canvas.supxlabel("time a caller waits (logarithmic)", fontsize=9.5, color=MUTED)

    legend = [Line2D([], [], color=c, linestyle=s, label=f"{k} requests") for k, c, s in _KINDS]
    legend.append(Line2D([], [], color=ALERT, linestyle=(0, (2, 2)), label=f"SLO {say.set_ms(slo_ms)}"))
    return draw(
        plot,
        name="latency",
        title="Latency, warm and cold, against the SLO",
        alt=_alt(shown, slo_ms),
        data=_table(shown, slo_ms),
        size=(9.4, 0.6 + 2.5 * -(-len(shown) // 3)),
        legend=legend,
    )


def gpu_time(endpoints: Sequence[EndpointResult]) -> Figure | None:
    """GPU ms per request: the middle half, the middle nine tenths and the median of each endpoint; None where none logs it."""
    from matplotlib.lines import Line2D

    shown = [(e.endpoint, _sketch(e, "gpu_ms")) for e in endpoints]
    shown = [(name, s) for name, s in shown if s.count]
    if not shown:
        return None
    marks = {name: [quantile(s, q) or 0.0 for q in (0.05, 0.25, 0.5, 0.75, 0.95)] for name, s in shown}

    def plot(canvas: Canvas) -> None:
        axis = canvas.subplots()
        for row, (p5, p25, p50, p75, p95) in enumerate(reversed(marks.values())):
            axis.hlines(row, p5, p95, color=SERIES[0], linewidth=1.4)
            axis.hlines(row, p25, p75, color=SERIES[0], linewidth=7)
            axis.plot([p50], [row], marker="|", color=INK, markersize=16, markeredgewidth=2)
            axis.annotate(say.ms(p50), (p50, row), xytext=(0, 10), textcoords="offset points", ha="center", fontsize=9)
        axis.set_yticks(range(len(marks)), list(reversed(marks)))
        axis.tick_params(axis="y", labelcolor=INK, length=0)
        axis.set_ylim(-0.6, len(marks) - 0.3)
        axis.set_xlim(0, max(m[-1] for m in marks.values()) * 1.08)
        axis.xaxis.set_major_formatter(lambda v, _: f"{v:,.0f}")
        axis.set_xlabel("GPU ms per request")
        axis.grid(axis="y", visible=False)

    legend = (
        Line2D([], [], color=INK, marker="|", markersize=12, markeredgewidth=2, linestyle="none", label="median"),
        Line2D([], [], color=SERIES[0], linewidth=7, label="middle half"),
        Line2D([], [], color=SERIES[0], linewidth=1.4, label="5th to 95th percentile"),
    )
    alt = " ".join(f"{name}: median {say.ms(m[2])}, 95th percentile {say.ms(m[4])}." for name, m in marks.items())
    data = Table(
        caption="GPU time per request",
        columns=("Endpoint", "Requests with GPU time", "p5", "p25", "p50", "p75", "p95", "Mean"),
        rows=[(name, say.count(s.count), *(say.ms(v) for v in marks[name]), say.ms(s.mean_ms)) for name, s in shown],
    )
    return draw(
        plot, name="gpu-time", title="GPU time per request", alt=alt, data=data, size=(9.4, 0.95 + 0.55 * len(shown)), legend=legend
    )


def _sketch(endpoint: EndpointResult, column: str) -> Sketch:
    total = endpoint.total
    return total.sketches.get(column, Sketch()) if total else Sketch()


def _thinned(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """At most some 250 steps: more cannot be told apart in print, and each costs bytes."""
    every = max(1, len(points) // 250)
    return [*points[::every], points[-1]]


def within(of: Sketch, limit_ms: float) -> float | None:
    """Share of values at or below a limit."""
    if of.count == 0:
        return None
    return max((share for value, share in cumulative(of) if value <= limit_ms), default=0.0)


def _alt(shown: Sequence[tuple[str, dict[str, Sketch]]], slo_ms: float) -> str:
    parts = []
    for name, of in shown:
        kinds = [
            f"{k} median {say.ms(quantile(s, 0.5))}, {say.percent(within(s, slo_ms))} within the SLO" for k, s in of.items() if s.count
        ]
        parts.append(f"{name}: {'; '.join(kinds)}.")
    return " ".join([f"Share of callers served within a time, SLO {say.set_ms(slo_ms)}.", *parts])


def _table(shown: Sequence[tuple[str, dict[str, Sketch]]], slo_ms: float) -> Table:
    rows = [
        (
            name,
            kind,
            say.count(s.count),
            *(say.ms(quantile(s, q)) for q in (0.5, 0.95, 0.99)),
            say.ms(s.mean_ms),
            say.percent(within(s, slo_ms)),
        )
        for name, of in shown
        for kind, s in of.items()
        if s.count
    ]
    columns = ("Endpoint", "Requests", "Measured", "p50", "p95", "p99", "Mean", "Within SLO")
    return Table(caption="Latency by coldness", columns=columns, rows=rows, text_columns=2)
