"""Rows of our own columns: each is a fact and an invocation as it stands."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from collectors.export.cells import CellError, typed_row
from trial.calendar import Calendar
from trial.records import Invocation, RawEvent, Rejected


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One invocation row, typed."""

    at: datetime
    columns: dict[str, Any]
    kind: str = "row"


def parse(event: RawEvent, endpoint: Any) -> Row | Rejected:  # noqa: ARG001 (the Protocol's shape)
    """A row; rejected only where the stored event was not written by `row_events`, which checks every cell."""
    if not isinstance(event.payload, dict):
        return Rejected(reason="not_a_row")
    try:
        return Row(at=event.at, columns=typed_row(event.payload))
    except (CellError, KeyError) as exc:
        return Rejected(reason="bad_cell", detail=str(exc)[:200])


def assemble(facts: Iterable[Row], endpoint: Any, calendar: Calendar) -> Iterator[Invocation]:
    """
    Rows as invocations of this endpoint. The day is counted anew, since another trial may have lived in another time zone.
    """
    for fact in facts:
        columns = {"platform": "export", "request_id": None, "instance_id": None, **fact.columns}
        day = calendar.day_of(columns["started_at"])
        columns["model"] = columns.get("model") or endpoint.model
        yield Invocation(**{**columns, "endpoint": endpoint.name, "day": day})
