"""`fortnight report`: the report as of now, on any day of the trial."""

from __future__ import annotations

from pathlib import Path

import typer

from trial import config


def run(path: Path, *, out: Path | None, as_json: bool) -> None:
    from flows import publishing, wiring

    trial = config.load(path)
    result, files = publishing.report(trial, now=wiring.now(), out=out)
    if as_json:
        print(files.json.read_text(encoding="utf-8"))
        return
    typer.echo(f"Day {result.day_number} of {result.days_planned}: {files.html}")
    for made in (files.pdf, files.json):
        if made:
            typer.echo(f"  {made}")
    if files.pdf_missing:
        typer.echo(f"No PDF: {files.pdf_missing}", err=True)
