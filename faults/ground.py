"""A small served world and the collections made of it: what every fault is tried on."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa

from expectations.result import SuiteResult
from faults.wire import Bend, bent
from flows import collecting, results, wiring
from sandbox.faults import NO_FAULTS, Faults
from sandbox.world import Addresses, World, build_world
from trial import config
from trial.config import Trial
from trial.errors import FortnightError, Transient
from trial.store import Store

ROOT = Path(__file__).resolve().parents[1]
START = date(2026, 11, 2)
# Prefect's own: flows.daily retries a pull four times.
TRIES = 5
# After a day's end: when the daily run first reads it, with a part of its lines still to come, and when all have come and it is
# read again.
EARLY, ARRIVED = timedelta(hours=4), timedelta(hours=40)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """
    Args:
        folder: the world's; stores stand in it by name.
    """

    world: World
    folder: Path
    addresses: Addresses

    @property
    def now(self) -> datetime:
        return self.world.clock.now

    @contextlib.contextmanager
    def early(self) -> Iterator[datetime]:
        """Inside, it is the time of the first daily run after the world's end."""
        late = self.now
        self.world.set_now(late - ARRIVED + EARLY)
        try:
            yield self.now
        finally:
            self.world.set_now(late)

    def trial(self, name: str, *, store: Path | None = None, addresses: Any = None, tracking: str | None = None) -> Trial:
        """A trial of the world with a store of its own, read through `addresses`."""
        return config.load(self.toml(name, store=store, addresses=addresses, tracking=tracking))

    def toml(self, name: str, *, store: Path | None = None, addresses: Any = None, tracking: str | None = None) -> Path:
        text = self.world.trial_toml(addresses or self.addresses, self.folder)
        text = text.replace(json.dumps(str(self.folder / "store")), json.dumps(str(store or self.folder / name)))
        if tracking is not None:
            text = text.replace(json.dumps(f"sqlite:///{(self.folder / 'mlflow.db').resolve()}"), json.dumps(tracking))
        path = self.folder / f"{name}.toml"
        path.write_text(text)
        return path


@contextlib.contextmanager
def ground(folder: Path, *, seed: int = 3, days: int = 1, scale: float = 0.2, faults: Faults = NO_FAULTS, **world: Any) -> Iterator[Ground]:
    """A world's servers without any fault but those asked for; its clock stands ARRIVED after its end."""
    built = build_world(seed=seed, start=START, days=days, scale=scale, **world)
    built.set_now(built.clock.now + ARRIVED)
    before = {name: os.environ.get(name) for name in built.environment()}
    os.environ.update(built.environment())
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with built.serve(folder, faults=faults) as addresses:
            yield Ground(world=built, folder=folder, addresses=addresses)
    finally:
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})


@contextlib.contextmanager
def disturbed(made: Ground, bend: Bend) -> Iterator[Any]:
    """The same servers behind something that bends their answers."""
    with bent(made.addresses, bend) as addresses:
        yield addresses


@dataclass(slots=True, kw_only=True)
class Run:
    """What a collection did; mutable while it runs."""

    failures: list[FortnightError] = field(default_factory=list)
    pulls: int = 0


def passes(table: pa.Table) -> SuiteResult:
    """Stands for Great Expectations, which is not what is tried here and takes seconds to import."""
    return SuiteResult(suite="none", rows=table.num_rows, rules=())


def collect(
    trial: Trial,
    *,
    now: datetime,
    days: list[date] | None = None,
    only: Collection[str] = (),
    open_clients: collecting.OpenClients | None = None,
    tries: int = TRIES,
    on_pull: Callable[[], None] = lambda: None,
) -> Run:
    """As the daily flow does it, without Prefect: transient failures are tried again, other ones end their endpoint's part."""
    run, store = Run(), Store.at(trial.store_url)
    try:
        results.register(trial, store, now=now)
    except FortnightError as exc:
        run.failures.append(exc)
        return run
    for endpoint in trial.endpoints:
        if only and endpoint.name not in only:
            continue
        try:
            for span in collecting.plan(trial, store, endpoint, now=now, days=days):
                pulled = _pulled(trial, endpoint, span, now, open_clients or hurried, tries, run)
                on_pull()
                for day in span:
                    collecting.compute_day(trial, endpoint, day, pulled.usage[day], now=now, check=passes)
        except FortnightError as exc:
            run.failures.append(exc)
    return run


def _pulled(trial: Trial, endpoint: Any, span: tuple[date, ...], now: datetime, open_clients: Any, tries: int, run: Run) -> Any:
    for attempt in range(1, tries + 1):
        run.pulls += 1
        try:
            return collecting.pull_days(trial, endpoint, span, now=now, open_clients=open_clients)
        except Transient:
            if attempt == tries:
                raise
    raise AssertionError("unreachable: the last attempt returns or raises")


@contextlib.contextmanager
def hurried(endpoint: Any, trial: Trial, *, now: datetime, timeout_s: float | None = None) -> Iterator[Any]:
    """The real clients, with pauses of hundredths of seconds in place of seconds."""
    from collectors import google_api, pace

    with wiring.clients(endpoint, trial, now=now) as clients:
        if endpoint.platform == "aws-lambda":
            clients = replace(clients, pace=pace.Pace(per_second=1000.0))
        elif endpoint.platform == "cloud-run":
            quick = google_api.Pace(calls=100_000, base_s=0.02, cap_s=0.1, timeout_s=timeout_s or 10.0)
            clients = replace(clients, logging_pace=quick, monitoring_pace=quick)
        yield clients
