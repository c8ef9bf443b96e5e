"""The provider's bill out of the billing exports that trial.toml names, put beside the model."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from analysis import focus
from analysis.reconcile import billed_by_day
from collectors.files import Source, match_files
from trial.calendar import Calendar
from trial.config import Trial
from trial.errors import SourceError
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
    sources = match_files(endpoint.bill, folder=trial.folder)
    bill = focus.bill_of(endpoint, (focus.table(_bytes(source), name=source.name) for source in sources))
    used = bill.rows.get("used", 0)
    if bill.rows.get("used_without_resource"):
        log.warning("%s: %s names no resources: every charge of the service counts as this endpoint's", endpoint.name, endpoint.bill)
    elif not used:
        counts = ", ".join(f"{n} {reason.replace('_', ' ')}" for reason, n in bill.rows.items()) or "no rows"
        log.warning("%s: nothing in %s is this endpoint's (%s)", endpoint.name, endpoint.bill, counts)
    return _whole(billed_by_day(bill.buckets, trial.calendar), trial.calendar, written=_last_written(sources))


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
