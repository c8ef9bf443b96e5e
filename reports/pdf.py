"""The report page as PDF, by WeasyPrint: an optional extra, for it needs pango."""

from __future__ import annotations

import logging
import re

from trial.errors import FortnightError


class PdfUnavailable(FortnightError):
    """WeasyPrint or the libraries under it are not installed."""


def page_to_pdf(page: str) -> bytes:
    """
    Renders the self-contained page.

    Raises:
        PdfUnavailable: WeasyPrint or pango is missing, or the page names anything outside itself, which is never fetched.
    """
    try:
        import weasyprint
        from weasyprint.urls import FatalURLFetchingError, URLFetcher
    except (ImportError, OSError) as exc:  # OSError: the package is there, pango is not
        raise PdfUnavailable("no PDF was written: WeasyPrint cannot be loaded", do="Install fortnight[pdf] and pango") from exc
    # It would log every property of the screen's style it does not know.
    logging.getLogger("weasyprint").setLevel(logging.ERROR)
    logging.getLogger("fontTools").setLevel(logging.ERROR)
    # In SVG it knows no variables: the colours behind them are the print ones.
    page = re.sub(r"var\(--\w+, (#[0-9a-f]{6})\)", r"\1", page)
    fetcher = URLFetcher(allowed_protocols=("data",), fail_on_errors=True)
    try:
        return weasyprint.HTML(string=page, url_fetcher=fetcher).write_pdf(pdf_identifier=b"fortnight", pdf_tags=True)
    except FatalURLFetchingError as exc:
        raise PdfUnavailable(
            f"no PDF was written: {exc}, though the page is to hold all it shows", do="Please report this: it is a bug"
        ) from exc
