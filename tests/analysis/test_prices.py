"""The price book: strict, dated, and the article's audit."""

from __future__ import annotations

import contextlib
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis import prices
from analysis.pricing.check import agrees, evaluate, shown
from trial.errors import ConfigError

TODAY = date(2026, 11, 24)

ROW = """
[rows."mine"]
system = "Mine"
title = "A worker"
kind = "serverless"
region = "eu"
currency = "USD"
read_on = 2026-11-01
source = "the invoice"
confidence = "H"
rule = "instance-life"
billed = ["start", "run", "idle"]
rounding_s = "1"
rates.instance.amount = "0.0002"
rates.instance.unit = "USD/GPU-s"
"""


def book(text: str) -> prices.PriceBook:
    return prices.parse(text.encode(), name="mine", path=Path("mine.toml"))


def errors(name_or_book, **kwargs):
    found = prices.check(name_or_book, today=kwargs.pop("today", TODAY), **kwargs)
    return [p for p in found if p.level == "error"]


def test_standard_book_has_no_error_when_read():
    assert errors(prices.load("standard")) == []


def test_standard_book_covers_every_system_of_the_article():
    systems = {row.system for row in prices.load("standard").rows.values()}
    named = {"AWS Lambda", "Google Cloud Run GPU", "RunPod serverless", "Amazon SageMaker", "Vertex AI", "Replicate", "Banana"}
    assert named <= systems


@pytest.mark.parametrize("name", ["standard", "article"])
def test_no_rate_is_zero_and_every_gap_has_a_reason(name):
    for row in prices.load(name).rows.values():
        assert all(rate.first > 0 for rate in row.rates.values())
        assert all(len(reason) > 5 for reason in row.absent.values())
        assert row.priceable or row.absent or row.closed


def test_stale_rows_fail_and_say_how_old():
    found = errors(prices.load("standard"), today=date(2027, 3, 1), max_age_days=90)
    assert {p.kind for p in found} == {"stale"}
    assert "read 97 days ago, on 2026-11-24; the limit is 90" in found[0].detail
    assert not any(p.row == "banana" for p in found)


def test_a_price_read_tomorrow_is_a_contradiction():
    assert [p.kind for p in errors(book(ROW), today=date(2026, 10, 1))] == ["contradictory"]


def test_stated_hourly_figure_is_recomputed():
    wrong = ROW + 'rates.instance.stated_usd_per_hour = "0.12"\n'
    (problem,) = errors(book(wrong))
    assert (problem.kind, problem.right) == ("contradictory", "$0.72 per hour")
    assert errors(book(wrong.replace('"0.12"', '"0.72"'))) == []


# What the article prints and what is right, in the order of its statements.
ARTICLE = {
    "lambda rate": ("article-lambda-gpu-per-ms", "contradictory", "$14.40 per hour"),
    "lambda day": ("article-lambda-gpu-per-ms", "arithmetic", "20 USD"),
    "bert day": ("article-lambda-gpu-per-hour", "arithmetic", "0.03333 USD"),
    "warm pair": ("article-lambda-gpu-per-ms", "arithmetic", "691.20 USD"),
    "warm share": ("article-lambda-gpu-per-ms", "arithmetic", "3913.04 %"),
    "steady traffic": ("article-lambda-gpu-per-ms", "arithmetic", "100 USD"),
    "fleet": ("article-g5.xlarge", "arithmetic", "3041.28 USD"),
    "case bill": ("article-runpod-case", "arithmetic", "1126.80 USD"),
    "ping": ("article-runpod-case", "arithmetic", "34.56 USD"),
}


@pytest.mark.parametrize("expected", ARTICLE.values(), ids=ARTICLE)
def test_article_contradictions_come_with_the_right_figure(expected):
    assert expected in {(p.row, p.kind, p.right) for p in errors(prices.load("article"))}


def test_article_audit_is_complete_and_lets_what_holds_pass():
    article = prices.load("article")
    found = errors(article)
    assert sum(p.kind == "contradictory" for p in found) == 1
    assert sum(p.kind == "arithmetic" for p in found) == 8
    failed = {p.detail for p in found}
    for claim in article.claims:
        holds = not any(claim.says in detail for detail in failed)
        assert holds == (claim.id in HOLDS), claim.id
    assert all(p.right for p in found)


HOLDS = {
    "sagemaker-day",
    "sagemaker-month",
    "busy-hours",
    "lambda-500ms-day-hourly",
    "warm-pair-100ms",
    "bert-size",
    "seven-b-size",
    "bert-rate",
    "fleet-saving",
    "burst",
}


def test_article_rows_stand_in_for_the_standard_ones():
    article = prices.load("article")
    assert article.row("runpod-flex-4090").rates["instance"].first == Decimal("0.0005")
    assert article.row("sagemaker-ml.g4dn.xlarge").rates["instance"].first == Decimal("0.736")


def test_book_is_named_by_the_hash_of_its_bytes():
    assert prices.load("standard").sha256 != prices.load("article").sha256
    assert book(ROW).sha256 == book(ROW).sha256 != book(ROW + "\n").sha256


