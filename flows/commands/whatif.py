"""`fortnight whatif`: the observed arrivals, or any, under other settings."""

from __future__ import annotations

import json
import math
import sys
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
    shift: list[str] | None
    max_workers: int | None
    ping_every: float | None
    ping_ms: float | None
    concurrency: int | None
    dedicated: int | None
    reject: bool | None
    provisioned: int | None
    routing: str | None
    queue_delay: float | None
    requests_per_worker: int | None
    load_queueing: bool | None
    seed: int | None
    allow_simultaneous: bool

    @property
    def names_a_policy(self) -> bool:
        others = ("arrivals", "cold_start_ms", "allow_simultaneous")
        return any(getattr(self, f.name) not in (None, []) for f in fields(self) if f.name not in others)

    def changes(self) -> dict[str, Any]:
        """What they set in a policy, idle time-out and dedicated instances apart."""
        return {
            "min_workers": self.min_workers,
            "shifts": self.shift,
            "max_workers": self.max_workers,
            "reject": self.reject,
            "concurrency": self.concurrency,
            "ping_every_s": self.ping_every,
            "ping_service_ms": self.ping_ms,
            "provisioned": self.provisioned,
            "routing": self.routing,
            "queue_delay_s": self.queue_delay,
            "requests_per_worker": self.requests_per_worker,
            "load_queueing": self.load_queueing,
            "seed": self.seed,
        }


def run(path: Path, *, endpoint: str | None, flags: Flags, as_json: bool) -> None:
    if flags.cold_start_ms is not None and not 0 <= flags.cold_start_ms < math.inf:
        raise ConfigError(f"--cold-start-ms is {flags.cold_start_ms:g}", do="Use a finite number, 0 or more")
    if flags.arrivals is not None:
        _file(flags.arrivals, flags, as_json=as_json)
        return
    trial = config.load(path)
    chosen = [trial.endpoint(endpoint)] if endpoint else list(trial.endpoints)
    from flows import costs, whatifs
    from flows.seen import Seen
    from trial.store import Store

    store, book = Store.at(trial.store_url), costs.book_of(trial)
    if flags.names_a_policy:
        if len(chosen) > 1:
            raise ConfigError("a policy is replayed on one endpoint", do=f"Name it with --endpoint: {', '.join(e.name for e in chosen)}")
        from analysis.replaying.policies import changes

        given = changes(idle_timeout_s=flags.idle_timeout, dedicated=flags.dedicated, **flags.changes())
        _on_trial(whatifs.one_setting(trial, store, chosen[0], book, changes=given, cold_start_ms=flags.cold_start_ms), trial, as_json)
        return
    seen = Seen(trial, store)
    found = (whatifs.table_of(trial, store, e, book, seen=seen, cold_start_ms=flags.cold_start_ms) for e in chosen)
    tables = [t for t in found if t is not None]
    if not tables:
        print("nothing to replay: no collected day of a serverless endpoint", file=sys.stderr)
    if as_json:
        from analysis.replaying.whatif_json import whatif_json

        print(json.dumps({"trial": trial.trial.name, "endpoints": [whatif_json(t) for t in tables]}, indent=1))
    else:
        for table in tables:
            _print(table)


def _file(path: Path, flags: Flags, *, as_json: bool) -> None:
    from analysis.replaying.arrivals import read_csv
    from analysis.replaying.policies import from_flags
    from analysis.replaying.settings import Setting
    from analysis.whatif import run_setting

    policy = from_flags(idle_timeout_s=flags.idle_timeout, dedicated=flags.dedicated, **flags.changes())
    arrivals = read_csv(path, allow_simultaneous=flags.allow_simultaneous)
    document = run_setting(arrivals, Setting(name="as given", policy=policy), cold_start_ms=flags.cold_start_ms).as_json()
    if as_json:
        print(json.dumps(document, indent=1))
    else:
        _print_sums(document)


def _on_trial(found: Any, trial: Any, as_json: bool) -> None:
    from analysis.replaying.whatif_json import row_json
    from analysis.whatif import warnings

    row, slo = found.row, f"{trial.trial.latency_slo_ms:,g} ms"
    notes = warnings(found.calibration)
    if as_json:
        as_row = row_json(row)
        more = as_row | found.result.as_json() | {"cold_hit_rate_interval": as_row["cold_hit_rate"]}
        print(json.dumps({"endpoint": row.endpoint, **more, "slo_ms": trial.trial.latency_slo_ms, "notes": notes}, indent=1))
        return
    _print_sums(found.result.as_json())
    print(f"{row.over_slo:.2%} of callers over the SLO of {slo}: it is {'' if row.meets_slo else 'not '}met")
    if row.usd_per_day is not None:
        print(f"USD {row.usd_per_day:,.2f} a day")
    print("; ".join(f"{name} {value}" for name, value in row.settings.items()))
    for note in notes:
        print(note)


def _print_sums(document: dict[str, Any]) -> None:
    waited, workers = document["waited_ms"], document["workers"]
    print(
        f"{document['requests']:,} requests: {document['cold']:,} cold ({document['cold_hit_rate']:.2%}), {document['rejected']:,} rejected"
    )
    if document["waited_for_load"]:
        print(f"{document['cold_triggers']:,} made a worker start, {document['waited_for_load']:,} waited for one that another had started")
    print(f"waited p50 {waited['p50']:,.0f} ms, p95 {waited['p95']:,.0f} ms, p99 {waited['p99']:,.0f} ms")
    print(f"workers on average {workers['alive_mean']:.5f} alive, {workers['running_mean']:.5f} running; at most {workers['peak']:,}")
    print(f"billed {document['billed_seconds']:,.0f} s")


def _print(table: Any) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console()
    shown = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=0, title=table.endpoint, title_justify="left")
    for column in ("setting", "cold", "interval", "over", "p95 wait", "alive", "USD/day", "SLO"):
        shown.add_column(column, justify="left" if column == "setting" else "right", no_wrap=True)
    for row in table.rows:
        rate = row.cold_hit_rate
        mark = " *" if table.cheapest is row else ""
        shown.add_row(
            row.name,
            "-" if rate is None else f"{rate.best:.1%}",
            "-" if rate is None else f"{100 * rate.low:.1f}-{rate.high:.1%}",
            "-" if row.over_slo is None else f"{row.over_slo:.1%}",
            f"{row.waited_ms['p95'] / 1000:,.1f} s",
            f"{row.workers['alive_mean']:.2f}",
            "-" if row.usd_per_day is None else f"{row.usd_per_day:,.2f}",
            f"{'yes' if row.meets_slo else 'no'}{mark}",
        )
    console.print(shown)
    print("* the cheapest that meets the SLO" if table.cheapest else "No setting here meets the SLO.")
    slo = f"over: callers that take longer than the SLO, {table.slo_ms:,g} ms; met with at most {100 * table.noticed_share:g} % of them"
    for note in (f"{slo}; intervals over days", f"Observed: {table.observed.sentence()}", *table.notes):
        print(textwrap.fill(note, width=min(console.width, 110), initial_indent="  ", subsequent_indent="  "))
    print()
