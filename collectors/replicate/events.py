"""One prediction as a raw event."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from trial.records import RawEvent

SOURCE = "replicate-predictions"
# Whether a prediction is over; until then its times change, and it is read again within the look-back.
OVER = frozenset(("succeeded", "failed", "canceled", "aborted"))
# What the prompt and the answer hold is none of a tracker's business, and Replicate itself drops it after an hour.
_PRIVATE = frozenset(("input", "output", "logs", "error", "urls", "webhook"))


def to_event(prediction: Any) -> RawEvent:
    """
    A prediction on the day it was created. Its state is part of its identity: seen running first and done later, it is two
    events, and only a finished one makes a request.

    Raises:
        ValueError: no id, or no created_at that is a time with its zone.
    """
    if not isinstance(prediction, Mapping):
        raise ValueError(f"a {type(prediction).__name__}")
    prediction_id, at = prediction.get("id"), instant(prediction.get("created_at"))
    if not isinstance(prediction_id, str) or not prediction_id:
        raise ValueError("no id")
    if at is None:
        raise ValueError(f"created_at is {str(prediction.get('created_at'))[:40]!r}")
    status = str(prediction.get("status"))
    payload = {name: value for name, value in prediction.items() if name not in _PRIVATE}
    return RawEvent(source=SOURCE, stream="predictions", event_id=f"{prediction_id}/{status}", at=at, payload=payload)


def instant(value: Any) -> datetime | None:
    """An aware UTC time; fractions may have any number of digits. None for anything else."""
    if not isinstance(value, str) or len(value) > 40:
        return None
    try:
        at = datetime.fromisoformat(value)
        return at.astimezone(UTC) if at.utcoffset() is not None and 2000 <= at.year < 2200 else None
    except (ValueError, OverflowError):
        return None
