"""What every endpoint and every dedicated option costs: the store's rows and the price book, handed to analysis."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from analysis import prices
from analysis.cost import endpoint_cost
from analysis.costing import dedicated
from analysis.costing.break_even import BreakEven
from analysis.costing.tracker import TrackerCost, tracker_cost
from analysis.replaying.idle_timeout import estimate_of
from flows.seen import Seen
from trial import pulls
from trial.config import Trial
from trial.errors import ConfigError
from trial.records import Estimate, Instance
from trial.results import DedicatedCost, EndpointCost, EndpointResult
from trial.store import Store

log = logging.getLogger("fortnight")

# A change point that more than every fifth gap contradicts describes no time-out.
MOST_MISFITS = 0.2


def book_of(trial: Trial, *, name: str | None = None) -> prices.PriceBook:
    return prices.load(name or trial.prices.book, folder=trial.folder)


def provenance(row: Any) -> dict[str, Any]:
    """A price row as a reader checks it: what it says, where that stands, and when somebody last looked."""
    rates = {name: f"{rate.first:f} {rate.unit}" for name, rate in row.rates.items()}
    return {
        "system": row.system,
        "title": row.title,
        "usd": "; ".join(f"{name} {text}" for name, text in rates.items()) or "no rate could be read",
        "unit": ", ".join(rate.unit for rate in row.rates.values()),
        "region": row.region,
        "billed_phases": ", ".join(row.billed),
        "rounding_s": f"{row.rounding_s:f}",
        "read_on": row.read_on.isoformat(),
        "as_of": row.as_of.isoformat() if row.as_of else None,
        "source": row.source,
        "confidence": row.confidence,
        "closed": row.closed.isoformat() if row.closed else None,
        "hypothetical": row.hypothetical,
        "absent": dict(row.absent),
    }


def cost_of(trial: Trial, store: Store, endpoint: Any, result: EndpointResult, book: prices.PriceBook, seen: Seen) -> EndpointCost | None:
    """None where no price is named, or the row cannot price it, which is said: a verdict does not wait for a price."""
    if endpoint.price is None or not result.days:
        return None
    try:
        row = book.row(endpoint.price)
        return endpoint_cost(
            endpoint,
            row,
            days=result.days,
            invocations=_tables(store, endpoint.name),
            calendar=trial.calendar,
            prices=trial.prices,
            instances=instances_of(store, endpoint.name),
            usage=[bucket for m in store.manifests(endpoint.name) for bucket in m.usage],
            idle_timeout_s=_idle_timeout(endpoint, row, seen),
        )
    except ConfigError as exc:
        log.warning("%s: no cost: %s", endpoint.name, exc)
        return None


def _idle_timeout(endpoint: Any, row: Any, seen: Seen) -> Estimate | None:
    """How long the log says an idle instance was kept, where the bill depends on it and trial.toml says nothing."""
    if endpoint.idle_timeout_s is not None or row.rule != "instance-life":
        return None
    try:
        told = estimate_of(seen.arrivals(endpoint), min_workers=endpoint.min_workers, concurrency=endpoint.concurrency)
    except ConfigError:  # nothing to see it in: the price row's default stands
        return None
    return told.as_estimate() if told is not None and told.misfits <= MOST_MISFITS * told.gaps else None


def tracker_of(trial: Trial, store: Store, endpoint: Any, book: prices.PriceBook) -> TrackerCost:
    """What collecting the endpoint took so far."""
    return tracker_cost(endpoint.platform, pulls.read(store.files, endpoint=endpoint.name), book, free_tier=trial.prices.free_tier)


def dedicated_of(trial: Trial, results: Sequence[EndpointResult], book: prices.PriceBook) -> tuple[DedicatedCost, ...]:
    """Every [[dedicated]] option under the busiest serverless endpoint's traffic."""
    totals = [result.total for result in results if result.total is not None]
    if not totals:
        return ()
    traffic = max((dedicated.traffic_of(total) for total in totals), key=lambda t: t.requests_per_day)
    return tuple(
        dedicated.dedicated_cost(
            option,
            book.row(option.price),
            traffic=traffic,
            break_even={r.endpoint: b.crossing.best for r in results for b in r.break_evens if b.option == option.name and _crosses(b)},
        )
        for option in trial.dedicated
    )


def _crosses(found: BreakEven) -> bool:
    return found.crossing is not None and found.crossing.best is not None


def instances_of(store: Store, endpoint: str) -> list[Instance]:
    """The instances of all days; one that lived over midnight stands on each day it was seen."""
    return [Instance(**row) for batch in store.batches("instances", endpoint) for row in batch.to_pylist()]


def hourly(trial: Trial, store: Store, endpoint: str) -> list[list[int]]:
    """Requests by local hour, one list of 24 a collected day."""
    days = []
    for day in store.days(endpoint):
        started = store.table("invocations", endpoint, [day], columns=["started_at"])["started_at"]
        hours = pc.hour(pc.assume_timezone(pc.local_timestamp(started.cast(pa.timestamp("us", tz=trial.trial.timezone))), "UTC"))
        counts = [0] * 24
        for entry in pc.value_counts(hours).to_pylist():
            counts[entry["values"]] = entry["counts"]
        days.append(counts)
    return days


def _tables(store: Store, endpoint: str) -> Iterator[pa.Table]:
    for day in store.days(endpoint):
        yield store.table("invocations", endpoint, [day])
