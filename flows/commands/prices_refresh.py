"""`fortnight prices refresh`: the book beside the providers' price APIs, and a new book only after you agree."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import typer

from analysis.prices import BOOKS, PriceBook
from analysis.pricing import diff as price_diff
from analysis.pricing.diff import Change
from collectors.prices.offer import NoOffer, Offer
from flows import price_sources
from flows.commands.prices import opened
from trial.errors import ConfigError, FortnightError


def run(path: Path, *, book: str | None, only: str | None, to: Path | None, dry_run: bool, yes: bool, as_json: bool) -> int:
    """
    The exit code: 1 where a source could not be read, the others notwithstanding.

    Raises:
        ConfigError: nothing may be written where it would go, or nobody was asked.
    """
    before, trial, today = opened(path, book)
    target = None if dry_run else _target(before, to)
    found, failures = _read(before, trial, only)
    changes = price_diff.diff(before, [offer for offer in found if isinstance(offer, Offer)])
    without = [offer for offer in found if isinstance(offer, NoOffer)]
    again = price_diff.read_again(before, changes)
    if not as_json:
        _show(changes, without, again, failures)
    after = None
    if again or any(c.changed and not c.note for c in changes):
        if dry_run:
            pass
        elif target is None:
            _say_where(before, as_json)
        elif yes or (not as_json and _agreed(target)):
            after = price_diff.write(before, changes, today=today, to=None if target == before.path.resolve() else target)
    if as_json:
        print(json.dumps(_document(before, changes, without, again, failures, target if after else None, after), indent=1))
    elif after is not None and target is not None:
        print(f"Written: {target}")
        if before.name in BOOKS and target != before.path.resolve():
            print(f'To price with it: book = "{target}" under [prices] in trial.toml')
    return 1 if failures else 0


def _target(book: PriceBook, to: Path | None) -> Path | None:
    """Where to write: --to, else the trial's own book; None for the books that are part of Fortnight."""
    if to is not None:
        target = to.resolve()
        if target != book.path.resolve() and target.exists():
            raise ConfigError("exists already; nothing was asked", where=str(to), do="Name a new file with --to")
        return target
    return None if book.name in BOOKS else book.path.resolve()


def _read(book: PriceBook, trial: Any, only: str | None) -> tuple[list[Offer | NoOffer], list[str]]:
    """What every source says; one that fails is told apart, unless it was the only one asked."""
    sources = price_sources.asked(price_diff.wanted(book), only=only)
    if not sources:
        raise ConfigError(
            "no row says how a price API finds it", where=f"the {book.name} price book", do="Give rows a `refresh` table: docs/prices.md"
        )
    found: list[Offer | NoOffer] = []
    failures: list[str] = []
    for name, wanted in sources.items():
        try:
            found += price_sources.offers(name, wanted, trial=trial)
        except FortnightError as exc:
            if len(sources) == 1:
                raise
            failures.append(f"{name}: {exc}")
    return found, failures


def _show(changes: Sequence[Change], without: Sequence[NoOffer], again: Sequence[str], failures: Sequence[str]) -> None:
    for change in changes:
        print(change.line())
    for offer in without:
        print(f"{offer.row}.{offer.rate}: no price, {offer.reason}")
    for failure in failures:
        typer.echo(f"not read: {failure}", err=True)
    moved = sum(c.changed and not c.note for c in changes)
    print(f"{len(changes)} rates read, {moved} changed, {len(without)} without a price; {len(again)} rows read in full")


def _say_where(book: PriceBook, as_json: bool) -> None:
    text = (
        f"Nothing written: the {book.name} book is part of Fortnight, and an update of it would undo your changes. "
        'Run it again with `--to my-prices.toml`, and name that file in trial.toml: book = "my-prices.toml" under [prices]'
    )
    typer.echo(text, err=as_json)


def _agreed(target: Path) -> bool:
    if not sys.stdin.isatty():
        raise ConfigError("nobody there to agree; nothing written", where=str(target), do="Look with --dry-run, then add --yes")
    return typer.confirm(f"Write this to {target}?", default=False, err=True)


def _document(
    before: PriceBook,
    changes: Sequence[Change],
    without: Sequence[NoOffer],
    again: Sequence[str],
    failures: Sequence[str],
    written: Path | None,
    after: PriceBook | None,
) -> dict[str, Any]:
    return {
        "book": before.name,
        "sha256": before.sha256,
        "changes": [_change(c) for c in changes],
        "without_a_price": [{"row": o.row, "rate": o.rate, "reason": o.reason} for o in without],
        "read_in_full": list(again),
        "not_read": list(failures),
        "written": str(written) if written else None,
        "sha256_written": after.sha256 if after else None,
    }


def _change(change: Change) -> dict[str, Any]:
    published: date | None = change.published
    return {
        "row": change.row,
        "rate": change.rate,
        "unit": change.unit,
        "before": [f"{amount:f}" for amount in change.before],
        "after": [f"{amount:f}" for amount in change.after],
        "changed": change.changed,
        "said": change.said,
        "published": published.isoformat() if published else None,
        "note": change.note or None,
    }
