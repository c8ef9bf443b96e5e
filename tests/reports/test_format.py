from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from reports import format as say
from trial.records import Estimate


def read(text: str) -> str:
    return text.replace("\u00a0", " ")


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.2159, "21.6 %"),
        (0.004, "0.40 %"),
        (0.00001, "under 0.01 %"),
        (0.0, "0 %"),
        (1.0, "100 %"),
        (-0.02, "\u22122.0 %"),
        (None, "not known"),
    ],
)
def test_percent(share: float | None, text: str) -> None:
    assert read(say.percent(share)) == text


def test_intervals_collapse_where_both_ends_print_alike() -> None:
    assert read(say.percent_range(0.17, 0.27)) == "17.0 to 27.0 %"
    assert read(say.percent_range(0.21591, 0.21592)) == "21.6 %"
    assert read(say.estimate(Estimate(low=0.1, best=0.2, high=0.3, n=9, method="x"))) == "20.0 % (10.0 to 30.0 %)"
    assert say.long_run(Estimate(low=0.0, best=None, high=1.0, n=2, method="x")) == "cannot be said yet"


@pytest.mark.parametrize(
    ("value", "text"),
    [(8.44, "8.4 ms"), (231.4, "231 ms"), (1240, "1.24 s"), (12_400, "12.4 s"), (1_634_000, "1,634 s"), (None, "not known")],
)
def test_ms(value: float | None, text: str) -> None:
    assert read(say.ms(value)) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [("12.824", "$12.82"), ("0.0333", "$0.0333"), ("0.000004", "$0.00000400"), ("0", "$0"), ("12345.6", "$12,346"), ("-1.5", "-$1.50")],
)
def test_usd(value: str, text: str) -> None:
    assert say.usd(Decimal(value)) == text


def test_words() -> None:
    assert say.listed(["a"]) == "a" and say.listed(["a", "b"]) == "a and b" and say.listed(["a", "b", "c"]) == "a, b and c"
    assert read(say.plural(1, "day")) == "1 day" and read(say.plural(14, "day")) == "14 days"
    assert say.day(date(2026, 11, 2)) == "Mon 2 Nov 2026"
    assert read(say.set_share(0.2)) == "20 %" and read(say.set_share(0.125)) == "12.5 %"
    assert say.count(10240) == "10,240" and say.count(None) == "not known"
