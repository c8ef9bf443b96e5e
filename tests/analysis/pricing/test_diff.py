"""What a refresh changes in a price book's text, and what it leaves alone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from analysis import prices
from analysis.pricing import diff as price_diff
from trial.errors import ConfigError

TODAY = date(2027, 1, 15)
STANDARD = Path(prices.__file__).with_name("prices.toml")


@dataclass(frozen=True, kw_only=True)
class Offer:
    row: str
    rate: str = "instance"
    per: str = "h"
    amounts: tuple = ()
    said: str = "as the API calls it"
    published: date | None = None
    rounded: bool = False


def offer(row: str, usd: str, **kwargs) -> Offer:
    return Offer(row=row, amounts=((Decimal(0), Decimal(usd)),), **kwargs)


@pytest.fixture
def book(tmp_path):
    path = tmp_path / "prices.toml"
    path.write_bytes(STANDARD.read_bytes())
    return prices.load("prices.toml", folder=tmp_path)


def test_a_new_price_changes_its_amount_and_its_dates_and_no_other_byte(book):
    before = book.path.read_text()
    changes = price_diff.diff(book, [offer("sagemaker-ml.g5.xlarge", "1.515", published=date(2027, 1, 1))])
    assert [c.line() for c in changes] == ["sagemaker-ml.g5.xlarge.instance: 1.408 -> 1.515 USD/instance-h, +7.6 % (as the API calls it)"]
    after = price_diff.write(book, changes, today=TODAY)
    assert after.rows["sagemaker-ml.g5.xlarge"].rates["instance"].first == Decimal("1.515")
    old, new = before.splitlines(), book.path.read_text().splitlines()
    assert [(a, b) for a, b in zip(old, new, strict=True) if a != b] == [
        ("read_on = 2026-11-24", "read_on = 2027-01-15"),
        ('rates.instance.amount = "1.408"', 'rates.instance.amount = "1.515"'),
    ]
    assert after.sha256 != book.sha256


def test_an_unchanged_price_is_read_again_all_the_same(book):
    changes = price_diff.diff(book, [offer("sagemaker-ml.g5.xlarge", "1.4080000000")])
    assert not changes[0].changed
    after = price_diff.write(book, changes, today=TODAY)
    assert after.rows["sagemaker-ml.g5.xlarge"].read_on == TODAY


def test_a_rounded_price_that_agrees_leaves_the_exact_one(book):
    (same,) = price_diff.diff(book, [offer("runpod-flex-4090", "1.1", rounded=True)])
    assert not same.changed
    (moved,) = price_diff.diff(book, [offer("runpod-flex-4090", "1.26", rounded=True)])
    assert moved.after == (Decimal("0.00035"),)
    after = price_diff.write(book, [moved], today=TODAY)
    row = after.rows["runpod-flex-4090"]
    assert (row.rates["instance"].stated_usd_per_hour, row.as_of) == (Decimal("1.26"), TODAY)
    assert [p for p in prices.check(after, today=TODAY) if p.row == row.name] == []


def test_tiers_are_rewritten_one_by_one(book):
    tiers = (
        (Decimal(0), Decimal("0.000016")),
        (Decimal(6_000_000_000), Decimal("0.000015")),
        (Decimal(15_000_000_000), Decimal("0.000013")),
    )
    changes = price_diff.diff(book, [Offer(row="aws-lambda-x86", rate="duration", per="s", amounts=tiers)])
    after = price_diff.write(book, changes, today=TODAY).rows["aws-lambda-x86"]
    assert [t.amount for t in after.rates["duration"].tiers] == [Decimal("0.000016"), Decimal("0.000015"), Decimal("0.000013")]
    assert after.read_on == TODAY


def test_a_row_read_in_part_keeps_its_date(book):
    changes = price_diff.diff(book, [offer("vertex-n1-standard-4-t4", "0.5", rate="accelerator")])
    after = price_diff.write(book, changes, today=TODAY).rows["vertex-n1-standard-4-t4"]
    assert after.rates["accelerator"].first == Decimal("0.5")
    assert after.read_on == date(2026, 11, 24)


def test_requests_are_kept_per_million(book):
    (change,) = price_diff.diff(book, [offer("aws-lambda-x86", "0.0000002", rate="requests", per="request")])
    assert not change.changed


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (Offer(row="aws-lambda-x86", rate="duration", per="s", amounts=((Decimal(0), Decimal("0.1")),)), "its tiers are not the book's"),
        (offer("aws-lambda-x86", "0.2", rate="requests", per="h"), "offered per h, kept in USD/M-requests"),
        (offer("hf-t4", "0.2", rate="vcpu"), "no such rate"),
    ],
)
def test_what_does_not_fit_is_said_and_not_written(book, made, says):
    (change,) = price_diff.diff(book, [made])
    assert says in change.line()
    before = book.path.read_bytes()
    price_diff.write(book, [change], today=TODAY)
    assert book.path.read_bytes() == before


def test_rows_the_book_does_not_have_are_passed_over(book):
    assert price_diff.diff(book, [offer("nobody", "1")]) == []


def test_a_book_changed_meanwhile_is_not_overwritten(book):
    changes = price_diff.diff(book, [offer("sagemaker-ml.g5.xlarge", "1.5")])
    book.path.write_text(book.path.read_text() + "\n# mine\n")
    with pytest.raises(ConfigError, match="was changed since it was read"):
        price_diff.write(book, changes, today=TODAY)
    assert "# mine" in book.path.read_text()
    assert sorted(p.name for p in book.path.parent.iterdir()) == ["prices.toml"]


def test_an_amount_that_is_written_otherwise_is_not_guessed_at(book):
    text = book.path.read_text().replace(
        'rates.instance.amount = "1.408"\nrates.instance.unit = "USD/instance-h"',
        'rates.instance = { amount = "1.408", unit = "USD/instance-h" }',
    )
    book.path.write_text(text)
    again = prices.load("prices.toml", folder=book.path.parent)
    changes = price_diff.diff(again, [offer("sagemaker-ml.g5.xlarge", "1.5")])
    with pytest.raises(ConfigError, match="finds no amount 1.408"):
        price_diff.write(again, changes, today=TODAY)


def test_a_copy_is_written_where_the_book_should_stay(book, tmp_path):
    changes = price_diff.diff(book, [offer("sagemaker-ml.g5.xlarge", "1.5")])
    before, copy = book.path.read_bytes(), tmp_path / "mine.toml"
    after = price_diff.write(book, changes, today=TODAY, to=copy)
    assert (after.path, after.row("sagemaker-ml.g5.xlarge").rates["instance"].first) == (copy, Decimal("1.5"))
    assert prices.load("mine.toml", folder=tmp_path).sha256 == after.sha256
    assert book.path.read_bytes() == before
    with pytest.raises(ConfigError, match="exists already"):
        price_diff.write(book, changes, today=TODAY, to=copy)
    with pytest.raises(ConfigError, match="cannot be written"):
        price_diff.write(book, changes, today=TODAY, to=tmp_path / "nowhere" / "mine.toml")


def test_every_row_with_a_refresh_is_wanted(book):
    wanted = price_diff.wanted(book)
    assert {refresh["via"] for refresh in wanted.values()} == {"aws-pricing", "gcp-catalogue", "runpod-catalogue"}
    assert "banana" not in wanted
