from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.scenario import classify


def flat(per_hour: int, days: int = 14) -> list[list[int]]:
    return [[per_hour] * 24 for _ in range(days)]


def test_equal_hours_are_steady() -> None:
    assert classify(flat(50), by_model={"m": 1}).kind == "steady"


def test_office_hours_are_diurnal() -> None:
    day = [2] * 8 + [100] * 8 + [2] * 8
    assert classify([day] * 14, by_model={}).kind == "diurnal"


def test_one_hour_far_over_its_usual_is_bursty_even_in_diurnal_traffic() -> None:
    days = [[2] * 8 + [100] * 8 + [2] * 8 for _ in range(14)]
    days[9][12] = 900
    assert classify(days, by_model={}).kind == "bursty"


def test_a_busy_hour_that_comes_every_day_is_no_burst() -> None:
    days = [[10] * 23 + [400] for _ in range(14)]
    assert classify(days, by_model={}).kind != "bursty"


def test_few_requests_are_sparse_whatever_their_shape() -> None:
    assert classify(flat(2), by_model={}).kind == "sparse"
    assert classify([[0] * 13 + [80] * 11] * 14, by_model={}).kind == "sparse"


def test_many_models_need_to_be_many_and_shared() -> None:
    shared = {f"m{i}": 100 for i in range(6)}
    assert classify(flat(50), by_model=shared).kind == "many-models"
    assert classify(flat(50), by_model={**shared, "big": 10_000}).kind == "steady"


def test_without_requests_there_is_no_pattern() -> None:
    assert classify([], by_model={}) is None
    assert classify(flat(0), by_model={}) is None


def test_a_day_of_other_than_24_hours_is_refused() -> None:
    with pytest.raises(ValueError, match="24 hours"):
        classify([[1] * 23], by_model={})


@given(st.lists(st.lists(st.integers(0, 10_000), min_size=24, max_size=24), min_size=1, max_size=15))
def test_exactly_one_pattern_and_the_first_that_holds(days: list[list[int]]) -> None:
    scenario = classify(days, by_model={})
    if not np.sum(days):
        assert scenario is None
    else:
        assert scenario.kind == next(kind for kind, _, _, holds in scenario.rules if holds)
