"""A bill for worker lives that never were: what the what-if replay and dedicated options are priced with, rule by rule."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import NamedTuple

from analysis.billing import active_time, instance_life, managed_instances, node_hours, per_invocation, provisioned
from analysis.billing.rounding import to_us, up_us
from analysis.pricing.rows import PriceRow
from trial.config import Resources
from trial.errors import ConfigError


class WorkerLife(NamedTuple):
    """
    One worker, in seconds from any common origin.

    Args:
        busy_s: how long it served at least one request, after its start-up.
        starting_s: how long it took to become ready, within [start_s, end_s].
        kept: a minimum, provisioned or dedicated instance: it runs because it was asked for, not because a request came.
    """

    start_s: float
    busy_s: float
    end_s: float
    starting_s: float = 0.0
    kept: bool = False


def price_replay(row: PriceRow, resources: Resources) -> Callable[[Iterable[tuple], int, float], dict[str, Decimal]]:
    """`lives_cost` for one row, as a function of (lives, requests, span_s)."""

    def price(lives: Iterable[tuple], requests: int, span_s: float) -> dict[str, Decimal]:
        return lives_cost(row, resources, lives, requests, span_s)

    return price


def lives_cost(row: PriceRow, resources: Resources, lives: Iterable[tuple], requests: int, span_s: float) -> dict[str, Decimal]:
    """
    Worker lives and their requests priced by phase with the row's own rule; the sum is the bill for the span.

    Per-request roundings (Lambda's 1 ms) are not in a life's busy seconds: under half a millisecond a request on average.

    Args:
        lives: WorkerLife, or plain (start_s, busy_s, end_s) in that order.
        span_s: length of the replayed time, for what is billed whether used or not.

    Raises:
        ConfigError: the row has not what this setting is billed by.
    """
    if row.rule == "api-calls":
        raise ConfigError("prices the tracker's own API calls, not an endpoint", where=f"price row {row.name}")
    workers = [WorkerLife(*life) for life in lives]
    if row.rule == "instance-life":
        return instance_life.usd(row, resources, _phases(workers, step_s=row.rounding_s))
    if row.rule in ("active-time", "request-time"):
        billed = sum(to_us(w.busy_s) for w in workers)
        return active_time.usd(row, resources, billed_us=billed, requests=requests)
    if row.rule == "node-hours":
        return node_hours.usd(row, resources, deployed_us=[to_us(w.end_s - w.start_s) for w in workers])
    if row.rule == "managed-instances":
        least = int(row.minimums.get("instances", Decimal(0)) * to_us(span_s))
        return managed_instances.usd(row, instance_us=max(least, sum(to_us(w.end_s - w.start_s) for w in workers)), requests=requests)
    return _lambda(row, resources, workers, requests)


def _phases(workers: list[WorkerLife], *, step_s: Decimal) -> dict[str, int]:
    total = dict.fromkeys(("start", "run", "idle", "rounding", "min_instances"), 0)
    for worker in workers:
        life = to_us(worker.end_s - worker.start_s)
        start = min(life, to_us(worker.starting_s))
        run = min(life - start, to_us(worker.busy_s))
        total["start"] += start
        total["run"] += run
        total["min_instances" if worker.kept else "idle"] += life - start - run
        total["rounding"] += up_us(life, step_s) - life
    return {phase: us for phase, us in total.items() if us}


def _lambda(row: PriceRow, resources: Resources, workers: list[WorkerLife], requests: int) -> dict[str, Decimal]:
    kept = [w for w in workers if w.kept or row.rule == "provisioned-concurrency"]
    rest = [w for w in workers if not (w.kept or row.rule == "provisioned-concurrency")]
    out: dict[str, Decimal] = {}
    if row.rule == "per-invocation":
        start, run = (sum(to_us(s) for s in column) // 1000 for column in ([w.starting_s for w in rest], [w.busy_s for w in rest]))
        out = per_invocation.usd(row, resources, billed_ms=start + run, start_ms=start, requests=requests)
        requests = 0
    for worker in kept:
        on_us, busy_ms = to_us(worker.end_s - worker.start_s), to_us(worker.busy_s) // 1000
        for phase, usd in provisioned.usd(row, resources, environments=1, on_us=on_us, billed_ms=busy_ms, requests=requests).items():
            out[phase] = out.get(phase, Decimal(0)) + usd
        requests = 0
    return out
