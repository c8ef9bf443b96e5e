"""What it costs: a day by billing phase beside every dedicated option, and the break-even over traffic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from reports import format as say
from reports.figures.svg import HATCHES, INK, MARKERS, MUTED, PAPER, SERIES, Figure, draw
from reports.tables import Table
from trial.results import DedicatedCost, EndpointResult

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas


def cost_by_phase(endpoints: Sequence[EndpointResult], dedicated: Sequence[DedicatedCost]) -> Figure | None:
    """Mean cost of a day; None where nothing is priced."""
    from matplotlib.patches import Patch

    costs = {e.endpoint: e.cost for e in endpoints if e.cost is not None and e.cost.days}
    if not costs and not dedicated:
        return None
    per_day = {name: {p: v / len(c.days) for p, v in c.by_phase().items() if v} for name, c in costs.items()}
    phases = sorted({p for of in per_day.values() for p in of}, key=lambda p: (-sum(of.get(p, Decimal(0)) for of in per_day.values()), p))
    look = {p: (SERIES[i % len(SERIES)], HATCHES[i % len(HATCHES)]) for i, p in enumerate(phases)}
    names = [*costs, *(f"{d.name} (dedicated)" for d in dedicated)]
    totals = [*(c.usd_per_day or Decimal(0) for c in costs.values()), *(d.usd_per_day for d in dedicated)]

    def plot(canvas: Canvas) -> None:
        axis = canvas.subplots()
        for row, name in enumerate(names):
            left = 0.0
            for phase, value in sorted(per_day.get(name, {}).items(), key=lambda item: phases.index(item[0])):
                colour, hatch = look[phase]
                axis.barh(row, float(value), left=left, height=0.56, color=colour, hatch=hatch, edgecolor=PAPER, linewidth=0.6)
                left += float(value)
            if name not in per_day:
                axis.barh(row, float(totals[row]), height=0.56, color="none", edgecolor=MUTED, linewidth=1.4)
            axis.annotate(
                say.usd(totals[row]), (float(totals[row]), row), xytext=(5, 0), textcoords="offset points", va="center", fontsize=9
            )
        axis.set_yticks(range(len(names)), names)
        axis.tick_params(axis="y", labelcolor=INK, length=0)
        axis.invert_yaxis()
        axis.set_xlim(0, float(max(totals)) * 1.12 or 1)
        axis.xaxis.set_major_formatter(lambda v, _: f"${v:g}")
        axis.set_xlabel("USD a day, mean of the trial's days")
        axis.grid(axis="y", visible=False)

    legend = [Patch(facecolor=c, hatch=h, edgecolor=PAPER, label=phase_name(p)) for p, (c, h) in look.items()]
    if dedicated:
        legend.append(Patch(facecolor="none", edgecolor=MUTED, label="dedicated, the whole day"))
    alt = f"Mean cost of a day: {'; '.join(f'{n} {say.usd(t)}' for n, t in zip(names, totals, strict=True))}."
    columns = ("Option", *(phase_name(p) for p in phases), "Total a day", "Billed a day")
    rows = [(n, *(say.usd(per_day[n].get(p, Decimal(0))) for p in phases), say.usd(c.usd_per_day), _billed(c)) for n, c in costs.items()]
    rows += [(f"{d.name} (dedicated)", *("" for _ in phases), say.usd(d.usd_per_day), "") for d in dedicated]
    data = Table(caption="Cost of a day by billing phase", columns=columns, rows=rows)
    return draw(plot, name="cost", title="Cost of a day", alt=alt, data=data, size=(9.4, 1.0 + 0.42 * len(names)), legend=legend)


def break_even(
    curves: Mapping[str, Sequence[Mapping[str, Any]]], endpoints: Sequence[EndpointResult], dedicated: Sequence[DedicatedCost]
) -> Figure | None:
    """Cost of a day over traffic, with the trial's own traffic marked; None without curves."""
    from matplotlib.lines import Line2D

    shown = {e.endpoint: list(curves[e.endpoint]) for e in endpoints if curves.get(e.endpoint)}
    if not shown:
        return None
    own = {e.endpoint: e.total.requests / len(e.days) for e in endpoints if e.total is not None}
    look = {name: (SERIES[i % len(SERIES)], MARKERS[i % len(MARKERS)]) for i, name in enumerate(shown)}

    def plot(canvas: Canvas) -> None:
        axis = canvas.subplots()
        for name, points in shown.items():
            colour, marker = look[name]
            at = [float(p["requests_per_day"]) for p in points]
            axis.fill_between(
                at, [float(p["low"]) for p in points], [float(p["high"]) for p in points], color=colour, alpha=0.16, linewidth=0
            )
            axis.plot(at, [float(p["usd_per_day"]) for p in points], color=colour)
            if name in own:
                axis.plot(
                    [own[name]], [_at(points, own[name])], marker=marker, markersize=9, color=colour, markeredgecolor=INK, linestyle="none"
                )
        for option in dedicated:
            axis.axhline(float(option.usd_per_day), color=MUTED, linestyle=(0, (5, 3)), linewidth=1.2)
            axis.annotate(
                f"{option.name} {say.usd(option.usd_per_day)}",
                (0.005, float(option.usd_per_day)),
                xycoords=("axes fraction", "data"),
                va="bottom",
                fontsize=9,
                color=MUTED,
            )
        axis.set_xscale("log")
        axis.xaxis.set_major_formatter(lambda v, _: f"{v:,.0f}")
        axis.xaxis.set_minor_formatter(lambda _v, _: "")
        axis.set_ylim(0, _ceiling(shown, own, dedicated))
        axis.yaxis.set_major_formatter(lambda v, _: f"${v:g}")
        axis.set_xlabel("requests a day (logarithmic)")
        axis.set_ylabel("USD a day")

    legend = [
        Line2D([], [], color=c, marker=m, markersize=8, markeredgecolor=INK, label=f"{n} (mark: this trial)") for n, (c, m) in look.items()
    ]
    crossings = [
        (e, d.name, d.usd_per_day, d.break_even_requests_per_day.get(e))
        for e in shown
        for d in dedicated
        if d.break_even_requests_per_day is not None
    ]
    said = [f"{e} costs as much as {d} at {say.count(round(x))} requests a day" for e, d, _, x in crossings if x is not None]
    alt = f"Cost of a day over traffic. {'; '.join(said) or 'No crossing with a dedicated option'}."
    data = Table(
        caption="Break-even by endpoint and dedicated option",
        columns=("Endpoint", "Dedicated option", "Its cost a day", "Break-even, requests a day", "This trial, requests a day"),
        rows=[
            (e, d, say.usd(u), "none found" if x is None else say.count(round(x)), say.count(round(own.get(e, 0))))
            for e, d, u, x in crossings
        ],
        text_columns=2,
    )
    return draw(plot, name="break-even", title="Break-even over traffic", alt=alt, data=data, size=(9.4, 3.5), legend=legend)


