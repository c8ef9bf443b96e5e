"""Triton's statistics of the servers inside an endpoint's workers, read every minute into one file per host name."""

from __future__ import annotations

import json
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sandbox.emitted import Event
from sandbox.happened import History, Served
from sandbox.instants import HOUR, MINUTE, MS, SECOND, iso_ms
from sandbox.plans import Plan
from sandbox.pool import RESUME_WITHIN_US


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """
    Args:
        readings: the lines, whose stream is their file's name.
        hours: begin of an hour -> (requests, microseconds of GPU time) that its readings tell of. What a server did after its
            last reading nobody knows.
    """

    readings: tuple[Event, ...] = ()
    hours: Mapping[int, tuple[int, int]] = field(default_factory=dict)


@dataclass(slots=True)
class _Server:
    """One process, which a resumed worker keeps: its host name, when it is read, what it served."""

    host: int
    starting_us: int
    read_us: list[int] = field(default_factory=list)
    served: list[Served] = field(default_factory=list)


def statistics(plan: Plan, history: History) -> Statistics:
    """
    A reading when the model is loaded, each full minute, and when the worker stops: but one worker in five stops without.
    Before the model is loaded Triton answers with an error. A host name goes from one worker to the next, whose counters
    begin at zero.
    """
    readings: list[Event] = []
    hours: dict[int, tuple[int, int]] = defaultdict(lambda: (0, 0))
    for server in _servers(history):
        name, asleep = f"gpu-{server.host}.jsonl", {"error": "Request for unknown model: no ready version"}
        readings.append(_reading(name, server.starting_us, asleep))
        for at in server.read_us:
            done = [request for request in server.served if request.ended_us <= at]
            readings.append(_reading(name, at, {"model_stats": _models(plan, done)}))
        for request in server.served:
            seen = bisect_left(server.read_us, request.ended_us)
            if seen < len(server.read_us):
                # A reading on the hour tells of the hour that ends.
                hour = (server.read_us[seen] - 1) // HOUR * HOUR
                requests, gpu_us = hours[hour]
                hours[hour] = (requests + 1, gpu_us + request.gpu_us)
    return Statistics(readings=tuple(readings), hours=dict(hours))


def _servers(history: History) -> list[_Server]:
    servers: list[_Server] = []
    by_worker: dict[int, _Server] = {}
    latest: dict[str, _Server] = {}
    free_us: list[int] = []
    for worker in sorted(history.workers, key=lambda w: w.started_us):
        if worker.reason == "resumed":
            server = latest[worker.id]
        else:
            host = next((i for i, at in enumerate(free_us) if at < worker.started_us), len(free_us))
            free_us += [0] * (host + 1 - len(free_us))
            server = latest[worker.id] = _Server(host=host, starting_us=worker.started_us)
            servers.append(server)
            server.read_us.append(worker.ready_us // MS * MS)
        by_worker[worker.number] = server
        # A worker may come back under its old name for as long as it can be resumed.
        free_us[server.host] = worker.stopped_us + RESUME_WITHIN_US
        server.read_us += range(worker.ready_us // MINUTE * MINUTE + MINUTE, worker.stopped_us, MINUTE)
        if worker.number % 5:
            server.read_us.append(worker.stopped_us // MS * MS)
    for request in history.requests:
        if request.worker is not None:
            by_worker[request.worker].served.append(request)
    return servers


def _reading(stream: str, at: int, answer: dict[str, Any]) -> Event:
    at = at // MS * MS
    payload = json.dumps({"ts": iso_ms(at), **answer}, separators=(",", ":"))
    return Event(stream=stream, at_us=at, readable_us=at + SECOND, order=0, payload=payload)


def _models(plan: Plan, done: Sequence[Served]) -> list[dict[str, Any]]:
    """The ensemble that callers ask for, which computes nothing itself, and its two parts."""
    failed = sum(request.fate == "error" for request in done)
    taken = sum(request.handler_us for request in done if request.fate != "error")
    tokenizer = sum(request.gpu_us // 50 for request in done)
    decoder = sum(request.gpu_us for request in done) - tokenizer
    return [
        _model(plan.model, len(done) - failed, failed, taken, None),
        _model("tokenizer", len(done), 0, tokenizer, tokenizer),
        _model("decoder", len(done), 0, decoder, decoder),
    ]


def _model(name: str, success: int, fail: int, taken_us: int, computed_us: int | None) -> dict[str, Any]:
    none = {"count": success, "ns": 0}
    computed = {"count": success, "ns": (taken_us if computed_us is None else computed_us) * 1000}
    batch = {"batch_size": 1, "compute_input": none, "compute_infer": computed, "compute_output": none}
    return {
        "name": name,
        "version": "1",
        "last_inference": 0,
        "inference_count": success,
        "execution_count": success,
        "inference_stats": {
            "success": {"count": success, "ns": taken_us * 1000},
            "fail": {"count": fail, "ns": 0},
            "queue": none,
            "compute_input": none,
            "compute_infer": computed,
            "compute_output": none,
            "cache_hit": {"count": 0, "ns": 0},
            "cache_miss": {"count": 0, "ns": 0},
        },
        "batch_stats": [batch] if computed_us is not None and success else [],
        "memory_usage": [],
    }
