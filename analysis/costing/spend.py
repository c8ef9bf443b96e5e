"""What one day costs before the provider's bill is put beside it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

import pyarrow as pa
import pyarrow.compute as pc


@dataclass(frozen=True, slots=True, kw_only=True)
class Spend:
    """
    Args:
        usd: by billing phase.
        less, more: how much lower and higher the total may be for what the logs leave open.
    """

    usd: Mapping[str, Decimal]
    billed_seconds: Decimal
    less: Decimal = Decimal(0)
    more: Decimal = Decimal(0)

    @property
    def total(self) -> Decimal:
        return sum(self.usd.values(), Decimal(0))


def by_day(tables: Iterable[pa.Table]) -> Iterator[tuple[date, pa.Table]]:
    """Each table's rows, day by day; a day may come back in several parts."""
    for table in tables:
        for day in pc.unique(table.column("day")).to_pylist():
            yield day, table.filter(pc.equal(table.column("day"), pa.scalar(day, pa.date32())))
