"""The verdict as tables: at a glance, in numbers, its flags, and beside what the sandbox planted."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from reports import format as say
from reports.extras import ReportExtras
from reports.tables import Table
from trial.records import Decision
from trial.results import EndpointResult, TrialResult


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
        ("Requests the logs lack or show in part", *(say.count(e.verdict.unseen) for e in ends)),
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


def flags(result: TrialResult) -> Table:
    rows = [(e.endpoint, f.code, f.detail) for e in result.endpoints for f in e.verdict.flags]
    return Table(
        caption="What makes a verdict provisional",
        columns=("Endpoint", "Flag", "What was seen"),
        rows=rows,
        text_columns=3,
        empty="No flags.",
    )


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


def _verdict_cell(e: EndpointResult) -> str:
    words = say.DECISIONS[e.verdict.decision]
    return f"{words} (provisional)" if e.verdict.evidence == "provisional" and e.verdict.decision != "not-decided" else words


def _e_value(value: float) -> str:
    return "over a million" if value > 1e6 else f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _truth(of: Mapping[str, Any], key: str, form: Any) -> str:
    return form(of[key]) if of.get(key) is not None else "not planted"
