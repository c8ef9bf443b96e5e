from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trial.errors import LedgerError
from trial.ledger import Ledger, Tally

DAY = date(2026, 11, 3)
outcomes = st.lists(st.tuples(st.sampled_from(["used", "ignored", "rejected"]), st.sampled_from("abc"), st.integers(1, 4)), max_size=60)


@given(outcomes)
def test_a_tally_always_adds_up(events):
    tally = Tally(endpoint="e", day=DAY, source="s")
    for kind, reason, copies in events:
        tally.add_copies(copies)
        getattr(tally, kind)[reason] += 1
    totals = tally.close().totals()
    assert totals["read"] == sum(copies for _, _, copies in events)
    assert totals["read"] == totals["used"] + totals["ignored"] + totals["duplicate"] + totals["rejected"]


@pytest.mark.parametrize(
    "parts", [{"read": 3, "used": {"a": 1}}, {"read": 1, "used": {"a": 2}, "duplicate": -1}, {"read": -1, "duplicate": -1}]
)
def test_what_does_not_add_up_is_refused(parts):
    with pytest.raises(LedgerError, match="ledger of e, 2026-11-03, s"):
        Ledger(endpoint="e", day=DAY, source="s", **parts)
