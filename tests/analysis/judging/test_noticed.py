"""Whether users notice."""

from __future__ import annotations

import pytest

from analysis.judging.noticed import demonstrably_unnoticed, noticed_share, users_notice


def test_nobody_waits_so_nobody_notices(trial_days, trial_section):
    trial = trial_section.model_copy(update={"user_facing": False})
    days = trial_days([100] * 7, [50] * 7)
    assert noticed_share(days, trial=trial) is None
    assert users_notice(days, trial=trial) is False
    assert demonstrably_unnoticed(days, trial=trial, noticed=None)


@pytest.mark.parametrize(
    ("noticed", "unknown", "expected"),
    [
        (1, 0, False),  # exactly the registered 1 %: not more than it
        (2, 0, True),
        (0, 1, False),
        (0, 2, None),  # unknowns alone could make it more
        (1, 1, None),
        (2, 9, True),
    ],
)
def test_the_registered_share_is_compared_strictly_at_both_ends(trial_days, trial_section, noticed, unknown, expected):
    days = trial_days([100] * 7, [20] * 7, noticed=noticed, noticed_unknown=unknown)
    assert users_notice(days, trial=trial_section) is expected


def test_unseen_requests_may_have_been_noticed(trial_days, trial_section):
    days = trial_days([100] * 7, [20] * 7, noticed=0, provider_requests=110)
    assert users_notice(days, trial=trial_section) is None


def test_no_request_is_no_answer(trial_days, trial_section):
    for days in ([], trial_days([0] * 7, [0] * 7)):
        assert noticed_share(days, trial=trial_section) is None
        assert users_notice(days, trial=trial_section) is None
        assert not demonstrably_unnoticed(days, trial=trial_section, noticed=None)


def test_the_interval_holds_both_ends_and_the_share_itself(trial_days, trial_section):
    known = noticed_share(trial_days([100] * 7, [20] * 7, noticed=[3, 5, 4, 6, 3, 5, 4]), trial=trial_section)
    unsure = noticed_share(trial_days([100] * 7, [20] * 7, noticed=[3, 5, 4, 6, 3, 5, 4], noticed_unknown=10), trial=trial_section)
    assert known is not None and unsure is not None
    assert known.best == unsure.best == pytest.approx(30 / 700)
    assert known.low == unsure.low < known.best < known.high < unsure.high


def test_a_share_seen_below_is_demonstrably_below_only_with_enough_requests(trial_days, trial_section):
    few, many = trial_days([20] * 14, [10] * 14, noticed=0), trial_days([200] * 14, [100] * 14, noticed=0)
    for days, expected in ((few, False), (many, True)):
        assert users_notice(days, trial=trial_section) is False
        share = noticed_share(days, trial=trial_section)
        assert demonstrably_unnoticed(days, trial=trial_section, noticed=share) is expected
