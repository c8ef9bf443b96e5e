"""`fortnight whatif`: the observed arrivals, or any, under other settings."""

from __future__ import annotations

import json
import textwrap
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from trial import config
from trial.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Flags:
    """The policy as typed; None is a flag that was not given."""

    arrivals: Path | None
    idle_timeout: float | None
    cold_start_ms: float | None
    min_workers: int | None
    max_workers: int | None
    ping_every: float | None
    concurrency: int | None
    dedicated: int | None
    reject: bool | None
    provisioned: int | None
    routing: str | None
    queue_delay: float | None
    load_queueing: bool | None
    allow_simultaneous: bool

    @property
    def names_a_policy(self) -> bool:
        others = ("arrivals", "cold_start_ms", "allow_simultaneous")
        return any(getattr(self, f.name) is not None for f in fields(self) if f.name not in others)


def run(path: Path, *, endpoint: str | None, flags: Flags, as_json: bool) -> None:
    if flags.arrivals is not None:
        from analysis.replaying.arrivals import read_csv

        _one(read_csv(flags.arrivals, allow_simultaneous=flags.allow_simultaneous), flags, default_cold_ms=None, as_json=as_json)
        return
    trial = config.load(path)
    chosen = [trial.endpoint(endpoint)] if endpoint else list(trial.endpoints)
    from flows import costs, whatifs
    from trial.store import Store

    store = Store.at(trial.store_url)
    if flags.names_a_policy:
        if len(chosen) > 1:
            raise ConfigError("a policy is replayed on one endpoint", do=f"Name it with --endpoint: {', '.join(e.name for e in chosen)}")
        from analysis.replaying.arrivals import from_invocations

        _one(from_invocations(store.table("invocations", chosen[0].name)), flags, default_cold_ms=flags.cold_start_ms, as_json=as_json)
        return
    book = costs.book_of(trial)
    found = (whatifs.table_of(trial, store, e, book, cold_start_ms=flags.cold_start_ms) for e in chosen)
    tables = [t for t in found if t is not None]
    if as_json:
        from analysis.replaying.whatif_json import whatif_json

        print(json.dumps({"trial": trial.trial.name, "endpoints": [whatif_json(t) for t in tables]}, indent=1))
    else:
        for table in tables:
            _print(table)


def _one(arrivals: Any, flags: Flags, *, default_cold_ms: float | None, as_json: bool) -> None:
    from analysis.replaying.settings import Setting
    from analysis.whatif import run_setting

    result = run_setting(arrivals, Setting(name="as given", policy=_policy(flags)), cold_start_ms=flags.cold_start_ms or default_cold_ms)
    document = result.as_json()
    if as_json:
        print(json.dumps(document, indent=1))
        return
    waited, workers = document["waited_ms"], document["workers"]
    print(
        f"{document['requests']:,} requests: {document['cold']:,} cold ({document['cold_hit_rate']:.2%}), {document['rejected']:,} rejected"
    )
    print(f"waited p50 {waited['p50']:,.0f} ms, p95 {waited['p95']:,.0f} ms, p99 {waited['p99']:,.0f} ms")
    print(f"workers on average {workers['alive_mean']:.5f} alive, {workers['running_mean']:.5f} running; at most {workers['peak']}")
    print(f"billed {document['billed_seconds']:,.0f} s")


def _policy(flags: Flags) -> Any:
    from analysis.replaying.policies import from_flags

    given = {
        "min_workers": flags.min_workers,
        "max_workers": flags.max_workers,
        "reject": flags.reject,
        "concurrency": flags.concurrency,
        "ping_every_s": flags.ping_every,
        "provisioned": flags.provisioned,
        "routing": flags.routing,
        "queue_delay_s": flags.queue_delay,
        "load_queueing": flags.load_queueing,
    }
    chosen: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    return from_flags(idle_timeout_s=flags.idle_timeout, dedicated=flags.dedicated, **chosen)


def _print(table: Any) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console()
    shown = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), title=table.endpoint, title_justify="left")
    for column in ("setting", "cold", "over SLO", "p95 wait", "alive", "USD/day", "meets SLO"):
        shown.add_column(column, justify="left" if column == "setting" else "right", no_wrap=True)
    for row in table.rows:
        rate = row.cold_hit_rate.best if row.cold_hit_rate else None
        mark = " *" if table.cheapest is row else ""
        shown.add_row(
            row.name,
            "-" if rate is None else f"{rate:.1%}",
            "-" if row.over_slo is None else f"{row.over_slo:.1%}",
            f"{row.waited_ms['p95'] / 1000:,.1f} s",
            f"{row.workers['alive_mean']:.2f}",
            "-" if row.usd_per_day is None else f"{row.usd_per_day:,.2f}",
            f"{'yes' if row.meets_slo else 'no'}{mark}",
        )
    console.print(shown)
    console.print("* the cheapest that meets the SLO" if table.cheapest else "No setting here meets the SLO.", highlight=False)
    for note in table.notes:
        print(textwrap.fill(note, width=min(console.width, 110), initial_indent="  ", subsequent_indent="  "))
    console.print()
