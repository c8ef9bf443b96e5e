"""
What a refresh would change in a price book, and the book's text with just that changed.

Only amounts, the hourly figure beside them and the dates are rewritten, in place: comments, order and every other byte stay as
a person left them.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol

from analysis.prices import PriceBook, parse
from analysis.pricing.check import shown
from analysis.pricing.rows import COUNTS, SECONDS, PriceRow, Rate
from trial.errors import ConfigError

# Rates beside the price of running: a row counts as read again without them.
_BESIDE = frozenset(("storage", "data", "disk", "requests"))


class Offered(Protocol):
    """A price read from a provider's API (collectors.prices.offer.Offer)."""

    @property
    def row(self) -> str: ...
    @property
    def rate(self) -> str: ...
    @property
    def per(self) -> str: ...
    @property
    def amounts(self) -> tuple[tuple[Decimal, Decimal], ...]: ...
    @property
    def said(self) -> str: ...
    @property
    def published(self) -> date | None: ...
    @property
    def rounded(self) -> bool: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """
    One rate that was read again.

    Args:
        before, after: the amounts of its tiers, in the row's own unit; equal where the price stands.
        note: why it cannot be written (tiers that no longer match), else empty.
        hourly: the new price per hour, where the book prints the source's own beside the old one.
    """

    row: str
    rate: str
    unit: str
    before: tuple[Decimal, ...]
    after: tuple[Decimal, ...]
    said: str
    published: date | None = None
    note: str = ""
    hourly: Decimal | None = None

    @property
    def changed(self) -> bool:
        return self.before != self.after

    def line(self) -> str:
        """For people: what changes, by how much, and what the API called it."""
        if self.note:
            return f"{self.row}.{self.rate}: not written, {self.note} ({self.said})"
        if not self.changed:
            return f"{self.row}.{self.rate}: unchanged, {_text(self.before)} {self.unit} ({self.said})"
        percent = (self.after[0] / self.before[0] - 1) * 100
        return f"{self.row}.{self.rate}: {_text(self.before)} -> {_text(self.after)} {self.unit}, {percent:+.1f} % ({self.said})"


def diff(book: PriceBook, offers: Iterable[Offered]) -> list[Change]:
    """Every offered rate beside the book's own, converted into the book's unit."""
    return [_change(book.rows[offer.row], offer) for offer in offers if offer.row in book.rows]


def rewritten(text: str, changes: Sequence[Change], *, book: PriceBook, today: date) -> str:
    """
    The book's text with new amounts, and today's read_on on every row of which each running rate was read again.

    Raises:
        ConfigError: an amount to replace is not where the row says it is.
    """
    for change in changes:
        if change.changed and not change.note:
            for old, new in zip(change.before, change.after, strict=True):
                if old != new:
                    text = _replace_amount(text, change, old, new)
            if change.hourly is not None:
                line = rf'^(rates\.{re.escape(change.rate)}\.stated_usd_per_hour\s*=\s*")[^"]+'
                text = _in_row(text, change.row, line, rf"\g<1>{shown(change.hourly)}", what="stated_usd_per_hour")
    for row in read_again(book, changes):
        published = max((c.published for c in changes if c.row == row and c.published), default=today)
        text = _in_row(text, row, r"^(read_on\s*=\s*)\d{4}-\d\d-\d\d", rf"\g<1>{today.isoformat()}", what="read_on")
        if book.rows[row].as_of is not None:
            text = _in_row(text, row, r"^(as_of\s*=\s*)\d{4}-\d\d-\d\d", rf"\g<1>{published.isoformat()}", what="as_of")
    return text


def read_again(book: PriceBook, changes: Sequence[Change]) -> list[str]:
    """Rows of which every rate of running was read, in the book's order; a row read in part keeps its date."""
    done = {(c.row, c.rate) for c in changes if not c.note}
    rows = []
    for name, row in book.rows.items():
        inherited = set(book.rows[row.provisioned_row].rates) if row.provisioned_row else set()
        needed = {rate for rate in row.rates if rate not in _BESIDE and (rate not in inherited)}
        if needed and all((name, rate) in done for rate in needed):
            rows.append(name)
    return rows


def write(book: PriceBook, changes: Sequence[Change], *, today: date, to: Path | None = None) -> PriceBook:
    """
    Writes the changed book in one step, checked before it replaces the old one.

    Args:
        to: a new file, where the book itself is to stay as it is (the standard book of an installed package).

    Raises:
        ConfigError: the book was changed meanwhile, the file cannot be written or is another book, or would not load.
    """
    target = to or book.path
    if target != book.path and target.exists():
        raise ConfigError("exists already; nothing written", where=str(target), do="Name a new file, or make it the book: [prices] book")
    try:
        raw = book.path.read_bytes()
        before = parse(raw, name=book.name, path=book.path)
        if before.sha256 != book.sha256:
            raise ConfigError(
                "was changed since it was read; nothing written", where=str(book.path), do="Run `fortnight prices refresh` again"
            )
        text = rewritten(raw.decode("utf-8"), changes, book=book, today=today)
        after = parse(text.encode("utf-8"), name=str(to) if to else book.name, path=target)
        _replace(target, text, mode=book.path.stat().st_mode & 0o777)
    except OSError as exc:
        raise ConfigError(f"cannot be written: {exc.strerror}", where=str(target), do="Write a copy, and name it as [prices] book") from exc
    return after


