"""Everything a verdict or a report shows, gathered from the store alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

from analysis import verdict
from analysis.costing.by_model import by_model
from analysis.costing.reconcile import Reconciliation, reconcile
from analysis.judging import flags
from analysis.judging.changes import idle_timeout_changed, price_changed
from analysis.prices import PriceBook
from flows import bills, costs, whatifs
from flows.seen import Seen
from trial import registration
from trial.config import Trial
from trial.errors import ConfigError
from trial.results import EndpointResult, TrialResult
from trial.store import Store


def last_ended_day(trial: Trial, now: datetime) -> date | None:
    ended = trial.calendar.complete_days(now - timedelta(minutes=trial.collect.watermark_minutes))
    return ended[-1] if ended else None


def register(trial: Trial, store: Store, *, now: datetime) -> registration.Registration:
    """Holds the trial to the settings and prices of its first collection; later changes are kept with their date."""
    return registration.register(store.files, _settings(trial), now=now)


def _settings(trial: Trial) -> dict[str, str]:
    return registration.settings_of(trial, prices_sha256=costs.book_of(trial).sha256)


def _registered(trial: Trial, store: Store, now: datetime) -> registration.Registration | None:
    """What was registered, and what trial.toml or the price book say otherwise by now, collected with or not."""
    known = registration.read(store.files)
    return known and known.against(_settings(trial), now=now)


def verdicts(trial: Trial, store: Store, *, now: datetime, names: Sequence[str] | None = None) -> tuple[EndpointResult, ...]:
    """The endpoints with their days and verdicts, without costs, and so without what a bill says of them."""
    known = _registered(trial, store, now)
    changes = known.changes if known else ()
    return tuple(
        _endpoint(trial, store, endpoint, last_ended_day(trial, now), changes)
        for endpoint in trial.endpoints
        if names is None or endpoint.name in names
    )


def _endpoint(trial: Trial, store: Store, endpoint: Any, through: date | None, changes: Sequence[Any]) -> EndpointResult:
    days = tuple(m.summary for m in store.manifests(endpoint.name))
    judged = verdict.judge(
        days,
        endpoint=endpoint.name,
        platform=endpoint.platform,
        trial=trial.trial,
        through=through,
        changes=changes,
        logs_of=endpoint.format if endpoint.platform == "export" else None,
    )
    return EndpointResult(endpoint=endpoint.name, platform=endpoint.platform, days=days, verdict=judged)


def gather(trial: Trial, store: Store, *, now: datetime, names: Sequence[str] | None = None, seen: Seen | None = None) -> TrialResult:
    """The whole result, costs and what-ifs included."""
    seen = seen or Seen(trial, store)
    known = _registered(trial, store, now)
    book = costs.book_of(trial)
    endpoints = tuple(_priced(trial, store, e, book, seen) for e in verdicts(trial, store, now=now, names=names))
    collected = sorted({day for e in endpoints for s in e.days for day in s.days})
    return TrialResult(
        trial=trial.trial.name,
        as_of=collected[-1] if collected else None,
        day_number=len(collected),
        days_planned=trial.trial.days,
        endpoints=endpoints,
        dedicated=costs.dedicated_of(trial, endpoints, book),
        registered=dict(known.settings) if known else {},
        changes=known.changes if known else (),
    )


def costed(trial: Trial, store: Store, result: EndpointResult, book: PriceBook, seen: Seen) -> EndpointResult:
    """The endpoint with its cost held against its bill, and what that does to its verdict."""
    endpoint = trial.endpoint(result.endpoint)
    result = replace(result, verdict=flags.with_changes(result.verdict, _idle_timeout_changed(trial, endpoint, seen)))
    cost = costs.cost_of(trial, store, endpoint, result, book, seen)
    if cost is None:
        return result
    cost = bills.with_bill(trial, endpoint, cost)
    found = reconcile(cost, tolerance=trial.prices.tolerance)
    return replace(
        result,
        verdict=flags.with_bill(flags.with_changes(result.verdict, _price_changed(found)), found),
        cost=cost,
        reconciliation=found,
        by_model=by_model(cost, result.total) if result.total is not None else (),
    )


def _idle_timeout_changed(trial: Trial, endpoint: Any, seen: Seen) -> list[str]:
    if endpoint.platform not in whatifs.SERVERLESS:
        return []
    try:
        found = seen.arrivals(endpoint)
    except ConfigError:  # nothing to replay, which the what-ifs say
        return []
    first = trial.calendar.day_of(datetime.fromtimestamp(found.origin_us / 1e6, tz=UTC))
    told = idle_timeout_changed(found, first=first, min_workers=endpoint.min_workers, concurrency=endpoint.concurrency)
    return [told] if told else []


def _price_changed(found: Reconciliation) -> list[str]:
    told = price_changed(found.days, tolerance=found.tolerance)
    return [told] if told else []


def _priced(trial: Trial, store: Store, result: EndpointResult, book: PriceBook, seen: Seen) -> EndpointResult:
    endpoint, result = trial.endpoint(result.endpoint), costed(trial, store, result, book, seen)
    table = whatifs.table_of(trial, store, endpoint, book, seen=seen)
    return replace(
        result,
        whatifs=table.rows if table else (),
        cheapest=table.cheapest if table else None,
        notes=table.notes if table else (),
        break_evens=whatifs.break_evens_of(trial, result, book),
    )
