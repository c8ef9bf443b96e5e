"""The provider's bill out of the billing exports that trial.toml names, put beside the model."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from analysis.costing import focus
from analysis.costing.reconcile import billed_by_day
from collectors.files import Source, match_files
from trial.calendar import Calendar
from trial.config import Trial
from trial.errors import SourceError
from trial.finding import Finding
from trial.results import EndpointCost

log = logging.getLogger("fortnight")


def with_bill(trial: Trial, endpoint: Any, cost: EndpointCost) -> EndpointCost:
    """The cost with the endpoint's billing export beside it, where one is named and can be read; a verdict does not wait for it."""
    if endpoint.bill is None:
        return cost
    try:
        billed = read(trial, endpoint)
    except SourceError as exc:
        log.warning("%s: no bill: %s", endpoint.name, exc)
        return cost
    return replace(cost, days=tuple(replace(day, billed_usd=billed.get(day.day, day.billed_usd)) for day in cost.days))


def read(trial: Trial, endpoint: Any) -> Mapping[date, Mapping[str, Decimal]]:
    """
    USD by local day and kind, out of every file that `bill` matches; days that no export covers are absent.

    Raises:
        NotFound: no file matches. Denied, Unreachable: as the storage says. Malformed: no FOCUS columns, or a broken row.
    """
    billed, caveat = _read(trial, endpoint)
    if caveat:
        log.warning("%s: %s", endpoint.name, caveat)
    return billed


def look(trial: Trial, endpoint: Any) -> Iterator[Finding]:
    """For `fortnight doctor`: whether the bill that is named can be held against the model; nothing where none is named."""
    if endpoint.bill is None:
        return
    try:
        billed, caveat = _read(trial, endpoint)
    except SourceError as exc:
        yield Finding(endpoint=endpoint.name, check="bill", state="warn", detail=f"{exc.where}: {exc.what}", do=exc.do)
        return
    usd = sum((usd for kinds in billed.values() for usd in kinds.values()), Decimal(0))
    days = f"{len(billed)} days of the trial, {min(billed)} to {max(billed)}, ${usd:,.2f}" if billed else "no whole day of the trial yet"
    yield Finding(
        endpoint=endpoint.name,
        check="bill",
        state="warn" if caveat else "ok",
        detail=f"{caveat}; {days}" if caveat else days,
        do="Export the bill with resource ids, and check the endpoint's own name in it" if caveat else None,
    )


def _read(trial: Trial, endpoint: Any) -> tuple[dict[date, Mapping[str, Decimal]], str | None]:
    """The bill by day, and what is doubtful about it."""
    sources = match_files(endpoint.bill, folder=trial.folder)
    bill = focus.bill_of(endpoint, (focus.table(_bytes(source), name=source.name) for source in sources))
    caveat = None
    if bill.rows.get("used_without_resource"):
        caveat = f"{endpoint.bill} names no resources: every charge of the service counts as this endpoint's"
    elif not bill.rows.get("used"):
        counts = ", ".join(f"{n} {reason.replace('_', ' ')}" for reason, n in bill.rows.items()) or "no rows"
        caveat = f"nothing in {endpoint.bill} is this endpoint's ({counts})"
    return _whole(billed_by_day(bill.buckets, trial.calendar), trial.calendar, written=_last_written(sources)), caveat


def _bytes(source: Source) -> bytes:
    with source.open_seekable() as stream:
        return stream.read()


def _last_written(sources: list[Source]) -> datetime | None:
    return max((s.modified_at for s in sources if s.modified_at), default=None)


def _whole(
    billed: Mapping[date, Mapping[str, Decimal]], calendar: Calendar, *, written: datetime | None
) -> dict[date, Mapping[str, Decimal]]:
    """Without the days that had not ended when the newest file was written: their charges are not all there."""
    return {day: kinds for day, kinds in billed.items() if written is None or calendar.window(day).end <= written}
