"""Where prices come from, and how far the model is from the bill, as tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from analysis.costing.reconcile import Reconciliation
from reports import format as say
from reports.extras import ReportExtras
from reports.sentences import Said
from reports.tables import Table
from trial.results import EndpointResult


def prices(extras: ReportExtras) -> Table:
    """The rows of the price book in use; a source is shown as text, never as a link. Keys without a column of their own are notes."""
    found = extras.prices or {}
    head = {
        "title": "What",
        "usd": "Price",
        "region": "Region",
        "billed_phases": "Bills",
        "read_on": "Read on",
        "confidence": "Confidence",
        "source": "Source",
    }
    rows = []
    for name, row in found.items():
        others = {k: v for k, v in row.items() if k not in {*head, "system", "unit"} and v not in (None, "", False, {}, [])}
        notes = "; ".join(f"{k.replace('_', ' ')}: {_plain(v)}" for k, v in others.items())
        rows.append((name, *(_plain(row.get(k)).replace("; ", "\n") for k in head), notes))
    empty = say.NOT_ASKED if extras.prices is None else "No prices were used."
    columns = ("Row", *head.values(), "Notes")
    return Table(caption="Prices: where each comes from", columns=columns, rows=rows, text_columns=len(columns), empty=empty)


def reconciliation(endpoints: Sequence[EndpointResult]) -> Table:
    """One row per endpoint with a bill: how far the model is off, whether it drifts, and the phase that explains it."""
    rows = [
        (
            e.endpoint,
            say.count(len(found.days)),
            say.usd(sum((d.modelled for d in found.days), Decimal(0))),
            say.usd(found.billed_usd),
            say.percent(found.share),
            "no trend below 3 days" if found.trend_usd_per_day is None else say.usd(found.trend_usd_per_day),
            f"{sum(d.explained for d in found.days)} of {len(found.days)}",
            _explained_by(found),
            say.usd(other) if (other := sum((d.other for d in found.days), Decimal(0))) else "nothing",
        )
        for e, found in _billed(endpoints)
    ]
    columns = (
        "Endpoint",
        "Days with a bill",
        "Modelled",
        "Billed",
        "Billed above the model",
        "Change of that a day",
        "Days within the model's bounds",
        "Would be explained by",
        "Also billed, not modelled",
    )
    return Table(caption="The model against the bill", columns=columns, rows=rows, empty="No bill was read for any endpoint.")


def bill_days(endpoints: Sequence[EndpointResult]) -> Table:
    """The residual of each day, beside the phases that the model makes of it."""
    rows = []
    for e, found in _billed(endpoints):
        by_day = {d.day: d for d in e.cost.days} if e.cost else {}
        for d in found.days:
            phases = "; ".join(f"{phase.replace('_', ' ')} {say.usd(v)}" for phase, v in sorted(by_day[d.day].usd.items()) if v)
            cells = (say.usd(d.modelled), say.usd_range(d.low, d.high), say.usd(d.billed), say.usd(d.usd))
            rows.append((e.endpoint, say.short_day(d.day), phases, *cells))
    columns = ("Endpoint", "Day", "Modelled phases", "Modelled", "Model's bounds", "Billed", "Billed minus modelled")
    return Table(caption="The bill by day", columns=columns, rows=rows, text_columns=3, empty="No bill was read for any endpoint.")


def bill_sentences(endpoints: Sequence[EndpointResult]) -> list[Said]:
    return [Said(about=e.endpoint, text=found.sentence.removeprefix(f"{e.endpoint}: ")) for e, found in _billed(endpoints)]


def model_costs(endpoints: Sequence[EndpointResult]) -> Table:
    """The bill shared out among the models an endpoint served; nothing where the logs name none."""
    rows = [
        (
            e.endpoint,
            m.model,
            say.usd(m.usd),
            say.usd(m.usd / len(e.cost.days) * e.cost.hours_per_month / 24),
            say.usd(m.usd_per_1k),
            "no tokens logged" if m.usd_per_million_tokens is None else say.usd(m.usd_per_million_tokens),
            {"gpu_ms": "GPU time"}.get(m.basis, m.basis),
        )
        for e in endpoints
        if e.cost is not None and e.cost.days
        for m in e.by_model[:50]
    ]
    columns = ("Endpoint", "Model", "Cost of the trial", "A month", "Per 1,000 inferences", "Per million tokens", "Shared out by")
    return Table(
        caption="Cost by model, start-ups and idle time included", columns=columns, rows=rows, text_columns=2, empty="No model has a cost."
    )


def tracker(extras: ReportExtras) -> Table:
    """What collecting cost: the calls made, and what the APIs charge for them."""
    rows = [
        (
            endpoint,
            say.count(of.pulls),
            say.count(of.calls),
            say.count(of.events),
            f"{of.bytes / 1e6:,.1f}",
            say.count(of.throttles),
            say.NOT_KNOWN if of.usd is None else say.usd(of.usd),
            of.charged_for,
        )
        for endpoint, of in (extras.tracker or {}).items()
    ]
    columns = ("Endpoint", "Pulls", "API calls", "Events read", "MB read", "Throttled", "API charges", "Charged for")
    empty = say.NOT_ASKED if extras.tracker is None else "No pull is recorded."
    return Table(caption="What the tracker itself cost", columns=columns, rows=rows, empty=empty)


def _billed(endpoints: Sequence[EndpointResult]) -> list[tuple[EndpointResult, Reconciliation]]:
    return [(e, e.reconciliation) for e in endpoints if e.reconciliation is not None and e.reconciliation.days]


def _explained_by(found: Reconciliation) -> str:
    if found.within_tolerance:
        return f"within the tolerance of {say.set_share(found.tolerance)}"
    if found.culprit is None or found.growth is None:
        return "no phase of the model"
    return f"{say.percent(abs(found.growth))} {'more' if found.growth > 0 else 'less'} {found.culprit.replace('_', ' ')}"


def _plain(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, Mapping):
        return ", ".join(f"{k} {v}" for k, v in value.items())
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