def phase_name(phase: str) -> str:
    return phase.replace("_", " ")


def _billed(cost: Any) -> str:
    bills = [d.billed_usd for d in cost.days if d.billed_usd is not None]
    return say.usd(sum((sum(b.values(), Decimal(0)) for b in bills), Decimal(0)) / len(bills)) if bills else "no bill read"


def _at(points: Sequence[Mapping[str, Any]], traffic: float) -> float:
    """The curve at a traffic, straight between its points."""
    from itertools import pairwise

    for a, b in pairwise(points):
        low, high = float(a["requests_per_day"]), float(b["requests_per_day"])
        if low <= traffic <= high and high > low:
            share = (traffic - low) / (high - low)
            return float(a["usd_per_day"]) * (1 - share) + float(b["usd_per_day"]) * share
    nearest = min(points, key=lambda p: abs(float(p["requests_per_day"]) - traffic))
    return float(nearest["usd_per_day"])


def _ceiling(shown: Mapping[str, Sequence[Mapping[str, Any]]], own: Mapping[str, float], dedicated: Sequence[DedicatedCost]) -> float:
    """High enough for the crossings and the trial's own traffic; the far end of a steep curve may leave the picture."""
    needed = [float(d.usd_per_day) for d in dedicated] + [_at(points, own[name]) for name, points in shown.items() if name in own]
    return 1.6 * max(needed, default=1.0) or 1.0
