"""What it costs: a day by billing phase, beside every dedicated option."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

from reports import format as say
from reports.figures.svg import HATCHES, INK, MUTED, PAPER, SERIES, Figure, draw
from reports.tables import Table
from trial.results import DedicatedCost, EndpointCost, EndpointResult

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


def phase_name(phase: str) -> str:
    return phase.replace("_", " ")


def _billed(cost: EndpointCost) -> str:
    bills = [d.billed_usd for d in cost.days if d.billed_usd is not None]
    return say.usd(sum((sum(b.values(), Decimal(0)) for b in bills), Decimal(0)) / len(bills)) if bills else "no bill read"
