"""What the traffic was, as tables: its pattern, its bursts, its models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from analysis.scenario import Scenario
from reports import format as say
from reports.extras import ReportExtras
from reports.tables import Table
from trial.results import EndpointResult, TrialResult

MOST_BURSTS = 5


def scenario(scenarios: Mapping[str, Scenario | None]) -> Table:
    """The tests in their order, with what each endpoint measured; the first that holds names the pattern."""
    known = {name: s for name, s in scenarios.items() if s is not None}
    caption, empty = "Traffic pattern, by the first test that holds", "Not recorded for this report, or no requests."
    if not known:
        return Table(caption=caption, columns=("Test",), rows=[], empty=empty)
    tests = next(iter(known.values())).rules
    rows = []
    for index, (kind, test, _, _) in enumerate(tests[:-1]):
        cells = []
        for found in known.values():
            _, _, measured, holds = found.rules[index]
            cells.append(f"{measured}: {'holds' if holds else 'does not hold'}")
        rows.append((f"{_kind(kind)}: {test}", *cells))
    rows.append(("Pattern (steady where no test holds)", *(_kind(s.kind) for s in known.values())))
    return Table(caption=caption, columns=("Test", *known), rows=rows, text_columns=1 + len(known))


def bursts(extras: ReportExtras) -> Table:
    """The largest bursts of each endpoint; all of them are in the JSON."""
    found = sorted(extras.bursts or (), key=lambda b: (str(b["endpoint"]), -b["requests"], str(b["start"])))
    shown = [b for i, b in enumerate(found) if sum(c["endpoint"] == b["endpoint"] for c in found[:i]) < MOST_BURSTS]
    rows = [
        (
            str(b["endpoint"]),
            b["start"].strftime("%Y-%m-%d %H:%M %Z") if isinstance(b["start"], datetime) else str(b["start"]),
            say.count(round(b["minutes"], 1)),
            say.count(b["requests"]),
            say.count(b["peak_per_minute"]),
            say.count(b["cold_hits"]),
            say.percent(b["cold_hits"] / b["requests"] if b["requests"] else None),
            say.ms(b.get("absorbed_ms")),
        )
        for b in shown
    ]
    columns = ("Endpoint", "Began", "Minutes", "Requests", "Busiest minute", "Cold hits", "Cold-hit rate", "Absorbed in")
    empty = say.NOT_ASKED if extras.bursts is None else "No bursts were found."
    caption = "Bursts" if len(shown) == len(found) else f"The largest of {len(found):,} bursts, at most {MOST_BURSTS} an endpoint"
    return Table(caption=caption, columns=columns, rows=rows, text_columns=2, empty=empty)


def concurrency(extras: ReportExtras) -> Table:
    """How many requests came at once, and how fast workers did."""
    rows = [
        (
            name,
            say.count(seen["peak_concurrent"]),
            say.count(seen["busiest_minute"]),
            say.count(seen["starts_per_minute"]),
            say.count(seen["throttled"]),
            "no burst" if seen["slowest_absorbed_ms"] is None else say.ms(seen["slowest_absorbed_ms"]),
        )
        for name, seen in sorted((extras.concurrency or {}).items())
    ]
    columns = (
        "Endpoint",
        "Most requests at once",
        "Most in a minute",
        "Most workers started in a minute",
        "Throttled",
        "Slowest burst absorbed in",
    )
    empty = say.NOT_ASKED if extras.concurrency is None else "No requests."
    return Table(caption="Concurrency in the log", columns=columns, rows=rows, empty=empty)


def burst_sums(result: TrialResult, extras: ReportExtras) -> Table:
    """How much of each endpoint's cold hits bursts explain."""
    rows = []
    for e in result.endpoints:
        own, total = [b for b in extras.bursts or () if b["endpoint"] == e.endpoint], e.total
        inside, cold = sum(b["requests"] for b in own), sum(b["cold_hits"] for b in own)
        if not own or total is None:
            continue
        outside = total.requests - inside
        rows.append(
            (
                e.endpoint,
                say.count(len(own)),
                say.percent(inside / total.requests if total.requests else None),
                say.percent(cold / inside if inside else None),
                say.percent((total.cold_hits - cold) / outside if outside > 0 else None),
                say.percent(cold / total.cold_hits if total.cold_hits else None),
            )
        )
    columns = ("Endpoint", "Bursts", "Requests in bursts", "Cold-hit rate in bursts", "Cold-hit rate outside", "Cold hits in bursts")
    return Table(caption="Bursts against the rest", columns=columns, rows=rows, empty="No bursts were found.")


def models(endpoints: Sequence[EndpointResult]) -> Table:
    rows = [
        (
            e.endpoint,
            model,
            say.count(of.get("requests")),
            say.count(of.get("cold_hits")),
            say.percent(of["cold_hits"] / of["requests"] if of.get("requests") else None),
            say.ms(of["gpu_us"] / 1000 / of["requests"] if of.get("gpu_us") and of.get("requests") else None),
        )
        for e in endpoints
        if (total := e.total) is not None
        for model, of in sorted(total.by_model.items(), key=lambda item: (-item[1].get("requests", 0), item[0]))[:50]
    ]
    columns = ("Endpoint", "Model", "Requests", "Cold hits", "Cold-hit rate", "Mean GPU time")
    return Table(caption="By model", columns=columns, rows=rows, text_columns=2, empty="The logs name no model.")


def _kind(kind: str) -> str:
    return kind.replace("-", " ")
