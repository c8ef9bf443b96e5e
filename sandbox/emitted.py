"""Log events as the sandbox writes them, and how they reach the reader: late, twice, or on time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sandbox.instants import HOUR, SECOND, to_datetime, to_us
from trial.calendar import Calendar

# Re-reading looks back 48 hours from a run in the small hours: later than this after its day's end, an event is never seen again.
LATEST_AFTER_DAY = 25 * HOUR


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """
    One log event.

    Args:
        stream: log stream, log name or file.
        at_us: its own timestamp; readable_us: from when on the API returns it.
        order: place among the stream's events of one instant.
        payload: text, or an API object.
        broken: it claims to be something and cannot be read: the reader must reject it.
        neighbour: it is another function's, or another deployment's of the same account.
        single: nothing in it tells it from a second one like it, so it is never delivered twice.
        copies: how often the source returns it.
    """

    stream: str
    at_us: int
    readable_us: int
    order: int
    payload: str | dict[str, Any]
    broken: bool = False
    neighbour: bool = False
    single: bool = False
    copies: int = 1


def deliver(events: Iterable[Event], *, calendar: Calendar, cases: frozenset[str], rng: np.random.Generator) -> tuple[Event, ...]:
    """Sets when each event becomes readable; makes some late and some double. Ascending by (at, stream, order)."""
    listed = sorted(events, key=lambda e: (e.at_us, e.stream, e.order))
    lag = rng.gamma(2.0, 0.4 * SECOND, len(listed)).astype(np.int64)
    late = rng.random(len(listed)) < (0.004 if {"late", "very-late"} & cases else 0.0)
    late_by = (rng.exponential(9.0, len(listed)) * HOUR).astype(np.int64) + HOUR
    twice = rng.random(len(listed)) < (0.002 if "duplicate" in cases else 0.0)
    held = _held_streams(listed, rng) if "late" in cases else {}
    delivered: list[Event] = []
    for i, event in enumerate(listed):
        copies = 2 if twice[i] and not (event.broken or event.single) else 1
        if delivered and (delivered[-1].stream, delivered[-1].at_us) == (event.stream, event.at_us):
            # Written in one breath, sent in one batch.
            delivered.append(replace(event, readable_us=delivered[-1].readable_us, copies=copies))
            continue
        readable = event.at_us + int(late_by[i] if late[i] else lag[i])
        readable = max(readable, held.get(event.stream, 0))
        if late[i] and "very-late" in cases:
            readable = event.at_us + int(rng.uniform(2, 13) * 24 * HOUR)
        elif late[i] or event.stream in held:
            day_end = to_us(calendar.window(calendar.day_of(to_datetime(event.at_us))).end)
            readable = max(event.at_us, min(readable, day_end + LATEST_AFTER_DAY))
        delivered.append(replace(event, readable_us=readable, copies=copies))
    return tuple(delivered)


def _held_streams(events: list[Event], rng: np.random.Generator) -> dict[str, int]:
    """A few whole streams that only become readable together, hours after their last event, as after an agent's outage."""
    last: dict[str, int] = {}
    for event in events:
        last[event.stream] = event.at_us
    names = sorted(last)
    if len(names) < 20:
        return {}
    chosen = rng.choice(len(names), size=max(1, len(names) // 300), replace=False)
    return {names[i]: last[names[i]] + int(rng.uniform(2, 20) * HOUR) for i in sorted(chosen)}
