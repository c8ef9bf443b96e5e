"""`fortnight prices`: the price book with its provenance, and its checks."""

from __future__ import annotations

import json
import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any

from analysis import prices
from analysis.pricing.check import Problem
from flows import costs
from trial import config
from trial.config import PricesSection, Trial

WIDTH = 80
MEANING = {
    "dated": "the source speaks for an older date than it was read on",
    "incomplete": "a rate could not be read; its part of a bill is not priced",
    "closed": "the system is no longer sold",
    "hypothetical": "never sold at this price",
}


def list_rows(path: Path, *, book: str | None, as_json: bool) -> None:
    found, trial, today = opened(path, book)
    limit = _prices(trial).max_age_days
    rows = [{"name": row.name, **costs.provenance(row), "age_days": (today - row.read_on).days} for row in found.rows.values()]
    if as_json:
        print(json.dumps({"book": found.name, "sha256": found.sha256, "rows": rows}, indent=1))
        return
    for system in dict.fromkeys(row["system"] for row in rows):
        print(f"\n{system}")
        for row in rows:
            if row["system"] == system:
                print("\n".join(_lines(row, limit)))
    print(f"\n{len(rows)} rows of the {found.name} book; sha256 {found.sha256[:16]}")


def _lines(row: Mapping[str, Any], limit: int) -> list[str]:
    """A row as a block that fits 80 columns: its name and price, what it bills, and how far it can be trusted."""
    age = f"read {row['read_on']}, {row['age_days']} days ago" + (f": STALE, over {limit}" if row["age_days"] > limit else "")
    age += f"; its source speaks for {row['as_of']}" if row["as_of"] else ""
    kept = f"closed {row['closed']}; " if row["closed"] else "hypothetical; " if row["hypothetical"] else ""
    said = [
        f"{row['usd']}, {row['region']}",
        f"bills {row['billed_phases'].replace('_', ' ')}" if row["billed_phases"] else "bills nothing",
        f"{kept}{age}; confidence {row['confidence']}",
        f"from {row['source']}",
    ]
    wrapped = (textwrap.fill(text, width=WIDTH, initial_indent="    ", subsequent_indent="      ") for text in said)
    return [f"  {row['name']}", *wrapped]


def check(path: Path, *, book: str | None, verbose: bool, as_json: bool) -> int:
    """The exit code: 1 where a row is stale, contradictory or incomplete. Notes are counted by kind unless `verbose`."""
    found, trial, today = opened(path, book)
    problems = prices.check(found, today=today, max_age_days=_prices(trial).max_age_days)
    errors = [p for p in problems if p.level == "error"]
    if as_json:
        print(json.dumps({"book": found.name, "problems": [asdict(p) for p in problems]}, indent=1))
    else:
        for problem in problems if verbose else errors:
            print(f"{problem.level}: {problem.row}: {problem.kind}: {problem.detail}")
        notes = [p for p in problems if p.level == "note"]
        if not verbose:
            print("".join(f"{line}\n" for line in _notes(notes)), end="")
        more = "; each with --verbose" if notes and not verbose else ""
        print(f"{len(found.rows)} rows checked, {len(errors)} errors, {len(notes)} notes{more}")
    return 1 if errors else 0


def _notes(notes: Sequence[Problem]) -> Iterator[str]:
    """One entry per kind of note, the most frequent first: how many, what it means, and the rows."""
    for kind, count in Counter(p.kind for p in notes).most_common():
        rows = list(dict.fromkeys(p.row for p in notes if p.kind == kind))
        yield f"{count} {'note' if count == 1 else 'notes'}: {kind}: {MEANING[kind]}"
        yield textwrap.fill(", ".join(rows), width=WIDTH, initial_indent="    ", subsequent_indent="    ", break_on_hyphens=False)


def opened(path: Path, book: str | None) -> tuple[prices.PriceBook, Trial | None, date]:
    """The book named, or trial.toml's; the standard one where there is no trial here. With the trial, and today."""
    from flows import wiring

    today = wiring.now().date()
    if not path.exists() and path == Path("trial.toml"):
        return prices.load(book or "standard", folder=Path.cwd()), None, today
    trial = config.load(path)
    return prices.load(book or trial.prices.book, folder=trial.folder), trial, today


def _prices(trial: Trial | None) -> PricesSection:
    return trial.prices if trial else PricesSection()
