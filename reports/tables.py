"""A table as plain cells: what stands beside a figure, on an evidence page, and in MLflow's artifacts."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """
    Text cells under column heads; the first cell of a row names the row.

    Args:
        empty: what is said in place of the table when it has no rows: looked and found none, or nobody looked.
        text_columns: how many leading columns are words; the others are numbers and are set flush right.
    """

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    empty: str = "None."
    text_columns: int = 1

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"{self.caption}: a row of {len(row)} cells under {len(self.columns)} columns")

    def to_csv(self) -> str:
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(self.columns)
        writer.writerows([[cell.replace("\u00a0", " ") for cell in row] for row in self.rows])
        return out.getvalue()