def _replace(target: Path, text: str, *, mode: int) -> None:
    """All of `text` or the old file: written beside it, then moved over it."""
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(text.encode("utf-8"))
            out.flush()
            os.fsync(out.fileno())
        Path(name).chmod(mode | 0o200)
        Path(name).replace(target)
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise


def _change(row: PriceRow, offer: Offered) -> Change:
    rate = row.rates.get(offer.rate)
    if rate is None:
        return _unfit(offer, "", (), "the book has no such rate")
    before = tuple(t.amount for t in rate.tiers) or (rate.first,)
    divisor = SECONDS.get(offer.per) or COUNTS.get(offer.per)
    if divisor is None or (offer.per in SECONDS) != (rate.usd_per_hour is not None):
        return _unfit(offer, rate.unit, before, f"offered per {offer.per}, kept in {rate.unit}")
    after = tuple(_plain(usd * rate.divisor / divisor) for _, usd in offer.amounts)
    if len(after) != len(before) or not _same_limits(rate, offer):
        return _unfit(offer, rate.unit, before, "its tiers are not the book's: edit them by hand")
    if offer.rounded and _prints_as(before[0] * divisor / rate.divisor, offer.amounts[0][1]):
        after = before
    hourly = after[0] * 3600 / rate.divisor if rate.stated_usd_per_hour is not None else None
    return Change(
        row=row.name, rate=offer.rate, unit=rate.unit, before=before, after=after, said=offer.said, published=offer.published, hourly=hourly
    )


def _unfit(offer: Offered, unit: str, before: tuple[Decimal, ...], note: str) -> Change:
    return Change(
        row=offer.row, rate=offer.rate, unit=unit, before=before, after=before, said=offer.said, published=offer.published, note=note
    )


def _same_limits(rate: Rate, offer: Offered) -> bool:
    ours = [Decimal(0), *(t.up_to for t in rate.tiers if t.up_to is not None)]
    return not rate.tiers or ours == [begin for begin, _ in offer.amounts]


def _prints_as(exact: Decimal, printed: Decimal) -> bool:
    half = Decimal(5).scaleb(int(printed.as_tuple().exponent) - 1)
    return abs(exact - printed) <= half


def _plain(amount: Decimal) -> Decimal:
    """Without the endless digits of an hour's price per second: ten significant ones, and no zeros at the end."""
    return Decimal(f"{amount:.10g}").normalize()


def _replace_amount(text: str, change: Change, old: Decimal, new: Decimal) -> str:
    rate = re.escape(change.rate)
    # Either rates.<rate>.amount = "..." or, inside the row's tiers, amount = "...".
    pattern = rf'^(rates\.{rate}\.amount\s*=\s*")([^"]+)(")' if len(change.before) == 1 else r'(\bamount\s*=\s*")([^"]+)(")'
    start, end = _span(text, change.row)
    for match in re.finditer(pattern, text[start:end], re.MULTILINE):
        if Decimal(match[2]) == old:
            at = start + match.start(2)
            return f"{text[:at]}{new:f}{text[start + match.end(2) :]}"
    raise ConfigError(
        f"finds no amount {old:f} of {change.rate} to replace",
        where=f"price row {change.row}",
        do="Write it as rates.<name>.amount, or edit it by hand",
    )


def _in_row(text: str, row: str, pattern: str, replacement: str, *, what: str) -> str:
    start, end = _span(text, row)
    part, count = re.subn(pattern, replacement, text[start:end], count=1, flags=re.MULTILINE)
    if count == 0:
        raise ConfigError(f"finds no {what} to replace", where=f"price row {row}")
    return text[:start] + part + text[end:]


def _span(text: str, row: str) -> tuple[int, int]:
    """Where a row's lines begin and end: from its header to the next table."""
    header = re.search(rf'^\[rows\.(?:"{re.escape(row)}"|{re.escape(row)})\]', text, re.MULTILINE)
    if header is None:
        raise ConfigError("has no header of its own to write under", where=f"price row {row}", do=f'Begin it with [rows."{row}"]')
    following = re.compile(r"^\[", re.MULTILINE).search(text, header.end())
    return header.start(), following.start() if following else len(text)


def _text(amounts: Sequence[Decimal]) -> str:
    return " / ".join(f"{a:f}" for a in amounts)


def wanted(book: PriceBook) -> dict[str, dict[str, Any]]:
    """The rows a price API can be asked for, with how it finds them."""
    return {name: row.refresh for name, row in book.rows.items() if row.refresh}
