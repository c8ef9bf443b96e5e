"""What a trial can tell by its end, said on its first day."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analysis.judging import looks
from analysis.judging.planning import PRIOR_DESIGN_EFFECT, plan
from analysis.statistics import critical_t


def test_on_day_one_it_says_what_two_weeks_can_tell(trial_days, trial_section):
    of = plan(trial_days([50], [9]), trial=trial_section)
    assert of.design_effect == PRIOR_DESIGN_EFFECT
    assert of.separable == (0.095, 0.365)
    assert of.sentences[0] == "At 50 requests a day this trial of 14 days cannot separate 18 % from 20 %; 9.5 % or 36.5 % it can."
    assert of.days_needed is None and "within a year" in of.sentences[2]


def test_the_half_width_is_that_of_the_interval_on_the_last_day(trial_days, trial_section):
    of = plan(trial_days([600], [120]), trial=trial_section)
    rate = 122 / 604
    assert of.half_width == pytest.approx(critical_t(14) * math.sqrt(4 * rate * (1 - rate) / (14 * 600)))


def test_more_traffic_tells_rates_nearer_to_the_threshold(trial_days, trial_section):
    plans = [plan(trial_days([n], [n // 5]), trial=trial_section) for n in (20, 100, 500, 5000)]
    lows, highs = [p.separable[0] for p in plans], [p.separable[1] for p in plans]
    assert lows == sorted(lows) and highs == sorted(highs, reverse=True)
    assert [p.half_width for p in plans] == sorted((p.half_width for p in plans), reverse=True)


def test_days_that_show_their_own_clustering_count_for_more(trial_days, trial_section):
    calm = plan(trial_days([500] * 10, [100, 99, 101, 98, 102] * 2), trial=trial_section)
    wild = plan(trial_days([500] * 10, [40, 160] * 5), trial=trial_section)
    assert calm.design_effect < PRIOR_DESIGN_EFFECT < wild.design_effect
    assert calm.half_width < wild.half_width


def test_a_clear_rate_needs_few_days_more(trial_days, trial_section):
    of = plan(trial_days([5000] * 3, [2000, 2100, 1900]), trial=trial_section)
    assert of.days_needed == 5 and "about 2 more days" in of.sentences[2]


@pytest.mark.parametrize("days", [0, 1, 9])
def test_without_a_request_there_is_nothing_to_plan_by(trial_days, trial_section, days):
    of = plan(trial_days([0] * days, [0] * days), trial=trial_section)
    assert of.half_width is of.days_needed is None and "nothing to plan by" in of.sentences[0]


def test_a_trial_too_short_for_any_verdict_says_so(trial_days, trial_section):
    of = plan(trial_days([600], [120]), trial=trial_section.model_copy(update={"days": 4}))
    assert of.half_width is None and of.separable == (None, None)
    assert "can tell no rate" in of.sentences[0]


@pytest.mark.parametrize("side", [0, 1])
def test_a_rate_called_separable_is_told_in_about_four_of_five_trials(trial_days, trial_section, side):
    rate = plan(trial_days([300], [60]), trial=trial_section).separable[side]
    # Day rates of a beta distribution whose spread gives 300 requests a day a design effect of 4.
    rho = (PRIOR_DESIGN_EFFECT - 1) / 299
    rng = np.random.default_rng(11)
    share = rng.beta(rate * (1 / rho - 1), (1 - rate) * (1 / rho - 1), size=(1500, 14))
    requests = np.full(share.shape, 300.0)
    cold = rng.binomial(300, share).astype(float)
    sides = looks.t_mixture(requests, cold, threshold=0.2, alpha=0.05, weekend=np.arange(14) % 7 >= 5)
    assert 0.72 < (sides[:, -1] == (-1, 1)[side]).mean() < 0.92


@given(st.lists(st.tuples(st.sampled_from([0, 1, 7, 500, 10**7]), st.floats(0, 1)), max_size=15), st.sampled_from([0.001, 0.2, 0.95]))
# The two fixtures only build values: nothing of one example is left for the next.
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_the_days_there_is_a_plan_without_nan(trial_days, trial_section, days, threshold):
    trial = trial_section.model_copy(update={"cold_hit_threshold": threshold})
    of = plan(trial_days([n for n, _ in days], [int(n * share) for n, share in days]), trial=trial)
    text = json.dumps(of.to_json(), allow_nan=False)
    assert of.sentences and json.loads(text)["days_planned"] == 14
    low, high = of.separable
    assert (low is None or 0 <= low < threshold) and (high is None or threshold < high <= 1)
