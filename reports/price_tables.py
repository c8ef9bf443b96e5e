"""Where prices come from, and how far the model is from the bill, as tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from reports import format as say
from reports.extras import ReportExtras
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
    rows = []
    for e in endpoints:
        billed = [d for d in e.cost.days if d.billed_usd is not None] if e.cost else []
        if billed:
            modelled = sum((d.total_usd for d in billed), Decimal(0))
            bill = sum((v for d in billed for v in (d.billed_usd or {}).values()), Decimal(0))
            off = "" if not bill else say.percent(float((modelled - bill) / bill))
            rows.append((e.endpoint, str(len(billed)), say.usd(modelled), say.usd(bill), off))
    columns = ("Endpoint", "Days with a bill", "Modelled", "Billed", "Model minus bill")
    return Table(caption="The model against the bill", columns=columns, rows=rows, empty="No bill was read for any endpoint.")


def _plain(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, Mapping):
        return ", ".join(f"{k} {v}" for k, v in value.items())
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
