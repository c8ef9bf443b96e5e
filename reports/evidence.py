"""The evidence pages: every line, day, rule, setting and hash the verdict rests on, as tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from reports import format as say
from reports.extras import ReportExtras
from reports.tables import Table
from trial.config import Trial
from trial.results import EndpointResult, TrialResult


def ledger_sums(endpoints: Sequence[EndpointResult]) -> Table:
    rows = [(e.endpoint, *(say.count(n) for n in total.ledger_totals().values())) for e in endpoints if (total := e.total) is not None]
    return Table(
        caption="Line ledger, all days",
        columns=("Endpoint", "Read", "Used", "Ignored", "Duplicate", "Rejected"),
        rows=rows,
        empty="No lines read.",
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


def quarantine_sums(extras: ReportExtras) -> Table:
    sums: dict[tuple[str, str], list[int]] = {}
    for r in extras.quarantine or ():
        found = sums.setdefault((str(r["endpoint"]), str(r["rule"])), [0, 0])
        found[0] += 1
        found[1] += r["rows"]
    rows = [(endpoint, rule, say.count(days), say.count(n)) for (endpoint, rule), (days, n) in sorted(sums.items())]
    empty = say.NOT_ASKED if extras.quarantine is None else "Nothing was quarantined."
    columns = ("Endpoint", "Rule", "Days", "Rows")
    return Table(caption="Quarantined rows by broken rule", columns=columns, rows=rows, text_columns=2, empty=empty)


def quarantine(extras: ReportExtras) -> Table:
    rows = [(str(r["endpoint"]), str(r["day"]), str(r["rule"]), say.count(r["rows"])) for r in extras.quarantine or ()]
    empty = say.NOT_ASKED if extras.quarantine is None else "Nothing was quarantined."
    return Table(caption="Quarantined rows by day", columns=("Endpoint", "Day", "Rule", "Rows"), rows=rows, text_columns=3, empty=empty)


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
    empty = say.NOT_ASKED if extras.validation is None else "No suite has run."
    columns = ("Endpoint", "Day", "Suite", "Result", "Broken expectations")
    return Table(caption="Expectations by day", columns=columns, rows=rows, text_columns=5, empty=empty)


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


def pairs(caption: str, head: tuple[str, str], of: Mapping[str, str] | None) -> Table:
    rows = [(str(k), str(v)) for k, v in (of or {}).items()]
    return Table(caption=caption, columns=head, rows=rows, text_columns=2, empty=say.NOT_ASKED if of is None else "None.")


def _reasons(of: Mapping[str, int]) -> str:
    return "; ".join(f"{reason} {n:,}" for reason, n in of.items())
