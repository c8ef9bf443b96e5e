"""The same events in any order, number and lateness: the same bytes are stored, on every platform."""

from __future__ import annotations

import importlib.util
import random
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from pydantic import TypeAdapter

from collectors.registry import collector as collector_of
from expectations.result import SuiteResult
from flows import day as days
from flows import pull
from trial.calendar import Calendar
from trial.config import Endpoint
from trial.meter import Meter
from trial.records import RawEvent
from trial.store import Store

_spec = importlib.util.spec_from_file_location("collectors_conftest", Path(__file__).parents[1] / "collectors" / "conftest.py")
shared = importlib.util.module_from_spec(_spec)
sys.modules[_spec.name] = shared  # its dataclasses look their module up
_spec.loader.exec_module(shared)

DAY = date(2026, 11, 2)
CALENDAR = Calendar(start=DAY, days=3, zone=ZoneInfo("UTC"))


def stored(folder: Path, collector: Any, endpoint: Any, deliveries: list[list[RawEvent]]) -> dict[str, bytes]:
    """The bytes of the day's tables after each delivery was pulled and the day computed anew."""
    store = Store.at(str(folder))
    for events in deliveries:

        def fetch(_clients: Any, _endpoint: Any, window: Any, *, meter: Meter, events: list[RawEvent] = events) -> Iterator[RawEvent]:
            yield from (event for event in events if event.at in window)

        offered = SimpleNamespace(
            SOURCES=tuple({event.source for event in events} | set(collector.SOURCES)),
            COUNTED_BY_PROVIDER=collector.COUNTED_BY_PROVIDER,
            fetch=fetch,
            parse=collector.parse,
            assemble=collector.assemble,
        )
        window = pull.window_of(store, endpoint.name, DAY, DAY, CALENDAR)
        pull.pull(store, offered, None, endpoint, window, CALENDAR, meter=Meter())
        days.process(
            store, offered, endpoint, DAY, CALENDAR, slo_ms=500, usage=(), check=lambda t: SuiteResult(suite="s", rows=t.num_rows, rules=())
        )
    # What an earlier computation wrote lies there still, and no manifest names it.
    return {name: (folder / name).read_bytes() for names in store.manifest(endpoint.name, DAY).files.values() for name in names}


@pytest.mark.parametrize("platform", ["aws-lambda", "cloud-run", "runpod", "sagemaker", "vertex-ai", "replicate"])
def test_any_order_number_and_lateness_store_the_same_bytes(platform, tmp_path):
    samples = [sample for sample in shared.read_samples(platform) if sample.events]
    endpoint = TypeAdapter(Endpoint).validate_python(samples[0].endpoint)
    collector = collector_of(platform)
    # All rows at once are one busy day; an event is its row's, so that like ids of two rows are two events.
    events = [replace(e, event_id=f"{n:03d}/{e.event_id}", copies=1) for n, sample in enumerate(samples) for e in sample.events]
    in_time = stored(tmp_path / "in-time", collector, endpoint, [events])
    assert any(name.startswith("invocations") for name in in_time)
    for seed in range(3):
        rng = random.Random(seed)
        shuffled = rng.sample(events, len(events)) + rng.choices(events, k=len(events) // 3)
        rng.shuffle(shuffled)
        cut = rng.randrange(len(shuffled))
        assert stored(tmp_path / str(seed), collector, endpoint, [shuffled[:cut], shuffled[cut:]]) == in_time
