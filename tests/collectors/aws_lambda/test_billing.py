from __future__ import annotations

import math
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.aws_lambda.billing import billed_ms_expected, count_by_rule, explained_by, unexplained_gap_ms
from collectors.aws_lambda.facts import Report

AT = datetime(2026, 11, 2, tzinfo=UTC)


def report(duration_ms, billed_ms, init_ms=None, billed_restore_ms=None):
    return Report(AT, "s", "r", duration_ms, billed_ms, 128.0, 64.0, init_ms, None, billed_restore_ms)


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        (report(1.76, 100, 120.96), "per_100ms"),
        (report(619.31, 620), "per_ms"),
        (report(3093.08, 3094, 384.96), "per_ms"),
        (report(30.31, 565, 533.77), "with_init"),
        (report(85.80, 937, 850.88), "with_init"),
        (report(133.61, 214, 80.00), "with_init"),
        (report(99.75, 300, 200.25), "with_init"),
        (report(149.53, 313, None, 163.0), "with_restore"),
        (report(100.0, 250), "unexplained"),
        (report(2.5, None), "not_billed"),
        (report(None, None), "not_billed"),
    ],
)
def test_each_rule_explains_its_lines(line, rule):
    assert explained_by(line) == rule
    assert count_by_rule([line, line]) == {rule: 2}


hundredths = st.integers(0, 90_000_000)


@given(hundredths, hundredths)
def test_rounding_is_that_of_exact_arithmetic(duration, init):
    expected = billed_ms_expected(duration_ms=duration / 100, init_ms=init / 100)
    assert expected["with_init"] == -(-(duration + init) // 100)
    assert expected["per_ms"] == -(-duration // 100)
    assert expected["per_100ms"] == -(-duration // 10_000) * 100
    assert math.isfinite(expected["with_init"])


def test_a_gap_beyond_rounding_shows_an_initialisation_that_no_field_names():
    assert unexplained_gap_ms(report(100.0, 1101)) == 1001
    assert unexplained_gap_ms(report(100.0, 1101, 1000.5)) is None
    assert unexplained_gap_ms(report(100.2, 101)) is None
    assert unexplained_gap_ms(report(1.76, 100)) is None
    assert unexplained_gap_ms(report(10.0, 50)) is None
    assert unexplained_gap_ms(report(2.5, None)) is None
