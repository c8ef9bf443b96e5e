"""`fortnight status`: what is collected, what is missing, how complete it is. Reads manifests only."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from flows import collecting, wiring
from trial import config
from trial.config import Trial
from trial.errors import ConfigError
from trial.records import as_dict
from trial.store import Store


def run(path: Path, *, endpoint: str | None, rejected: bool, as_json: bool) -> None:
    trial = config.load(path)
    store = Store.at(trial.store_url)
    names = [trial.endpoint(endpoint).name] if endpoint else [e.name for e in trial.endpoints]
    if rejected:
        _print_rejected(store, names, as_json)
    elif as_json:
        print(json.dumps(document(trial, store, names), indent=1))
    else:
        _print(trial, store, names)


def document(trial: Trial, store: Store, names: list[str], *, now: datetime | None = None) -> dict[str, Any]:
    """The JSON of `status --json`; in `harvest_gaps`, null is an end that has not come yet."""
    now = now or wiring.now()
    endpoints = []
    for endpoint in trial.endpoints:
        if endpoint.name in names:
            manifests = store.manifests(endpoint.name)
            collected = {m.day for m in manifests}
            endpoints.append(
                {
                    "endpoint": endpoint.name,
                    "platform": endpoint.platform,
                    "days": [_day(m.summary) for m in manifests],
                    "missing": [d.isoformat() for d in trial.calendar.all_days() if d not in collected],
                    "harvest_gaps": [
                        [a.isoformat(), b and b.isoformat()]
                        for a, b in collecting.harvest_gaps(store, endpoint.name, calendar=trial.calendar, now=now)
                    ],
                    "collecting": _collecting(trial, store, endpoint),
                    "price_problem": _price_problem(trial, endpoint),
                }
            )
    return {"trial": trial.trial.name, "endpoints": endpoints}


def _collecting(trial: Trial, store: Store, endpoint: Any) -> dict[str, Any]:
    """What the tracker itself cost so far; `usd` is null where the price book does not know."""
    from flows import costs

    found = as_dict(costs.tracker_of(trial, store, endpoint, costs.book_of(trial)))
    return {**found, "usd": None if found["usd"] is None else float(found["usd"])}


def _price_problem(trial: Trial, endpoint: Any) -> str | None:
    """Why no cost can be computed although a price is named: better known on the first day than at the verdict."""
    from flows import costs

    if endpoint.price is None:
        return None
    try:
        costs.book_of(trial).row(endpoint.price)
    except ConfigError as exc:
        return f"{exc.what}. {exc.do}" if exc.do else exc.what
    return None


def _day(summary: Any) -> dict[str, Any]:
    return {
        "day": summary.day.isoformat(),
        "requests": summary.requests,
        "cold_hits": summary.cold_hits,
        "unknown": summary.unknown,
        "cold_unwaited": summary.cold_unwaited,
        "synthetic": summary.synthetic,
        "aborted": summary.aborted,
        "incomplete": summary.incomplete,
        "quarantined": summary.quarantined,
        "completeness": summary.completeness,
        "provider_requests": summary.provider_requests,
        "ledger": summary.ledger_totals(),
        "ledgers": [
            {"source": x.source, **x.totals(), "reasons": {"used": dict(x.used), "ignored": dict(x.ignored), "rejected": dict(x.rejected)}}
            for x in summary.ledgers
        ],
    }


def _print(trial: Trial, store: Store, names: list[str]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console()
    for entry in document(trial, store, names)["endpoints"]:
        table = Table(
            title=f"{entry['endpoint']} ({entry['platform']})",
            title_justify="left",
            box=box.SIMPLE_HEAD,
            pad_edge=False,
            padding=(0, 1, 0, 0),
        )
        for column in ("day", "req.", "cold", "unk.", "rate", "compl.", "read", "used", "ign.", "dup.", "rej."):
            table.add_column(column, justify="left" if column == "day" else "right", no_wrap=True)
        requests = cold = 0
        for day in entry["days"]:
            requests, cold = requests + day["requests"], cold + day["cold_hits"]
            table.add_row(*_cells(day, cold / requests if requests else None))
        console.print(table)
        if entry["missing"]:
            console.print(f"not collected: {_span(entry['missing'])}", highlight=False)
        for since, until in entry["harvest_gaps"]:
            lost = collecting.lost_logs(datetime.fromisoformat(since), datetime.fromisoformat(until) if until else None)
            console.print(lost, highlight=False)
        if entry["price_problem"]:
            console.print(f"no cost: {entry['price_problem']}", highlight=False)
        console.print(f"collecting it took {_took(entry['collecting'])}\n", highlight=False)


def _took(spent: Mapping[str, Any]) -> str:
    usd = "a charge that is not known" if spent["usd"] is None else f"${spent['usd']:.4g}"
    calls, pulls = (f"{spent[k]:,} {k[:-1] if spent[k] == 1 else k}" for k in ("calls", "pulls"))
    text = f"{calls} in {pulls}, {spent['bytes'] / 1e6:,.1f} MB"
    return f"{text}, {usd}: {spent['charged_for']}"


def _cells(day: Mapping[str, Any], so_far: float | None) -> list[str]:
    complete = day["completeness"]
    return [
        day["day"],
        f"{day['requests']:,}",
        f"{day['cold_hits']:,}",
        str(day["unknown"]),
        "-" if so_far is None else f"{so_far:.1%}",
        "-" if complete is None else f"{complete:.1%}",
        *(f"{day['ledger'][k]:,}" for k in ("read", "used", "ignored", "duplicate", "rejected")),
    ]


def _span(days: list[str]) -> str:
    return ", ".join(days) if len(days) <= 3 else f"{len(days)} days, {days[0]} to {days[-1]}"


def _print_rejected(store: Store, names: list[str], as_json: bool) -> None:
    rows = [
        row
        for name in names
        for batch in store.batches("quarantine", name)
        for row in batch.select(["endpoint", "day", "started_at", "rules", "raw"]).to_pylist()
    ]
    if as_json:
        print(
            json.dumps(
                {"rejected": [{**r, "day": r["day"].isoformat(), "started_at": r["started_at"].isoformat()} for r in rows]}, indent=1
            )
        )
        return
    for row in rows:
        # repr: a log line may hold control sequences that a terminal would obey.
        print(f"{row['endpoint']}  {row['started_at'].isoformat()}  {'; '.join(row['rules'])}\n    {row['raw']!r}")
    if not rows:
        print("No rejected or quarantined lines.")
