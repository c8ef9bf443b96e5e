"""The report: one self-contained page that asks nothing of the network, its PDF, and its numbers as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from analysis.scenario import Scenario, classify
from reports import dimensions, evidence, price_tables, sentences, traffic_tables, verdict_tables
from reports import format as say
from reports.days import series
from reports.extras import ReportExtras
from reports.figures import Figure, draw_all
from reports.figures.choices import whatif_table
from reports.files import replace
from reports.pdf import PdfUnavailable, page_to_pdf
from reports.report_json import report_json
from trial.config import Trial
from trial.results import TrialResult

TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportFiles:
    """
    Where the report is.

    Args:
        pdf: None where none was asked for or none could be made; `pdf_missing` then says why.
        figures: the standalone drawings, for MLflow's artifacts.
    """

    html: Path
    json: Path
    pdf: Path | None
    pdf_missing: str | None = None
    figures: tuple[Path, ...] = ()


def write_report(result: TrialResult, *, config: Trial, out: Path, extras: ReportExtras, pdf: bool = True) -> ReportFiles:
    """Writes report.html, report.json, figures/*.svg and, where WeasyPrint is installed, report.pdf; each file atomically."""
    figures = draw_all(result, config=config, extras=extras)
    page = render(result, config=config, extras=extras, figures=figures)
    replace(out / "report.html", page.encode())
    replace(out / "report.json", report_json(result, config=config, extras=extras).encode())
    drawings = []
    for figure in figures.values():
        drawings.append(out / "figures" / f"{figure.name}.svg")
        replace(drawings[-1], figure.svg.encode())
    written, missing = None, None
    if pdf:
        try:
            replace(out / "report.pdf", page_to_pdf(page))
            written = out / "report.pdf"
        except PdfUnavailable as exc:
            missing = str(exc)
    return ReportFiles(html=out / "report.html", json=out / "report.json", pdf=written, pdf_missing=missing, figures=tuple(drawings))


def render(result: TrialResult, *, config: Trial, extras: ReportExtras, figures: Mapping[str, Figure]) -> str:
    """The page as text; the same text for the same input."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("report.html.j2").render(**_context(result, config=config, extras=extras, figures=figures))


def _context(result: TrialResult, *, config: Trial, extras: ReportExtras, figures: Mapping[str, Figure]) -> dict[str, Any]:
    rule, ends = config.trial, result.endpoints
    days = {e.endpoint: series(e, calendar=config.calendar, confidence=rule.confidence) for e in ends}
    return {
        "style": (TEMPLATES / "report.css").read_text(encoding="utf-8"),
        "result": result,
        "rule": rule,
        "say": say,
        "extras": extras,
        "figures": figures,
        "standing": sentences.standing(result),
        "finished": result.day_number >= result.days_planned,
        "headline": sentences.headline(result),
        "cheapest": sentences.cheapest(result, config),
        "disagreements": sentences.disagreements(result),
        "certainty": sentences.certainty(result, config),
        "turning_points": sentences.turning_points(result, break_even=extras.break_even or ()),
        "glance": verdict_tables.glance(result, confidence=rule.confidence),
        "whatifs": whatif_table([w for e in ends for w in e.whatifs], {}),
        "replays": [(e.endpoint, sentences.replayed(e)) for e in ends if e.whatifs],
        "concurrency": traffic_tables.concurrency(extras),
        "bursts": traffic_tables.bursts(extras),
        "burst_sums": traffic_tables.burst_sums(result, extras),
        "models": traffic_tables.models(ends),
        "columns": dimensions.columns(result),
        "dimensions": dimensions.dimensions(result, hours_per_month=config.prices.hours_per_month, days=days, extras=extras),
        "checklist": dimensions.CHECKLIST,
        "scenario": traffic_tables.scenario({e.endpoint: _scenario(result, extras, e.endpoint) for e in ends}),
        "verdicts": verdict_tables.verdicts(result),
        "flags": verdict_tables.flags(result),
        "ledger_sums": evidence.ledger_sums(ends),
        "ledger": evidence.ledger(ends),
        "completeness": evidence.completeness(ends),
        "quarantine_sums": evidence.quarantine_sums(extras),
        "quarantine": evidence.quarantine(extras),
        "validation": evidence.validation(extras),
        "prices": price_tables.prices(extras),
        "reconciliation": price_tables.reconciliation(ends),
        "bill_days": price_tables.bill_days(ends),
        "bill_sentences": price_tables.bill_sentences(ends),
        "model_costs": price_tables.model_costs(ends),
        "tracker": price_tables.tracker(extras),
        "settings": evidence.settings(config, result),
        "changes": evidence.changes(result),
        "planted": verdict_tables.planted(result, extras),
        "versions": evidence.pairs("Versions", ("Software", "Version"), extras.versions),
        "hashes": evidence.pairs("Hashes", ("What", "SHA-256"), extras.hashes),
    }


def _scenario(result: TrialResult, extras: ReportExtras, endpoint: str) -> Scenario | None:
    hourly = (extras.hourly or {}).get(endpoint)
    total = next(e.total for e in result.endpoints if e.endpoint == endpoint)
    if not hourly or total is None:
        return None
    return classify(hourly, by_model={m: of.get("requests", 0) for m, of in total.by_model.items()})
