"""
Coverage-guided fuzzing of Replicate's predictions; run by `make fuzz`, or alone:

    python -m fuzz.replicate -max_total_time=60 [corpus folder]

No input may raise anything but to_event's ValueError; a finished prediction is one invocation, its times none below zero; order
and copies change nothing.
"""

from __future__ import annotations

import contextlib
import json
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

from collectors import replicate
from collectors.replicate.events import to_event
from collectors.replicate.parse import Prediction
from fuzz._running import fuzz, records_of, text_of
from trial.calendar import Calendar
from trial.config import ReplicateEndpoint
from trial.records import RawEvent

ANY = ReplicateEndpoint(platform="replicate", name="r")
OWN = ANY.model_copy(update={"deployment": "acme/summ"})
CALENDAR = Calendar(start=date(2026, 11, 2), days=14, zone=ZoneInfo("Europe/London"))
STATUSES = ("succeeded", "failed", "canceled", "aborted", "starting", "processing", "odd", None)
TIMES = (0, 1, 0.25, -1, 1e300, "1", None, True)


def one_input(data: bytes) -> None:
    """The first byte chooses: predictions as JSON, one a line, or built from the rest; and whether the deployment is our own."""
    if not data:
        return
    endpoint = OWN if data[0] & 2 else ANY
    events: list[RawEvent] = []
    for prediction in _built(data[1:]) if data[0] & 1 else _as_they_are(data[1:]):
        with contextlib.suppress(ValueError):
            events.append(to_event(prediction))
    once = {event.identity: event for event in events}
    found = records_of(events, endpoint, replicate, CALENDAR)
    assert records_of([*reversed(list(once.values())), *once.values()], endpoint, replicate, CALENDAR) == found
    assert len(found) == sum(isinstance(replicate.parse(event, endpoint), Prediction) for event in once.values())
    for invocation in found:
        assert all(ms is None or ms >= 0 for ms in (invocation.queue_ms, invocation.gpu_ms, invocation.latency_ms))


def _as_they_are(data: bytes) -> list[Any]:
    found: list[Any] = []
    for line in text_of(data).split("\n"):
        with contextlib.suppress(ValueError, RecursionError):
            found.append(json.loads(line))
    return found


def _built(data: bytes) -> list[Any]:
    """Five bytes a prediction: its id and state, when it was created, how long it waited and ran, and what it says it took."""
    found = []
    for number in range(0, min(len(data), 200) - 4, 5):
        which, when, wait, ran, said = data[number : number + 5]
        found.append(
            {
                "id": f"p{which // 8}",
                "status": STATUSES[which % 8],
                "created_at": f"2026-11-02T10:{when % 60:02d}:00.{wait:03d}Z",
                "started_at": f"2026-11-02T10:{(when + wait // 100) % 60:02d}:0{wait % 10}.5Z" if wait % 5 else None,
                "completed_at": f"2026-11-02T10:{(when + ran // 50) % 61:02d}:{ran % 60:02d}Z" if ran % 4 else "soon",
                "metrics": {"predict_time": TIMES[said % 8], "total_time": TIMES[said // 8 % 8]},
                "model": ("acme/m", None, 7)[said % 3],
                "deployment": "acme/summ" if ran % 3 else None,
            }
        )
    return found


def seeds() -> list[bytes]:
    """A start for the corpus: predictions of every state."""
    built = bytes(b for n in range(40) for b in (n * 5 % 256, n, n * 3, n * 7 % 256, n * 11 % 256))
    lines = "\n".join(json.dumps(item) for item in _built(built))
    return [b"\1" + built, b"\3" + built, b"\0" + lines.encode(), b"\2" + lines.encode()]


if __name__ == "__main__":
    fuzz(one_input, seeds())
