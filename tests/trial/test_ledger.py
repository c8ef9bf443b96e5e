from collections import Counter
from dataclasses import dataclass
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trial.errors import LedgerError
from trial.ledger import Ledger, Tally
from trial.records import Ignored, RawEvent, Rejected

DAY = date(2026, 11, 3)
NOON = datetime(2026, 11, 3, 12, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Fact:
    kind: str


# One class a kind, as the busiest collectors have them.
OF_ONE_KIND = {name: type(name, (), {"kind": name})() for name in "abc"}
JUDGED = {
    "used": Fact,
    "used by class": OF_ONE_KIND.__getitem__,
    "ignored": lambda reason: Ignored(reason=reason),
    "rejected": lambda reason: Rejected(reason=reason),
}
outcomes = st.lists(st.tuples(st.sampled_from(sorted(JUDGED)), st.sampled_from("abc"), st.integers(1, 4)), max_size=60)


@given(outcomes)
def test_a_tally_always_adds_up(events):
    tally = Tally(endpoint="e", day=DAY, source="s")
    half = len(events) // 2
    for part in (events[:half], events[half:]):
        raw = [RawEvent(source="s", stream="", event_id="", at=NOON, payload="", copies=copies) for _, _, copies in part]
        tally.add(raw, [JUDGED[kind](reason) for kind, reason, _ in part])
    ledger = tally.close()
    for place in ("used", "ignored", "rejected"):
        assert getattr(ledger, place) == Counter(reason for kind, reason, _ in events if kind.split()[0] == place)
    totals = ledger.totals()
    assert totals["read"] == sum(copies for _, _, copies in events)
    assert totals["read"] == totals["used"] + totals["ignored"] + totals["duplicate"] + totals["rejected"]


@pytest.mark.parametrize(
    "parts", [{"read": 3, "used": {"a": 1}}, {"read": 1, "used": {"a": 2}, "duplicate": -1}, {"read": -1, "duplicate": -1}]
)
def test_what_does_not_add_up_is_refused(parts):
    with pytest.raises(LedgerError, match="ledger of e, 2026-11-03, s"):
        Ledger(endpoint="e", day=DAY, source="s", **parts)
