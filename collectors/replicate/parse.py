"""One prediction, judged alone; the API's times have flaws, which are named and never passed on as numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from collectors.lines import LONGEST_MS
from collectors.replicate.events import OVER, instant
from trial.records import Ignored, RawEvent, Rejected, Status

_STATUS: dict[str, Status] = {"succeeded": "ok", "failed": "error", "canceled": "aborted", "aborted": "aborted"}
_PENDING = frozenset(("starting", "processing"))
# Two clocks make predict_time and total_time: seen apart by 29 ms, with started_at before created_at.
SKEW_MS = 100.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """
    A finished prediction. Times in ms, None where the API's own value cannot be.

    Args:
        flaw: the first thing wrong with its times; part of `kind`, so that the ledger counts it.
    """

    at: datetime
    id: str
    status: Status
    model: str | None
    queue_ms: float | None
    predict_ms: float | None
    total_ms: float | None
    ended_at: datetime | None
    flaw: str | None = None

    @property
    def kind(self) -> str:
        return f"prediction_{self.flaw}" if self.flaw else "prediction"


def parse(event: RawEvent, endpoint: Any) -> Prediction | Ignored | Rejected:
    """A finished prediction of this endpoint's model or deployment."""
    data = event.payload
    if not isinstance(data, Mapping) or not isinstance(data.get("id"), str):
        return Rejected(reason="not_a_prediction")
    for name, wanted in (("model", getattr(endpoint, "model_owner_name", None)), ("deployment", getattr(endpoint, "deployment", None))):
        if wanted is not None and data.get(name) != wanted:
            return Ignored(reason=f"other_{name}")
    status = data.get("status")
    if isinstance(status, str) and status in _PENDING:
        return Ignored(reason="not_finished")
    if not isinstance(status, str) or status not in OVER:
        return Rejected(reason="status", detail=str(status)[:60])
    return _prediction(event.at, data, status)


def _prediction(at: datetime, data: Mapping[str, Any], status: str) -> Prediction:
    metrics = data.get("metrics")
    metrics = metrics if isinstance(metrics, Mapping) else {}
    flaws: list[str] = []
    started, completed = instant(data.get("started_at")), instant(data.get("completed_at"))
    queue_ms = _span(at, started, "started_before_created", flaws)
    predict_ms = _seconds(metrics, "predict_time", flaws)
    total_ms = _seconds(metrics, "total_time", flaws)
    if total_ms is None:
        total_ms = _span(at, completed, "completed_before_created", flaws)
    if predict_ms is not None and total_ms is not None and predict_ms > total_ms:
        flaws.append("predict_exceeds_total")
        if predict_ms - total_ms > SKEW_MS:
            predict_ms = total_ms = None
    ran = started is not None and status == "canceled"
    model = data.get("model")
    return Prediction(
        at=at,
        id=data["id"],
        # Cancelled while it ran, it had reached a worker, and stays in the rate.
        status="error" if ran else _STATUS[status],
        model=model if isinstance(model, str) else None,
        queue_ms=queue_ms,
        predict_ms=predict_ms,
        total_ms=total_ms,
        ended_at=completed or (at + timedelta(milliseconds=total_ms) if total_ms is not None else None),
        flaw=flaws[0] if flaws else None,
    )


def _span(start: datetime, end: datetime | None, flaw: str, flaws: list[str]) -> float | None:
    if end is None:
        return None
    ms = (end - start).total_seconds() * 1000
    if 0 <= ms <= LONGEST_MS:
        return ms
    flaws.append(flaw)
    return None


def _seconds(metrics: Mapping[str, Any], name: str, flaws: list[str]) -> float | None:
    value = metrics.get(name)
    if value is None:
        return None
    if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
        if 0 <= value * 1000 <= LONGEST_MS:
            return value * 1000
        flaws.append(f"negative_{name}" if value < 0 else f"impossible_{name}")
    else:
        flaws.append(f"impossible_{name}")
    return None
