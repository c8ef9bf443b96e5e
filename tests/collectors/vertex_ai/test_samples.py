"""Every case of the Vertex AI logs as a row of data."""

from __future__ import annotations

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collectors import vertex_ai
from trial.calendar import Calendar
from trial.config import VertexEndpoint
from trial.records import Ignored, Invocation, RawEvent, Rejected

CALENDAR = Calendar(start=date(2026, 11, 2), days=14, zone=ZoneInfo("UTC"))
ENDPOINT = VertexEndpoint(platform="vertex-ai", name="vertex", project="acme", region="us-east1", endpoint_id="77")
LOG = "projects/acme/logs/aiplatform.googleapis.com%2Fprediction_container"


@pytest.mark.samples("vertex-ai")
def test_samples(sample, check_sample):
    check_sample(sample, collector=vertex_ai, endpoint=VertexEndpoint(**sample.endpoint), calendar=CALENDAR)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
lines = st.fixed_dictionaries(
    {"fortnight": st.just(1) | values},
    optional={
        "handler_ms": st.floats(0, 1e12) | values,
        "load_ms": st.floats(0, 100) | values,
        "cold_start": st.booleans(),
        "instance": values,
    },
)


@given(
    st.fixed_dictionaries(
        {}, optional={"logName": st.just(LOG) | values, "resource": values, "labels": values, "jsonPayload": lines | values}
    )
)
@settings(max_examples=200, deadline=None)
def test_any_entry_ends_in_one_place(entry):
    event = RawEvent(source="cloud-logging", stream="s", event_id="1", at=datetime(2026, 11, 2, 10, tzinfo=UTC), payload=entry)
    outcome = vertex_ai.parse(event, ENDPOINT)
    facts = [] if isinstance(outcome, (Ignored, Rejected)) else [outcome]
    records = list(vertex_ai.assemble(facts, ENDPOINT, CALENDAR))
    assert sum(isinstance(r, Invocation) for r in records) == len(facts)
