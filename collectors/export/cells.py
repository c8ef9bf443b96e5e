"""One cell typed as its column says."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time
from typing import Any

import pyarrow as pa

from trial.records import COLD, GPU_MS_SOURCES, STATUSES
from trial.schema import INVOCATIONS

_ENUMS = {"cold": COLD, "gpu_ms_source": GPU_MS_SOURCES, "status": STATUSES}
_BOOLS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


class CellError(ValueError):
    """A cell that is not what its column says."""

    def __init__(self, column: str, what: str) -> None:
        super().__init__(column, what)
        self.column, self.what = column, what


def typed_row(cells: Mapping[str, Any]) -> dict[str, Any]:
    """
    The filled cells of one row as an Invocation takes them.

    Raises:
        CellError: a value of the wrong type or outside its set, no started_at, or gpu_ms without its source.
    """
    row = {name: _typed(name, value) for name, value in cells.items()}
    if "started_at" not in row:
        raise CellError("started_at", "is empty; every request needs its start")
    if "gpu_ms" in row and row.get("gpu_ms_source", "none") == "none":
        raise CellError("gpu_ms_source", "is empty beside a gpu_ms; say cuda_event, handler_wall or platform_wall")
    return row


def _typed(name: str, value: Any) -> Any:
    try:
        typed = _BY_TYPE[INVOCATIONS.field(name).type](value)
    except (ValueError, TypeError, OverflowError) as exc:
        raise CellError(name, f"is {str(value)[:60]!r}, expected {_WORDS[INVOCATIONS.field(name).type]}") from exc
    if name in _ENUMS and typed not in _ENUMS[name]:
        raise CellError(name, f"is {str(value)[:60]!r}, expected one of {', '.join(sorted(_ENUMS[name]))}")
    return typed


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _float(value: Any) -> float:
    number = float(value)
    if isinstance(value, bool) or not math.isfinite(number):
        raise ValueError
    return number


def _int(value: Any) -> int:
    number = _float(value)
    if number != int(number) or abs(number) > 2**53:
        raise ValueError
    return int(number)


def _bool(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    word = str(value).strip().lower()
    if word not in _BOOLS:
        raise ValueError
    return _BOOLS[word]


def _time(value: Any) -> datetime:
    at = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    if at.utcoffset() is None or not 2000 <= at.year < 2200:
        raise ValueError
    return at.astimezone(UTC)


def _day(value: Any) -> date:
    # pandas writes a date as midnight of it.
    at = value if isinstance(value, date) else datetime.fromisoformat(value)
    if isinstance(at, datetime):
        if at.time() != time():
            raise ValueError
        return at.date()
    return at


_BY_TYPE: dict[pa.DataType, Callable[[Any], Any]] = {
    pa.string(): _text,
    pa.float64(): _float,
    pa.int64(): _int,
    pa.bool_(): _bool,
    pa.timestamp("us", tz="UTC"): _time,
    pa.date32(): _day,
}
_WORDS: dict[pa.DataType, str] = {
    pa.string(): "text",
    pa.float64(): "a number",
    pa.int64(): "a whole number",
    pa.bool_(): "true or false",
    pa.timestamp("us", tz="UTC"): "a time with its zone, as 2026-11-02T10:00:00Z",
    pa.date32(): "a date, as 2026-11-02",
}
