from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from reports.extras import ReportExtras
from reports.html import write_report
from reports.pdf import PdfUnavailable, page_to_pdf
from trial.config import Trial
from trial.results import TrialResult


def test_the_pdf_is_the_page(result: TrialResult, config: Trial, extras: ReportExtras, tmp_path: Path) -> None:
    pytest.importorskip("weasyprint", reason="fortnight[pdf] is not installed")
    pypdf = pytest.importorskip("pypdf", reason="pypdf is not installed")
    files = write_report(result, config=config, out=tmp_path, extras=extras)
    assert files.pdf is not None and files.pdf_missing is None
    reader = pypdf.PdfReader(io.BytesIO(files.pdf.read_bytes()))
    first = reader.pages[0].extract_text()
    for answer in ("Evaluate dedicated endpoints for summariser-run.", "Where the two disagree", "What would change it"):
        assert answer in first, "the first page answers, as the first screen does"
    whole = "\n".join(page.extract_text() for page in reader.pages)
    assert "trial day" in whole, "text inside the drawings"
    assert "Line ledger" in whole and "<script>alert('model')</script>" in whole
    assert len(reader.pages) < 20
    assert reader.metadata.title == "summariser: end-of-trial report"


def test_without_weasyprint_the_rest_is_written_and_the_way_out_is_said(
    empty: TrialResult, config: Trial, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "weasyprint", None)  # what an import meets where the package is not installed
    files = write_report(empty, config=config, out=tmp_path, extras=ReportExtras())
    assert files.pdf is None and "Install fortnight[pdf] and pango" in (files.pdf_missing or "")
    assert files.html.exists() and files.json.exists() and not (tmp_path / "report.pdf").exists()


def test_an_address_in_the_page_is_refused() -> None:
    pytest.importorskip("weasyprint", reason="fortnight[pdf] is not installed")
    assert page_to_pdf('<html lang="en"><title>t</title><p>nothing outside</p>').startswith(b"%PDF")
    with pytest.raises(PdfUnavailable, match="http://127.0.0.1:9/x.css"):
        page_to_pdf('<html lang="en"><link rel="stylesheet" href="http://127.0.0.1:9/x.css"><p>x</p>')