def test_own_book_is_read_relative_to_the_trial(tmp_path):
    (tmp_path / "my-prices.toml").write_text(ROW)
    assert prices.load("my-prices.toml", folder=tmp_path).row("mine").system == "Mine"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (('region = "eu"\n', ""), "row mine: missing key `region`"),
        (('region = "eu"', 'regoin = "eu"'), "Did you mean `region`?|missing key `region`"),
        (('"0.0002"', "0.0002"), "write it as a string"),
        (('"0.0002"', '"0"'), "a price of 0 reads as free"),
        (('"0.0002"', '"-1"'), "not a finite amount"),
        (('"0.0002"', '"NaN"'), "not a finite amount"),
        (('"0.0002"', '"cheap"'), "'cheap' is not a number"),
        (("USD/GPU-s", "USD/GPU"), "unit 'USD/GPU' is not known"),
        (("USD/GPU-s", "EUR/GPU-s"), "unit 'EUR/GPU-s' is not known"),
        (('"USD"', '"EUR"'), "`currency`"),
        (('"instance-life"', '"by-magic"'), "`rule`"),
        (('"idle"]', '"sleep"]'), "billed phase 'sleep' is not one of"),
        (("rates.instance", "rates.gpu"), "rule instance-life needs the rate 'instance'"),
        (("2026-11-01", '"soon"'), "`read_on`"),
        (('"H"', '"certain"'), "`confidence`"),
        (('rounding_s = "1"', "rounding_s = 1"), "write it as a string"),
        (('rounding_s = "1"', 'rounding_s = "1"\nprovisioned_row = "other"'), "provisioned_row 'other' is no row"),
    ],
)
def test_a_broken_row_names_itself_and_the_key(change, says):
    with pytest.raises(ConfigError, match=says) as caught:
        book(ROW.replace(*change))
    assert "mine.toml" in str(caught.value)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("rows = 3", "holds no"),
        ("[rows.x", "not TOML"),
        ("[rows]\nx = 1", "is not a table"),
        (ROW + "[extra]\n", "unknown table `extra`"),
        (ROW + '[[claims]]\nid = "a"\nsays = "b"\nkind = "arithmetic"\n', "needs `stated` and `formula`"),
        (ROW + '[[claims]]\nid = "a"\nsays = "b"\nkind = "arithmetic"\nstated = "1"\nformula = "open(1)"\n', "is not arithmetic"),
        (ROW + ROW.replace("mine", "other") + 'aliases = ["mine"]\n', "alias 'mine' is taken"),
        ("\xff", "not TOML"),
    ],
)
def test_a_broken_book_says_what_is_wrong(text, says):
    with pytest.raises(ConfigError, match=says):
        prices.parse(text.encode("latin-1"), name="mine", path=Path("mine.toml"))


def test_unknown_names_are_answered_with_the_nearest():
    with pytest.raises(ConfigError, match="Did you mean 'runpod-flex-4090'"):
        prices.load("standard").row("runpod-flex-409O")
    with pytest.raises(ConfigError, match="no price book 'nowhere.toml' can be read"):
        prices.load("nowhere.toml")


@pytest.mark.parametrize(
    ("formula", "value"),
    [("2*3+1", "7"), ("(3240-1280)/3240*100", "60.49382716049382716049382716"), ("0.1+0.2", "0.3")],
)
def test_formulas_are_exact(formula, value):
    assert evaluate(formula) == Decimal(value)


@pytest.mark.parametrize("formula", ["__import__('os')", "2**99", "x", "1/0", "'a'*9", "(" * 300, "True", ""])
def test_formulas_hold_nothing_but_arithmetic(formula):
    with pytest.raises(ValueError, match="not arithmetic"):
        evaluate(formula)


@pytest.mark.parametrize(
    ("stated", "value", "holds"),
    [("0.24", "14.4", False), ("530", "529.92", True), ("1.4", "1.38889", True), ("0.34", "0.3333", False), ("1.1", "1.116", True)],
)
def test_about_means_close_or_rounding_to_what_is_printed(stated, value, holds):
    assert agrees(Decimal(stated), Decimal(value)) == holds


def test_figures_are_shown_as_people_write_them():
    assert [shown(Decimal(v)) for v in ("14.4", "691.2", "0.033333", "20", "0.000004", "3913.0434")] == [
        "14.40",
        "691.20",
        "0.03333",
        "20",
        "0.000004",
        "3913.04",
    ]


@given(
    line=st.integers(0, len(ROW.splitlines()) - 1),
    put=st.one_of(
        st.none(),
        st.sampled_from(["x = 1", "rates = 3", "[rows]", 'rule = ""', "read_on = 1", "billed = []", 'rates.instance.amount = "1e999999"']),
    ),
)
def test_no_broken_book_gives_a_traceback(line, put):
    lines = ROW.splitlines()
    lines[line : line + 1] = [] if put is None else [put]
    with contextlib.suppress(ConfigError):
        prices.check(book("\n".join(lines)), today=TODAY)


ARTICLE_BYTES = Path(prices.__file__).with_name("prices_article.toml").read_bytes()


@given(at=st.integers(0, len(ARTICLE_BYTES)), gone=st.integers(0, 6), put=st.text('"=[]{}.01eE-\n# ab', max_size=4))
def test_no_damaged_book_gives_a_traceback(at, gone, put):
    with contextlib.suppress(ConfigError):
        damaged = prices.parse(ARTICLE_BYTES[:at] + put.encode() + ARTICLE_BYTES[at + gone :], name="x", path=Path("x.toml"))
        prices.check(damaged, today=TODAY)
