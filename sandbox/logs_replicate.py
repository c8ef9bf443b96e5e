"""Replicate's predictions as the API lists them once they are over."""

from __future__ import annotations

from typing import Any

import numpy as np

from sandbox.emitted import Event
from sandbox.happened import History, Served
from sandbox.instants import MS, SECOND, iso_ms, iso_us
from sandbox.plans import Plan

DEPLOYMENT = "acme/summariser-trial"
VERSION = "5c7d5dc6dd8bf75c1acaa8565735e7986bc5b66206b55cca93cb72c9bf15ccaa"

# By how much one clock's predict_time exceeds the other's total_time.
ODD_US = 29 * MS


def write(plan: Plan, history: History, *, rng: np.random.Generator) -> tuple[Event, ...]:
    """One event a prediction, at its creation and readable from then on; ascending."""
    events = [
        Event(
            stream="predictions",
            at_us=request.arrival.at_us,
            readable_us=request.arrival.at_us,
            order=request.number,
            payload=_prediction(plan, request, rng),
            neighbour="other-model" in request.arrival.cases,
        )
        for request in history.requests
    ]
    return tuple(sorted(events, key=lambda e: (e.at_us, e.order)))


def _prediction(plan: Plan, request: Served, rng: np.random.Generator) -> dict[str, Any]:
    cases, created, started, ended = request.arrival.cases, request.arrival.at_us, request.taken_us, request.ended_us
    if "odd-times" in cases:
        started = created - 3 * MS
    other = "other-model" in cases
    name = request.request_id
    # The number of fraction digits differs from one answer to the next.
    stamp = iso_us if request.number % 3 else iso_ms
    prediction: dict[str, Any] = {
        "id": name,
        "model": "acme/captions" if other else plan.model,
        "version": VERSION,
        "input": {"prompt": f"{request.input_tokens} tokens"},
        "logs": "",
        "output": None,
        "data_removed": False,
        "error": None,
        "source": "api",
        "status": "succeeded",
        "created_at": stamp(created),
        "started_at": stamp(started),
        "completed_at": stamp(ended),
        "urls": {
            "get": f"https://api.replicate.com/v1/predictions/{name}",
            "cancel": f"https://api.replicate.com/v1/predictions/{name}/cancel",
        },
        "metrics": {"predict_time": request.handler_us / SECOND, "total_time": (ended - created) / SECOND},
    }
    if not other:
        prediction["deployment"] = DEPLOYMENT
    if request.fate == "aborted":
        return {**prediction, "status": "canceled", "started_at": None, "completed_at": stamp(created + SECOND), "metrics": {}}
    if request.fate == "error":
        prediction |= {"status": "failed", "error": "CUDA out of memory"}
    elif "canceled" in cases:
        prediction |= {"status": "canceled"}
    else:
        prediction["output"] = ["a short summary"]
    if "odd-times" in cases:
        prediction["metrics"] = {"predict_time": (ended - created + ODD_US) / SECOND, "total_time": (ended - created) / SECOND}
    if "negative-time" in cases:
        prediction["metrics"]["predict_time"] = -round(float(rng.uniform(1e3, 1e7)), 6)
    return prediction
