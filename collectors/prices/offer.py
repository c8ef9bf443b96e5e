"""What a price API says about one rate of the price book, or why it says nothing usable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

# Row name -> its `refresh` table of the price book.
Wanted = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """
    Args:
        row, rate: which rate of the book.
        per: what `amounts` are per: "s", "h", "request", ... a unit of the book without its "USD/<what>-".
        amounts: (from quantity, USD), ascending: one entry without tiers.
        said: the API's own words for it, shown beside the difference.
        published: the day the API says the price holds from, if it says.
        rounded: the API prints fewer digits than it bills by: a difference below its last digit is none.
    """

    row: str
    rate: str
    per: str
    amounts: tuple[tuple[Decimal, Decimal], ...]
    said: str
    published: date | None = None
    rounded: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class NoOffer:
    """A rate the API gave no single price for: the row stays as it is."""

    row: str
    rate: str
    reason: str
