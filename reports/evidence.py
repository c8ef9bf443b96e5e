"""The evidence pages: every count, price, setting and hash the verdict rests on, as tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from analysis.scenario import Scenario
from reports import format as say
from reports.extras import ReportExtras
from reports.tables import Table
from trial.config import Trial
from trial.records import Decision
from trial.results import EndpointResult, TrialResult

NOT_ASKED = "Not recorded for this report."
MOST_BURSTS = 5


def glance(result: TrialResult, *, confidence: float) -> Table:
    """The first screen's table: one row per endpoint."""
    rows = [
        (
            e.endpoint,
            _verdict_cell(e),
            say.percent(e.verdict.realised),
            say.long_run(e.verdict.long_run),
            say.percent_range(e.verdict.noticed.low, e.verdict.noticed.high) if e.verdict.noticed else say.NOT_KNOWN,
            say.usd(e.cost.usd_per_day) if e.cost else "no price",
            f"{e.cheapest.name}, {say.usd(e.cheapest.usd_per_day)}" if e.cheapest else "none" if e.whatifs else "not replayed",
        )
        for e in result.endpoints
    ]
    columns = (
        "Endpoint",
        "Verdict",
        "Cold-hit rate",
        f"Long run, {say.set_share(confidence)} interval",
        "Over the SLO because cold",
        "USD a day",
        "Cheapest that meets the SLO, USD a day",
    )
    return Table(caption="Verdict by endpoint", columns=columns, rows=rows, text_columns=2)


def verdicts(result: TrialResult) -> Table:
    """One column per endpoint: there are more facts than endpoints."""

    def words(decision: Decision) -> str:
        return say.DECISIONS[decision].lower()

    ends = result.endpoints
    rows = [
        ("Platform", *(say.platform(e.platform) for e in ends)),
        ("Verdict", *(words(e.verdict.decision) for e in ends)),
        ("Rule alone", *(words(e.verdict.rule) if e.days else say.NOT_KNOWN for e in ends)),
        ("Evidence", *(e.verdict.evidence for e in ends)),
        ("Complete days", *(say.count(e.verdict.days) for e in ends)),
        ("Requests", *(say.count(e.verdict.requests) for e in ends)),
        ("Cold hits", *(say.count(e.verdict.cold_hits) for e in ends)),
        ("Unknown requests", *(say.count(e.verdict.unknown) for e in ends)),
        ("Requests only the provider counted", *(say.count(e.verdict.unseen) for e in ends)),
        ("Realised rate", *(say.percent(e.verdict.realised) for e in ends)),
        ("Realised rate with unknowns", *(say.percent_range(*e.verdict.bounds) if e.days else say.NOT_KNOWN for e in ends)),
        ("Long-run rate", *(say.long_run(e.verdict.long_run) for e in ends)),
        ("E-value at the threshold", *(_e_value(e.verdict.e_value) for e in ends)),
        ("Over the SLO because cold", *(say.estimate(e.verdict.noticed) for e in ends)),
        ("Users notice", *({True: "yes", False: "no", None: say.NOT_KNOWN}[e.verdict.users_notice] for e in ends)),
        ("First passed the threshold on", *(say.short_day(e.verdict.passed_on) if e.verdict.passed_on else "no day" for e in ends)),
    ]
    columns = ("Measure", *(e.endpoint for e in ends))
    return Table(caption="The verdicts in numbers", columns=columns, rows=rows)


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


def _kind(kind: str) -> str:
    return kind.replace("-", " ")


def flags(result: TrialResult) -> Table:
    rows = [(e.endpoint, f.code, f.detail) for e in result.endpoints for f in e.verdict.flags]
    return Table(
        caption="What makes a verdict provisional",
        columns=("Endpoint", "Flag", "What was seen"),
        rows=rows,
        text_columns=3,
        empty="No flags.",
    )


def ledger(endpoints: Sequence[EndpointResult]) -> Table:
    rows = [
        (
            e.endpoint,
            say.short_day(d.day),
            line.source,
            *(say.count(n) for n in line.totals().values()),
            _reasons(line.ignored),
            _reasons(line.rejected),
        )
        for e in endpoints
        for d in e.days
        for line in d.ledgers
    ]
    columns = ("Endpoint", "Day", "Source", "Read", "Used", "Ignored", "Duplicate", "Rejected", "Ignored because", "Rejected because")
    return Table(
        caption="Line ledger: read = used + ignored + duplicate + rejected",
        columns=columns,
        rows=rows,
        text_columns=3,
        empty="No lines read.",
    )


def ledger_sums(endpoints: Sequence[EndpointResult]) -> Table:
    rows = [(e.endpoint, *(say.count(n) for n in total.ledger_totals().values())) for e in endpoints if (total := e.total) is not None]
    return Table(
        caption="Line ledger, all days",
        columns=("Endpoint", "Read", "Used", "Ignored", "Duplicate", "Rejected"),
        rows=rows,
        empty="No lines read.",
    )


def completeness(endpoints: Sequence[EndpointResult]) -> Table:
    rows = [
        (
            e.endpoint,
            say.short_day(d.day),
            say.count(d.seen),
            "does not say" if d.provider_requests is None else say.count(d.provider_requests),
            say.percent(d.completeness),
            say.count(d.synthetic),
            say.count(d.aborted),
            say.count(d.incomplete),
            say.count(d.quarantined),
        )
        for e in endpoints
        for d in e.days
    ]
    columns = (
        "Endpoint",
        "Day",
        "In the logs",
        "Provider's own count",
        "Completeness",
        "Keep-warm",
        "Aborted",
        "Incomplete",
        "Quarantined",
    )
    return Table(
        caption="Completeness against the provider's own count", columns=columns, rows=rows, text_columns=2, empty="No days collected."
    )


