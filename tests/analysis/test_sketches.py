from ddsketch import DDSketch
from hypothesis import given
from hypothesis import strategies as st

from analysis import sketches
from trial.summary import Sketch

values = st.lists(st.floats(min_value=0, max_value=1e7, allow_subnormal=False), min_size=1, max_size=60)


@given(values, st.sampled_from([0.0, 0.25, 0.5, 0.95, 0.99, 1.0]))
def test_quantiles_are_within_the_stated_relative_error(data, q):
    exact = sorted(data)[int(q * (len(data) - 1))]
    found = sketches.quantile(sketches.sketch(data), q)
    assert abs(found - exact) <= exact * sketches.RELATIVE_ACCURACY * 1.001 + 1e-9


@given(values, values)
def test_adding_sketches_is_sketching_everything(a, b):
    together = sketches.sketch(a + b)
    assert sketches.sketch(a) + sketches.sketch(b) == together
    assert sketches.sketch(b) + sketches.sketch(a) == together


@given(values)
def test_agrees_with_the_library_that_defines_the_bins(data):
    theirs = DDSketch(sketches.RELATIVE_ACCURACY)
    for value in data:
        theirs.add(value)
    ours = sketches.sketch(data)
    assert ours.count == theirs.count
    for q in (0.1, 0.5, 0.9):
        # Two neighbouring bins at most: log and log2 may round a value on a border apart.
        assert abs(sketches.quantile(ours, q) - theirs.get_quantile_value(q)) <= 0.011 * theirs.get_quantile_value(q) + 1e-9


def test_nothing_has_no_quantile():
    assert sketches.quantile(Sketch(), 0.5) is None


def test_the_distribution_ends_at_one():
    points = sketches.cumulative(sketches.sketch([0.0, 1.0, 10.0, 10.0]))
    assert [round(share, 2) for _, share in points] == [0.25, 0.5, 1.0]
