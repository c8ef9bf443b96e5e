"""Which requests load a model, by hand and against a list that is searched."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.replaying.multi_model import loads


def test_the_least_recently_used_gives_way():
    assert loads("abcab", resident=2).tolist() == [True, True, True, True, True]
    assert loads("abacab", resident=2).tolist() == [True, True, False, True, False, True]
    assert loads("abcabc", resident=3).tolist() == [True, True, True, False, False, False]
    with pytest.raises(ValueError, match="at least one"):
        loads("a", resident=0)


@given(st.text(alphabet="abcde", max_size=60), st.integers(1, 5))
def test_a_model_is_loaded_when_enough_others_came_since(models, resident):
    for i, loaded in enumerate(loads(models, resident=resident)):
        before = models[:i]
        since = set(before[before.rfind(models[i]) + 1 :]) if models[i] in before else None
        assert loaded == (since is None or len(since) >= resident)
