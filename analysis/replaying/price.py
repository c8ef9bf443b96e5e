"""What a replayed setting would have cost: its workers' lives through the billing functions that measured trials go through."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import numpy as np

from analysis.billing.lives import WorkerLife, lives_cost
from analysis.prices import PriceBook
from analysis.replaying.result import US_PER_S, ReplayResult
from analysis.replaying.settings import Setting
from analysis.whatif import Price
from trial.config import Resources

DAY_S = 86_400


def pricing(book: PriceBook, endpoint: Any) -> Price:
    """USD per day of any setting of this endpoint; a dedicated option is priced with its own row, None where there is no row."""

    def price(result: ReplayResult, setting: Setting) -> Decimal | None:
        name, resources = (setting.dedicated.price, Resources()) if setting.dedicated is not None else (endpoint.price, endpoint.resources)
        if name is None:
            return None
        span_s = (result.horizon_us[1] - result.horizon_us[0]) / US_PER_S
        served = int(np.count_nonzero(~result.rejected))
        spent = sum(lives_cost(book.row(name), resources, worker_lives(result), served, span_s).values(), Decimal(0))
        return spent * DAY_S / Decimal(span_s)

    return price


def worker_lives(result: ReplayResult) -> list[WorkerLife]:
    """The replayed workers as the billing functions take them; what min_workers keeps is billed as kept, whoever it is."""
    floor = result.policy.min_workers if isinstance(result.policy.min_workers, int) else 0
    return list(_with_floor(result, floor) if floor else _as_they_were(result))


def _as_they_were(result: ReplayResult) -> Iterator[WorkerLife]:
    w = result.workers
    starting = w.ready_us - w.started_us
    columns = (w.started_us, w.busy_us - starting, w.ended_us, starting)
    for start, busy, end, load, kept in zip(*((c / US_PER_S).tolist() for c in columns), w.pinned.tolist(), strict=True):
        yield WorkerLife(start, busy, end, load, kept)


def _with_floor(result: ReplayResult, floor: int) -> Iterator[WorkerLife]:
    """
    `floor` workers from one end of the horizon to the other, and everything beyond them in equal lives.

    With newest-idle-first routing it is never one worker that stays: the longest idle stops when one too many is alive. The bill
    does not care who stays, and the kept ones take the first requests in progress at any moment.
    """
    w = result.workers
    start, end = result.horizon_us
    kept_busy = _time_above(result, floor)
    for busy in kept_busy:
        yield WorkerLife(start / US_PER_S, busy / US_PER_S, end / US_PER_S, 0.0, True)
    lives = int(np.count_nonzero(~w.pinned)) - floor
    if lives > 0:
        starting = int((w.ready_us - w.started_us)[~w.pinned].sum())
        alive = int(w.alive_us[~w.pinned].sum()) - floor * (end - start)
        busy = max(0, int(w.busy_us[~w.pinned].sum()) - starting - sum(kept_busy))
        each = [us / lives / US_PER_S for us in (busy, max(alive, busy + starting), starting)]
        yield from [WorkerLife(0.0, each[0], each[1], each[2])] * lives
    yield from (life for life in _as_they_were(result) if life.kept)


def _time_above(result: ReplayResult, levels: int) -> list[int]:
    """Microseconds with more than 0, 1, ... requests being served, one request per worker slot."""
    began = (result.arrival_us + result.waited_us)[~result.rejected]
    done = began + result.service_us[~result.rejected]
    moments = np.concatenate([began, done])
    order = np.argsort(moments, kind="stable")
    progress = np.cumsum(np.concatenate([np.ones(len(began), np.int64), np.full(len(done), -1)])[order])[:-1]
    lengths = np.diff(moments[order])
    per_worker = result.policy.concurrency
    return [int(lengths[progress > level * per_worker].sum()) for level in range(levels)]
