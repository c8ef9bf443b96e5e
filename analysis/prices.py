"""The price book: data, not code. Loads and validates it, names it by hash, and checks it before anybody ranks on it."""

from __future__ import annotations

import difflib
import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydantic import ValidationError

from analysis.pricing.check import Claim, Problem, check_claims, check_rows
from analysis.pricing.rows import PriceRow
from trial.errors import ConfigError

BOOKS = {"standard": "prices.toml", "article": "prices_article.toml"}


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceBook:
    """
    A validated book.

    Args:
        name: standard, article or the file's path.
        sha256: of the file's bytes; a trial pins it, so that a later report says when prices changed.
        rows: by name, in the file's order.
        claims: figures of a source that the book also audits (the article's).
    """

    name: str
    path: Path
    sha256: str
    rows: Mapping[str, PriceRow]
    claims: tuple[Claim, ...] = ()

    def row(self, name: str) -> PriceRow:
        """
        A row by its name, or the one that stands in for it.

        Raises:
            ConfigError: no such row.
        """
        if name in self.rows:
            return self.rows[name]
        for row in self.rows.values():
            if name in row.aliases:
                return row
        close = difflib.get_close_matches(name, self.rows, n=1)
        hint = f"Did you mean {close[0]!r}? " if close else ""
        raise ConfigError(f"the {self.name} price book has no row {name!r}", where="price", do=f"{hint}All rows: `fortnight prices list`")


def load(book: str, *, folder: Path = Path()) -> PriceBook:
    """
    Reads a book: "standard", "article", or the path of a TOML file (relative to `folder`).

    Raises:
        ConfigError: no such file, not TOML, or a row with an unknown key, a unit that is no unit, an amount that is no string, ...
    """
    path = Path(__file__).with_name(BOOKS[book]) if book in BOOKS else (folder / book)
    try:
        raw = path.read_bytes()
    except OSError as exc:
        known = ", ".join(BOOKS)
        raise ConfigError(
            f"no price book {book!r} can be read: {exc.strerror}", where=str(path), do=f"Use {known}, or the path of a TOML file"
        ) from exc
    return parse(raw, name=book, path=path)


def parse(raw: bytes, *, name: str, path: Path) -> PriceBook:
    """As `load`, from the file's bytes."""
    try:
        data = tomllib.loads(raw.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise ConfigError(f"not TOML: {exc}", where=str(path)) from exc
    unknown = sorted(set(data) - {"rows", "claims"})
    if unknown:
        raise ConfigError(f"unknown table `{unknown[0]}`", where=str(path), do="A price book holds [rows.<name>] and [[claims]]")
    if not isinstance(data.get("rows"), dict) or not data["rows"]:
        raise ConfigError("holds no [rows.<name>]", where=str(path))
    rows = {key: _row(key, table, path) for key, table in data["rows"].items()}
    _names_are_unique(rows, path)
    claims = tuple(_claim(number, table, path) for number, table in enumerate(data.get("claims", []), start=1))
    return PriceBook(
        name=name,
        path=path,
        sha256=hashlib.sha256(raw).hexdigest(),
        rows=MappingProxyType({key: _with_provisioned(row, rows, path) for key, row in rows.items()}),
        claims=claims,
    )


def check(book: PriceBook, *, today: date, max_age_days: int = 90) -> list[Problem]:
    """
    Everything wrong with a book: stale, contradictory and incomplete rows, and claims whose arithmetic does not hold.

    Problems of level "error" make `fortnight prices check` fail; a "note" only says what to keep in mind.
    """
    return check_rows(book.rows.values(), today=today, max_age_days=max_age_days) + check_claims(book.claims)


def _row(name: str, table: Any, path: Path) -> PriceRow:
    if not isinstance(table, dict):
        raise ConfigError(f"`rows.{name}` is not a table", where=str(path))
    try:
        return PriceRow.model_validate({**table, "name": name})
    except ValidationError as exc:
        raise _problem(exc, where=f"{path}, row {name}", known=set(PriceRow.model_fields) - {"name"}) from exc


def _claim(number: int, table: Any, path: Path) -> Claim:
    try:
        return Claim.model_validate(table)
    except ValidationError as exc:
        raise _problem(exc, where=f"{path}, claim {number}", known=set(Claim.model_fields)) from exc


def _problem(exc: ValidationError, *, where: str, known: set[str]) -> ConfigError:
    problem = exc.errors(include_url=False)[0]
    key = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        close = difflib.get_close_matches(str(problem["loc"][-1]), sorted(known), n=1)
        return ConfigError(f"unknown key `{key}`", where=where, do=f"Did you mean `{close[0]}`?" if close else None)
    if problem["type"] == "missing":
        return ConfigError(
            f"missing key `{key}`",
            where=where,
            do="Every row says its unit, region, currency, read_on, source, confidence, rule and billed phases",
        )
    message = problem["msg"].removeprefix("Value error, ")
    return ConfigError(f"`{key}`: {message}" if key else message, where=where)


def _names_are_unique(rows: Mapping[str, PriceRow], path: Path) -> None:
    taken = dict.fromkeys(rows, "")
    for row in rows.values():
        for alias in row.aliases:
            if alias in taken:
                raise ConfigError(f"alias {alias!r} is taken by another row", where=f"{path}, row {row.name}", do="A name leads to one row")
            taken[alias] = row.name


def _with_provisioned(row: PriceRow, rows: Mapping[str, PriceRow], path: Path) -> PriceRow:
    if row.provisioned_row is None:
        return row
    other = rows.get(row.provisioned_row)
    if other is None or other.rule != "provisioned-concurrency":
        raise ConfigError(
            f"provisioned_row {row.provisioned_row!r} is no row of rule provisioned-concurrency", where=f"{path}, row {row.name}"
        )
    return row.model_copy(update={"rates": {**other.rates, **row.rates}})
