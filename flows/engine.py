"""
Where a collection runs and in which order: threads of this process, or a Dask cluster through prefect-dask.

A pull keeps an endpoint's raw events, a computation turns a day of them into what is stored. An endpoint's pulls follow each
other, since the API's quota is per account and two neighbouring days meet in the hour after midnight; everything else runs
side by side: endpoints, days, and a pull beside the computing of days that were pulled before. Both engines run the same
functions on the same raw events and store the same bytes. Only what a pull cost and a day's success come back.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime
from queue import SimpleQueue
from typing import Any
from urllib.parse import urlsplit

from flows import progress
from flows.collecting import Pulled
from trial.config import Trial
from trial.errors import ConfigError, FortnightError

log = logging.getLogger("fortnight")

# Each day that is being computed takes a few hundred MB, and threads share one interpreter: more only wait for each other.
THREADS_AT_MOST = 4
CONNECT_S = 10


@contextlib.contextmanager
def runner(trial: Trial, *, endpoints: int) -> Iterator[Any]:
    """
    The started Prefect task runner that [engine] asks for.

    Raises:
        ConfigError: Dask is asked for and not installed, or no scheduler answers at its address.
    """
    with _threads(endpoints) if trial.engine.dask is None else _dask(trial.engine.dask) as started:
        yield started


def _threads(endpoints: int) -> Any:
    from prefect.task_runners import ThreadPoolTaskRunner

    return ThreadPoolTaskRunner(max_workers=max(2, min(endpoints + 1, THREADS_AT_MOST)))


@contextlib.contextmanager
def _dask(where: str) -> Iterator[Any]:
    try:
        from prefect_dask import DaskTaskRunner
    except ImportError as exc:
        raise ConfigError(
            "Dask is not installed", where="`engine.dask`", do="Run `pip install 'fortnight[dask]'`, or leave it out"
        ) from exc
    if where == "local":
        # One thread each: parsing holds the interpreter. No dashboard: nothing listens that nobody asked for.
        cluster = {"n_workers": os.cpu_count() or 1, "threads_per_worker": 1, "host": "127.0.0.1", "dashboard_address": None}
        made = DaskTaskRunner(cluster_kwargs=cluster)
    else:
        made = DaskTaskRunner(address=where, client_kwargs={"timeout": CONNECT_S})
    with made:
        try:
            made.client  # noqa: B018 - connects
        except OSError as exc:
            do = 'Start it with `dask scheduler`, or set engine.dask to "local"'
            raise ConfigError(f"no scheduler answers at {where}", where="`engine.dask`", do=do) from exc
        with _one_prefect_server(where):
            yield made


def _one_prefect_server(where: str) -> contextlib.AbstractContextManager[Any]:
    """Workers on this machine report to the server that the flow started for itself; each would start another one otherwise."""
    from prefect.server.api.server import SubprocessASGIServer
    from prefect.settings import PREFECT_API_URL, temporary_settings

    started = SubprocessASGIServer()
    here = where == "local" or urlsplit(where).hostname in ("127.0.0.1", "localhost")
    if PREFECT_API_URL.value() or not here or not started.running:
        return contextlib.nullcontext()
    return temporary_settings({PREFECT_API_URL: started.api_url})


def collect(trial: Trial, plans: Mapping[str, list[tuple[date, ...]]], *, at: datetime, pull: Any, compute: Any) -> list[str]:
    """
    Pulls and computes every endpoint's days; an endpoint that fails stops no other.

    Args:
        plans: by endpoint, the spans of days to pull at once.
        pull, compute: the Prefect tasks.

    Returns:
        one line per endpoint that failed.

    Raises:
        ConfigError: as `runner`.
    """
    with runner(trial, endpoints=len(plans)) as started:
        lanes = _run(trial, plans, at=at, pull=pull, compute=compute, started=started)
    return [f"{lane.endpoint.name}: {lane.failure}" for lane in lanes if lane.failure]


def _run(trial: Trial, plans: Mapping[str, list[tuple[date, ...]]], *, at: datetime, pull: Any, compute: Any, started: Any) -> list[_Lane]:
    ended: SimpleQueue[tuple[Callable[[Any], None], Any]] = SimpleQueue()
    running = 0

    def submit(task: Any, then: Callable[[Any], None], **parameters: Any) -> None:
        nonlocal running
        running += 1
        future = started.submit(task, parameters=parameters)
        future.add_done_callback(lambda done: ended.put((then, done)))

    lanes = [_Lane(trial, trial.endpoint(name), spans, at=at, pull=pull, compute=compute, submit=submit) for name, spans in plans.items()]
    for lane in lanes:
        lane.pull_next()
    while running:
        then, future = ended.get()
        running -= 1
        then(future)
    return lanes


class _Lane:
    """One endpoint: its pulls one after the other, each day computed as soon as no pull to come touches it."""

    def __init__(
        self,
        trial: Trial,
        endpoint: Any,
        spans: list[tuple[date, ...]],
        *,
        at: datetime,
        pull: Any,
        compute: Any,
        submit: Callable[..., None],
    ) -> None:
        self._trial, self.endpoint, self._at = trial, endpoint, at
        self._pull, self._compute, self._submit = pull, compute, submit
        self._spans = list(spans)
        self._waiting: Pulled | None = None
        self.failure: FortnightError | None = None

    def pull_next(self) -> None:
        if self._spans and self.failure is None:
            span = self._spans.pop(0)
            self._submit(self._pull, self._pulled, trial=self._trial, endpoint=self.endpoint, span=span, now=self._at)
        else:
            self._compute_waiting()

    def _pulled(self, future: Any) -> None:
        pulled = self._result(future)
        # The next day's pull brings the hour after midnight as well, and may bring late lines of it.
        self._compute_waiting()
        if pulled is not None:
            self._waiting = pulled
            if self._trial.engine.dask is not None:
                progress.current().events(self.endpoint.name, pulled.meter.events)
            self.pull_next()

    def _compute_waiting(self) -> None:
        pulled, self._waiting = self._waiting, None
        if pulled is None:
            return
        for day in pulled.days:
            usage, then = pulled.usage[day], self._computed(day)
            self._submit(self._compute, then, trial=self._trial, endpoint=self.endpoint, day=day, usage=usage, now=self._at)

    def _computed(self, day: date) -> Callable[[Any], None]:
        def done(future: Any) -> None:
            self._result(future)
            if self._trial.engine.dask is not None:
                progress.current().day(self.endpoint.name, day)

        return done

    def _result(self, future: Any) -> Any:
        try:
            return future.result()
        except FortnightError as exc:
            if self.failure is None:
                self.failure = exc
                log.error("%s: %s", self.endpoint.name, exc)
            return None
