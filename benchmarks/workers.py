"""
The same days collected on one Dask worker and on two, in pairs: seconds, and how many times faster two are.

    python -m benchmarks.workers [--lines 200000] [--days 3] [--endpoints 2] [--pairs 2]

Real clusters of processes, the real flow with Prefect's tasks, the pages of benchmarks/collecting.py as the source. Workers have
imported what they use before the clock starts. Only a quiet machine shows a ratio: whoever else runs takes the second core, so
how many cores were left beside the run of two is said.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks.collecting import clients, write_pages

ENDPOINT = """
[[endpoints]]
name = "bench-{number}"
platform = "aws-lambda"
function = "summariser"
region = "eu-west-1"
"""
TOML = """[trial]
name = "workers"
start = 2026-11-02
days = {days}

[store]
url = "{store}"

[engine]
dask = "{scheduler}"
"""


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, default=200_000, help="a day of each endpoint")
    parser.add_argument("--days", type=int, default=3)
    parser.add_argument("--endpoints", type=int, default=2)
    parser.add_argument("--pairs", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="fortnight-bench-") as name:
        folder = Path(name)
        os.environ["PREFECT_HOME"] = str(folder / "prefect")
        write_pages(folder / "pages", lines=asked.lines, cold=0.01, days=asked.days)
        pairs = [measured_pair(folder, days=asked.days, endpoints=asked.endpoints) for _ in range(asked.pairs)]
    if asked.json:
        print(json.dumps(pairs, indent=1))
        return 0
    print(f"{asked.endpoints} x {asked.days} days of {asked.lines:,} lines")
    for one, two, others in pairs:
        print(
            f"  one worker {one:6.1f} s   two workers {two:6.1f} s   {one / two:.2f} times faster, others took {others:.2f} cores meanwhile"
        )
    return 0


def measured_pair(folder: Path, *, days: int, endpoints: int) -> tuple[float, float, float]:
    """Seconds of one worker and of two, and the cores that other processes used while the two ran."""
    one, _ = seconds(folder, workers=1, days=days, endpoints=endpoints)
    two, others = seconds(folder, workers=2, days=days, endpoints=endpoints)
    return one, two, others


def cpu_seconds() -> tuple[float, float]:
    """Of the whole machine, and of this process with all it started."""
    import psutil

    whole = psutil.cpu_times()
    me = psutil.Process()
    mine = [process.cpu_times() for process in (me, *me.children(recursive=True))]
    return whole.user + whole.system + whole.nice, sum(t.user + t.system for t in mine)


def seconds(folder: Path, *, workers: int, days: int, endpoints: int) -> tuple[float, float]:
    """One collection into a new store, and how many cores others used meanwhile."""
    from distributed import Client, LocalCluster

    store, path = folder / f"store-{workers}", folder / "trial.toml"
    with LocalCluster(n_workers=workers, threads_per_worker=1, host="127.0.0.1", dashboard_address=None) as cluster:
        text = TOML.format(days=days, store=store, scheduler=cluster.scheduler_address)
        path.write_text(text + "".join(ENDPOINT.format(number=n) for n in range(endpoints)))
        with Client(cluster) as client:
            client.run(warm)
        took, others = collect(path)
    shutil.rmtree(store)
    return took, others


def warm() -> None:
    import flows.daily  # noqa: F401
    from expectations import invocations
    from trial import schema

    invocations.check(schema.invocations_table([]))


def collect(path: Path) -> tuple[float, float]:
    from prefect import flow, task
    from prefect.cache_policies import NO_CACHE

    from flows import collecting, daily, engine
    from trial import config
    from trial.store import Store

    trial = config.load(path)
    store = Store.at(trial.store_url)
    now = trial.calendar.window(trial.calendar.all_days()[-1]).end + timedelta(hours=12)
    pull = task(pull_pages, cache_policy=NO_CACHE)

    @flow(name="bench", validate_parameters=False)
    def run() -> tuple[float, float]:
        plans = {e.name: collecting.plan(trial, store, e, now=now) for e in trial.endpoints}
        began, before = time.perf_counter(), cpu_seconds()
        failures = engine.collect(trial, plans, at=now, pull=pull, compute=daily.compute)
        assert failures == []
        took, after = time.perf_counter() - began, cpu_seconds()
        whole, mine = (b - a for a, b in zip(before, after, strict=True))
        return took, (whole - mine) / took

    found = run()
    assert all(len(store.days(e.name)) == trial.trial.days for e in trial.endpoints)
    return found


def pull_pages(trial: Any, endpoint: Any, span: Any, now: datetime) -> Any:
    from flows import collecting

    return collecting.pull_days(trial, endpoint, span, now=now, open_clients=pages)


@contextlib.contextmanager
def pages(_endpoint: Any, trial: Any, *, now: datetime) -> Iterator[Any]:  # noqa: ARG001 (the shape of wiring.clients)
    yield clients(trial.folder / "pages")


if __name__ == "__main__":
    from flows import quiet

    quiet.settle()
    sys.exit(main())