def quarantine(extras: ReportExtras) -> Table:
    rows = [(str(r["endpoint"]), str(r["day"]), str(r["rule"]), say.count(r["rows"])) for r in extras.quarantine or ()]
    empty = NOT_ASKED if extras.quarantine is None else "Nothing was quarantined."
    return Table(caption="Quarantined rows by day", columns=("Endpoint", "Day", "Rule", "Rows"), rows=rows, text_columns=3, empty=empty)


def quarantine_sums(extras: ReportExtras) -> Table:
    sums: dict[tuple[str, str], list[int]] = {}
    for r in extras.quarantine or ():
        found = sums.setdefault((str(r["endpoint"]), str(r["rule"])), [0, 0])
        found[0] += 1
        found[1] += r["rows"]
    rows = [(endpoint, rule, say.count(days), say.count(n)) for (endpoint, rule), (days, n) in sorted(sums.items())]
    empty = NOT_ASKED if extras.quarantine is None else "Nothing was quarantined."
    columns = ("Endpoint", "Rule", "Days", "Rows")
    return Table(caption="Quarantined rows by broken rule", columns=columns, rows=rows, text_columns=2, empty=empty)


def validation(extras: ReportExtras) -> Table:
    rows = [
        (
            str(r["endpoint"]),
            str(r["day"]),
            str(r["suite"]),
            "kept" if r["success"] else "broken",
            "; ".join(map(str, r.get("failures") or ())),
        )
        for r in extras.validation or ()
    ]
    empty = NOT_ASKED if extras.validation is None else "No suite has run."
    columns = ("Endpoint", "Day", "Suite", "Result", "Broken expectations")
    return Table(caption="Expectations by day", columns=columns, rows=rows, text_columns=5, empty=empty)


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
    empty = NOT_ASKED if extras.prices is None else "No prices were used."
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
            say.count(b.get("peak_concurrency")),
        )
        for b in shown
    ]
    columns = ("Endpoint", "Began", "Minutes", "Requests", "Busiest minute", "Cold hits", "Cold-hit rate", "Most in flight")
    empty = NOT_ASKED if extras.bursts is None else "No bursts were found."
    caption = "Bursts" if len(shown) == len(found) else f"The largest of {len(found):,} bursts, at most {MOST_BURSTS} an endpoint"
    return Table(caption=caption, columns=columns, rows=rows, text_columns=2, empty=empty)


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


def settings(config: Trial, result: TrialResult) -> Table:
    """What was registered at the first collection; before that, what trial.toml says now."""
    if result.registered:
        rows = [(str(k), str(v).strip('"')) for k, v in sorted(result.registered.items())]
    else:
        rows = [(k, str(v)) for k, v in config.trial.model_dump(mode="json").items()]
    caption = "Registered settings" if result.registered else "Settings (nothing registered yet)"
    return Table(caption=caption, columns=("Setting", "Value"), rows=rows, text_columns=2)


def changes(result: TrialResult) -> Table:
    rows = [tuple(str(change.get(k, "")) for k in ("when", "key", "from", "to")) for change in result.changes]
    empty = "Nothing was changed after the start."
    return Table(caption="Changes after the start", columns=("When", "Setting", "From", "To"), rows=rows, text_columns=4, empty=empty)


def planted(result: TrialResult, extras: ReportExtras) -> Table | None:
    """Measured beside planted; only where the sandbox planted something."""
    if extras.planted is None:
        return None
    rows = []
    for e in result.endpoints:
        truth = extras.planted.get(e.endpoint)
        if truth is None:
            continue
        rows.append((e.endpoint, "cold hits", say.count(e.verdict.cold_hits), _truth(truth, "cold_hits", say.count)))
        total = e.total
        gpu = total.sketches["gpu_ms"].sum_us / 1000 if total and "gpu_ms" in total.sketches else None
        rows.append((e.endpoint, "GPU time", say.ms(gpu), _truth(truth, "gpu_ms", say.ms)))
        rows.append(
            (
                e.endpoint,
                "cost of the trial",
                say.usd(e.cost.total_usd if e.cost else None),
                _truth(truth, "usd", lambda v: say.usd(Decimal(str(v)))),
            )
        )
    return Table(caption="Measured beside planted", columns=("Endpoint", "What", "Measured", "Planted"), rows=rows, text_columns=2)


def pairs(caption: str, head: tuple[str, str], of: Mapping[str, str] | None) -> Table:
    rows = [(str(k), str(v)) for k, v in (of or {}).items()]
    return Table(caption=caption, columns=head, rows=rows, text_columns=2, empty=NOT_ASKED if of is None else "None.")


def _verdict_cell(e: EndpointResult) -> str:
    words = say.DECISIONS[e.verdict.decision]
    return f"{words} (provisional)" if e.verdict.evidence == "provisional" and e.verdict.decision != "not-decided" else words


def _e_value(value: float) -> str:
    return "over a million" if value > 1e6 else f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _reasons(of: Mapping[str, int]) -> str:
    return "; ".join(f"{reason} {n:,}" for reason, n in of.items())


def _plain(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, Mapping):
        return ", ".join(f"{k} {v}" for k, v in value.items())
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def _truth(of: Mapping[str, Any], key: str, form: Any) -> str:
    return form(of[key]) if of.get(key) is not None else "not planted"
