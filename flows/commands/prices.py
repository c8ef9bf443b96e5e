"""`fortnight prices`: the price book with its provenance, and its checks."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import date
from pathlib import Path

from analysis import prices
from flows import costs
from trial import config


def list_rows(path: Path, *, book: str | None, as_json: bool) -> None:
    opened, max_age_days, today = _open(path, book)
    rows = [{"name": row.name, **costs.provenance(row), "age_days": (today - row.read_on).days} for row in opened.rows.values()]
    if as_json:
        print(json.dumps({"book": opened.name, "sha256": opened.sha256, "rows": rows}, indent=1))
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title=f"{opened.name} price book", title_justify="left")
    for column in ("row", "price", "billed", "age", "conf.", "source"):
        table.add_column(column, overflow="fold")
    for row in rows:
        stale = "!" if row["age_days"] > max_age_days else ""
        mark = f"closed {row['closed']}" if row["closed"] else "hypothetical" if row["hypothetical"] else row["billed_phases"]
        table.add_row(row["name"], row["usd"], mark, f"{row['age_days']} d{stale}", row["confidence"], row["source"])
    Console().print(table)


def check(path: Path, *, book: str | None, as_json: bool) -> int:
    """The exit code: 1 where a row is stale, contradictory or incomplete."""
    opened, max_age_days, today = _open(path, book)
    problems = prices.check(opened, today=today, max_age_days=max_age_days)
    errors = [p for p in problems if p.level == "error"]
    if as_json:
        print(json.dumps({"book": opened.name, "problems": [asdict(p) for p in problems]}, indent=1))
    else:
        for problem in problems:
            print(f"{problem.level}: {problem.row}: {problem.kind}: {problem.detail}")
        print(f"{len(opened.rows)} rows checked, {len(errors)} errors, {len(problems) - len(errors)} notes")
    return 1 if errors else 0


def _open(path: Path, book: str | None) -> tuple[prices.PriceBook, int, date]:
    """The book named, or trial.toml's; the standard one where there is no trial here."""
    from flows import wiring

    today = wiring.now().date()
    if not path.exists() and path == Path("trial.toml"):
        return prices.load(book or "standard", folder=Path.cwd()), config.PricesSection().max_age_days, today
    trial = config.load(path)
    return prices.load(book or trial.prices.book, folder=trial.folder), trial.prices.max_age_days, today
