"""
A large trial's verdict and report from the store, in seconds and peak memory.

    python -m benchmarks.scale [--requests 500000] [--days 14]

One Lambda endpoint with one dedicated option; its days are written to the store directly, in the contract columns, since collecting
them is measured by benchmarks/collecting.py. The verdict and the report are then made in a process of their own.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.collecting import peak_mb

START = date(2026, 11, 2)
DAY_US = 86_400_000_000
COLD = 0.02
BATCH = 50_000

TOML = """[trial]
name = "large"
start = 2026-11-02
days = {days}

[[endpoints]]
name = "large-lambda"
platform = "aws-lambda"
function = "summariser"
region = "eu-west-1"
price = "aws-lambda-x86"
resources = {{ memory_mb = 10240 }}

[[dedicated]]
name = "ml.g4dn.xlarge"
price = "sagemaker-ml.g4dn.xlarge"
"""


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=500_000, help="a day")
    parser.add_argument("--days", type=int, default=14)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args(argv)
    if asked.one:
        print(json.dumps(measure(asked.one, profile=asked.profile)))
        return 0
    with tempfile.TemporaryDirectory(prefix="fortnight-bench-") as folder:
        write_trial(Path(folder), requests=asked.requests, days=asked.days)
        command = [sys.executable, "-m", "benchmarks.scale", "--one", folder, *(["--profile"] if asked.profile else [])]
        done = subprocess.run(command, cwd=Path(__file__).parents[1], stdout=subprocess.PIPE, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    if asked.json:
        print(json.dumps(found, indent=1))
    else:
        print(f"{found['requests']:,} requests in {asked.days} days: {found['decision']}")
        for step in ("verdict", "report"):
            print(f"  {step:8} {found[step]['wall_s']:6.1f} s, {found[step]['cpu_s']:6.1f} cpu s, peak {found[step]['peak_mb']:,.0f} MB")
    return 0


def measure(folder: Path, *, profile: bool) -> dict[str, Any]:
    from benchmarks.collecting import profiling
    from flows import publishing, results
    from trial import config
    from trial.store import Store

    trial = config.load(folder / "trial.toml")
    now = trial.calendar.window(trial.calendar.all_days()[-1]).end + timedelta(hours=12)
    found: dict[str, Any] = {}
    with profiling(profile):
        begun, cpu = time.perf_counter(), time.process_time()
        result = results.gather(trial, Store.at(trial.store_url), now=now)
        found["verdict"] = {"wall_s": time.perf_counter() - begun, "cpu_s": time.process_time() - cpu, "peak_mb": peak_mb()}
        begun, cpu = time.perf_counter(), time.process_time()
        _, files = publishing.report(trial, now=now, pdf=False)
        found["report"] = {"wall_s": time.perf_counter() - begun, "cpu_s": time.process_time() - cpu, "peak_mb": peak_mb()}
    (endpoint,) = result.endpoints
    assert files.html.exists()
    assert endpoint.cost is not None and endpoint.whatifs
    return {**found, "requests": endpoint.verdict.requests, "decision": endpoint.verdict.decision}


def write_trial(folder: Path, *, requests: int, days: int) -> None:
    from analysis.summary import Summariser
    from trial.ledger import Ledger
    from trial.store import Store

    (folder / "trial.toml").write_text(TOML.format(days=days))
    store = Store.at(str(folder / "fortnight-data"))
    for number in range(days):
        day = START + timedelta(days=number)
        summariser = Summariser(endpoint="large-lambda", platform="aws-lambda", day=day, slo_ms=500.0)
        with store.day_writer("large-lambda", day) as writer:
            rows = invocations(day, requests, rng=np.random.default_rng(number))
            for first in range(0, requests, BATCH):
                batch = rows.slice(first, BATCH)
                writer.add("invocations", batch)
                summariser.add(batch)
            ledger = Ledger(endpoint="large-lambda", day=day, source="cloudwatch-logs", read=4 * requests, used={"report": 4 * requests})
            writer.add("instances", instances(rows))
            writer.commit(summariser.close(ledgers=[ledger], provider_requests=requests))


def invocations(day: date, n: int, *, rng: np.random.Generator) -> pa.Table:
    from trial import schema

    start_us = int(datetime.combine(day, datetime.min.time(), UTC).timestamp()) * 1_000_000
    weights = 1 + 0.9 * np.sin(2 * np.pi * np.arange(24) / 24)
    hours = rng.choice(24, n, p=weights / weights.sum())
    at = start_us + np.sort(((hours + rng.random(n)) * DAY_US / 24).astype(np.int64))
    took = np.round(rng.lognormal(5.5, 0.6, n), 2)
    cold = rng.random(n) < COLD
    init = np.round(rng.lognormal(8, 0.3, n), 2)
    columns: dict[str, Any] = {
        "platform": pa.array(np.full(n, "aws-lambda")),
        "endpoint": pa.array(np.full(n, "large-lambda")),
        "day": pa.array(np.full(n, day), type=pa.date32()),
        "request_id": pa.array([f"{number:08x}-0000-4000-8000-{day:%Y%m%d}0000" for number in range(n)]),
        "instance_id": pa.array([f"{day:%Y/%m/%d}/[$LATEST]{number:032x}" for number in np.cumsum(cold).tolist()]),
        "started_at": pa.array(at).cast(pa.timestamp("us", tz="UTC")),
        "init_ms": pa.array(init, mask=~cold),
        "handler_ms": pa.array(took * 0.95),
        "load_ms": pa.array(np.zeros(n)),
        "gpu_ms": pa.array(took * 0.8),
        "gpu_ms_source": pa.array(np.full(n, "cuda_event")),
        "billed_ms": pa.array(np.ceil(took + np.where(cold, init, 0))),
        "latency_ms": pa.array(took + np.where(cold, init, 0)),
        "cold": pa.array(np.where(cold, "cold", "warm")),
        "cold_reason": pa.array(np.where(cold, "init", ""), mask=~cold),
        "waited": pa.array(cold, mask=~cold),
        "status": pa.array(np.full(n, "ok")),
        "model": pa.array(np.full(n, "summariser-7b")),
        "synthetic": pa.array(np.zeros(n, dtype=bool)),
    }
    return pa.Table.from_arrays(
        [columns.get(f.name, pa.nulls(n, f.type)).cast(f.type) for f in schema.INVOCATIONS], schema=schema.INVOCATIONS
    )


def instances(rows: pa.Table) -> pa.Table:
    """One for each cold start, seen until its last request."""
    from trial import schema

    lives = rows.group_by("instance_id").aggregate([("started_at", "min"), ("started_at", "max"), ("init_ms", "max")])
    n = lives.num_rows
    columns: dict[str, Any] = {
        "endpoint": pa.array(np.full(n, "large-lambda")),
        "id": lives["instance_id"].combine_chunks(),
        "started_at": lives["started_at_min"].combine_chunks(),
        "ready_at": lives["started_at_min"].combine_chunks(),
        "first_seen_at": lives["started_at_min"].combine_chunks(),
        "last_seen_at": lives["started_at_max"].combine_chunks(),
        "start_reason": pa.array(np.full(n, "init")),
        "init_ms": lives["init_ms_max"].combine_chunks(),
    }
    return pa.Table.from_arrays([columns[f.name].cast(f.type) for f in schema.INSTANCES], schema=schema.INSTANCES)


if __name__ == "__main__":
    sys.exit(main())
