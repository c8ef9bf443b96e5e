"""The workers' lives as far as their lines show them: first jobs, idle gaps, first and last seen."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from collectors.runpod.cold import IDLE_TIMEOUT_S
from collectors.runpod.facts import HandlerLine, SdkLine
from trial.records import Instance


@dataclass(slots=True)
class _Life:
    first_seen_at: datetime
    last_seen_at: datetime
    started_at: datetime | None
    init_ms: float | None = None


class Workers:
    """Mutable bookkeeping of one assembly; it grows with the number of worker processes, not of requests."""

    def __init__(self, endpoint: Any) -> None:
        self._endpoint = endpoint.name
        self._idle_timeout_s = endpoint.idle_timeout_s or IDLE_TIMEOUT_S
        self._since: datetime | None = None
        self._lives: dict[tuple[str, datetime | None], _Life] = {}
        self._busy_until: dict[str, datetime] = {}
        self._fresh: dict[str, bool] = {}  # stream -> its banner was seen and no job since

    def watch(self, at: datetime) -> None:
        """Tells from when on the facts reach: what began before that was not seen beginning."""
        if self._since is None:
            self._since = at

    def banner(self, fact: SdkLine) -> None:
        self._fresh[fact.stream] = True

    def first_after_banner(self, stream: str) -> bool | None:
        """Whether a starting job is the first since the SDK's banner in its stream; None where no banner was seen."""
        fresh = self._fresh.get(stream)
        if fresh:
            self._fresh[stream] = False
        return fresh

    def first_of_process(self, fact: HandlerLine) -> bool | None:
        """Whether this is the first job of its process; None where the process is older than what was read."""
        process, worker = fact.fields.get("process_start"), fact.fields.get("instance", "")
        if process is None:
            return None
        if (worker, process) in self._lives:
            return False
        return True if self._since is None or process >= self._since else None

    def served(self, worker: str | None, begin: datetime, end: datetime, *, process: datetime | None = None) -> float | None:
        """
        Notes that `worker` was busy in [begin, end].

        Returns:
            how long it had been idle before, in s; inf where it was not seen before; None where nothing can be said.
        """
        life = self._lives.get((worker or "", process))
        if life is None:
            born = min(begin, process) if process else begin
            life = self._lives[worker or "", process] = _Life(first_seen_at=born, last_seen_at=max(begin, end), started_at=process)
            if process is not None and self._since is not None and self._since <= process <= begin:
                life.init_ms = (begin - process).total_seconds() * 1000
        else:
            life.first_seen_at, life.last_seen_at = min(life.first_seen_at, begin), max(life.last_seen_at, end)
        if worker is None:
            return None
        before = self._busy_until.get(worker)
        self._busy_until[worker] = max(end, before) if before else end
        if before is not None:
            return max(0.0, (begin - before).total_seconds())
        watched_s = (begin - self._since).total_seconds() if self._since else 0.0
        return math.inf if watched_s >= self._idle_timeout_s else None

    def instances(self) -> Iterator[Instance]:
        """One per worker process, by id and start; a frozen and resumed FlashBoot worker is one process."""
        for (worker, process), life in sorted(self._lives.items(), key=lambda item: (item[0][0], item[1].first_seen_at)):
            if worker:
                yield Instance(
                    endpoint=self._endpoint,
                    id=worker,
                    first_seen_at=life.first_seen_at,
                    last_seen_at=life.last_seen_at,
                    started_at=process,
                    init_ms=life.init_ms,
                )
