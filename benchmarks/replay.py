"""
Replay speed on one core: the event loop, the identity, a sweep of 30 settings, and SimFaaS on the same arrivals.

    python benchmarks/replay.py [--arrivals 7000000] [--seed 1] [--json]

SimFaaS (https://pypi.org/project/simfaas/) is measured where FORTNIGHT_SIMFAAS_PYTHON names the python of an environment that has it:

    python -m venv /tmp/simfaas && /tmp/simfaas/bin/pip install simfaas
    FORTNIGHT_SIMFAAS_PYTHON=/tmp/simfaas/bin/python python benchmarks/replay.py

Both are given the same arrivals and service times, and must give the same cold starts and average workers. Seconds are CPU seconds of the
process, of the fastest of three runs; the JSON has wall-clock seconds beside them.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from analysis.replay import replay_us
from analysis.replaying import identity as replay_identity
from analysis.replaying.identity import sweep
from analysis.replaying.policies import Policy

DAY_MS = 86_400_000.0
SERVICES_MS = (50.0, 1_000.0, 30_000.0)
TIMEOUTS_S = [30.0, 60.0, 120.0, 300.0, 450.0, 600.0, 750.0, 900.0, 1800.0, 3600.0]
FLOORS = [0, 1, 3]
NUMBA = importlib.util.find_spec("numba") is not None
PEER = Path(__file__).with_name("simfaas_peer.py")


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arrivals", type=int, default=7_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args(argv)
    report: dict[str, Any] = {"python": sys.version.split()[0], "numpy": np.__version__, "arrivals": asked.arrivals}
    report["numba"] = f"numba {version('numba')}" if NUMBA else "no numba: `pip install fortnight[fast]` for the compiled loop"
    if NUMBA:
        warm = np.arange(10) * 1_000_000
        replay_us(warm, warm + 1, Policy(), cold_extra_us=np.broadcast_to(np.int64(0), warm.shape), compiled=True)
    report["ours"] = [ours(asked.arrivals, service, asked.seed) for service in SERVICES_MS]
    report["peak_memory_mb"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    report["simfaas"] = beside_simfaas(os.environ.get("FORTNIGHT_SIMFAAS_PYTHON"), asked.seed)
    print(json.dumps(report, indent=1) if asked.json else "\n".join(lines(report)))
    return 0


def fortnight(n: int, service_ms: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Diurnal Poisson arrivals (plus or minus 90 %) over 14 days, and lognormal service times."""
    rng = np.random.default_rng(seed)
    hours = np.arange(14 * 24)
    weights = 1 + 0.9 * np.sin(2 * np.pi * hours / 24)
    counts = rng.multinomial(n, weights / weights.sum())
    arrival = np.concatenate([np.sort(rng.random(k)) + h for h, k in zip(hours, counts, strict=True)]) * DAY_MS / 24
    return arrival, rng.lognormal(np.log(service_ms), 0.3, n)


def ours(n: int, service_ms: float, seed: int) -> dict[str, Any]:
    arrival, service = fortnight(n, service_ms, seed)
    at, took = (np.rint(column * 1000).astype(np.int64) for column in (arrival, service))
    del arrival, service
    policy, none = Policy(idle_timeout_s=600), np.broadcast_to(np.int64(0), at.shape)
    result, loop = timed(lambda: replay_us(at, took, policy, cold_extra_us=none, compiled=False))
    cold, peak = result.cold.copy(), result.workers.peak
    del result
    compiled = None
    if NUMBA:
        result, seconds = timed(lambda: replay_us(at, took, policy, cold_extra_us=none, compiled=True))
        compiled = {**speed(n, seconds), "differing_flags": int((result.cold != cold).sum())}
        del result
    measured, identity = timed(lambda: replay_identity.ages_us(at, took))
    flags = measured.cold(idle_timeout_s=600)
    rows, swept = timed(lambda: sweep(replay_identity.ages_us(at, took), idle_timeouts_s=TIMEOUTS_S, floors=FLOORS))
    return {
        "service_ms": service_ms,
        "cold": int(cold.sum()),
        "peak_workers": peak,
        "differing_flags": int((flags != cold).sum()),
        "event_loop": speed(n, loop),
        "event_loop_compiled": compiled,
        "identity": speed(n, identity),
        "sweep": {"settings": len(rows), "cpu_s": round(swept[0], 2), "wall_s": round(swept[1], 2)},
    }


def timed(run: Callable[[], Any], *, times: int = 3) -> tuple[Any, tuple[float, float]]:
    """What it returns, and the CPU and wall-clock seconds of the fastest of `times` runs: the others were disturbed."""
    best = (math.inf, math.inf)
    for _ in range(times):
        out = None  # the last result makes room for the next
        cpu, wall = time.process_time(), time.perf_counter()
        out = run()
        best = min(best, (time.process_time() - cpu, time.perf_counter() - wall))
    return out, best


def speed(n: int, seconds: tuple[float, float]) -> dict[str, float]:
    cpu, wall = seconds
    return {"million_per_cpu_s": round(n / cpu / 1e6, 2), "cpu_s": round(cpu, 2), "wall_s": round(wall, 2)}


def beside_simfaas(python: str | None, seed: int) -> list[dict[str, Any]] | str:
    if not python:
        return "skipped: set FORTNIGHT_SIMFAAS_PYTHON to a python that has simfaas"
    rng = np.random.default_rng(seed)
    # Its README's case at a tenth of its length, and a pool of some 330 workers, from the first request on.
    cases = (("README: 0.9/s, 1.991 s", 0.9, 1.991, 90_000), ("330 workers: 140/s, 2 s", 140.0, 2.0, 20_000))
    return [_one_case(python, name, rng.exponential(1 / rate, n), rng.exponential(service, n)) for name, rate, service, n in cases]


def _one_case(python: str, name: str, gaps_s: np.ndarray, service_s: np.ndarray) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "arrivals.npz"
        # Whole microseconds for both, so that neither rounds what the other does not.
        arrival_us, service_us = np.rint(np.cumsum(gaps_s) * 1e6).astype(np.int64), np.rint(service_s * 1e6).astype(np.int64) + 1
        np.savez(path, arrival_us=arrival_us, service_us=service_us)
        done = subprocess.run([python, str(PEER), str(path)], capture_output=True, text=True, timeout=900, check=True)
    theirs = json.loads(done.stdout)
    extra = np.broadcast_to(np.int64(253_000), arrival_us.shape)
    same = Policy(idle_timeout_s=600, routing="newest-created")
    check = replay_us(arrival_us, service_us, same, cold_extra_us=extra)
    theirs_per_s = theirs["requests"] / theirs["cpu_s"]
    flags = replay_identity.cold_flags_us(arrival_us, service_us, extra, idle_timeout_s=600)
    policy = Policy(idle_timeout_s=600)
    ways: dict[str, Callable[[], Any]] = {
        "event loop": lambda: replay_us(arrival_us, service_us, policy, cold_extra_us=extra, compiled=False),
        "identity, cold hits alone": lambda: replay_identity.cold_flags_us(arrival_us, service_us, extra, idle_timeout_s=600),
    }
    if NUMBA:
        ways["event loop with numba"] = lambda: replay_us(arrival_us, service_us, policy, cold_extra_us=extra, compiled=True)
    mine = {name: _speed_of(run, len(arrival_us)) for name, run in ways.items()}
    return {
        "case": name,
        "requests": len(arrival_us),
        "cold": {"fortnight": check.cold_hits, "identity": int(flags.sum()), "simfaas": theirs["cold"]},
        "alive_mean": {"fortnight": round(check.mean_workers()["alive_mean"], 6), "simfaas": round(theirs["alive_mean"], 6)},
        "peak_workers": check.workers.peak,
        "simfaas_requests_per_cpu_s": round(theirs_per_s),
        "requests_per_cpu_s": {how: round(rate) for how, rate in mine.items()},
        "times_faster": {how: round(rate / theirs_per_s) for how, rate in mine.items()},
    }


def _speed_of(run: Callable[[], Any], requests: int) -> float:
    """Requests per CPU second, over at least a million of them; compiling is not counted, as SimFaaS's import is not."""
    run()
    repeats = max(1, 1_000_000 // requests)
    _, seconds = timed(lambda: [run() for _ in range(repeats)])
    return requests * repeats / seconds[0]


def lines(report: dict[str, Any]) -> list[str]:
    out = [
        f"{report['arrivals']:,} arrivals over 14 days, one core, Python {report['python']}, NumPy {report['numpy']}, {report['numba']}",
        "",
    ]
    out.append(
        f"{'service':>9} {'workers':>8} {'cold':>8} {'differ':>7} {'event loop':>12} {'numba':>12} {'identity':>12} {'30 settings':>12}"
    )
    for row in report["ours"]:
        compiled = row["event_loop_compiled"]
        differ = row["differing_flags"] + (compiled["differing_flags"] if compiled else 0)
        speeds = [row["event_loop"], compiled, row["identity"]]
        shown = "".join(f" {s['million_per_cpu_s']:>8.1f} M/s" if s else f" {'-':>12}" for s in speeds)
        begin = f"{row['service_ms'] / 1000:>7g} s {row['peak_workers']:>8,} {row['cold']:>8,} {differ:>7}"
        out.append(f"{begin}{shown} {row['sweep']['cpu_s']:>10.2f} s")
    out += ["", f"peak memory {report['peak_memory_mb']:,} MB", ""]
    if isinstance(report["simfaas"], str):
        return [*out, f"SimFaaS {report['simfaas']}"]
    for case in report["simfaas"]:
        cold, alive = case["cold"], case["alive_mean"]
        out.append(f"{case['case']}, {case['requests']:,} requests: SimFaaS {case['simfaas_requests_per_cpu_s']:,} requests/s")
        out += [
            f"  {how}: {rate:,} requests/s, {case['times_faster'][how]:,} times faster" for how, rate in case["requests_per_cpu_s"].items()
        ]
        out.append(
            f"  cold {cold['fortnight']:,}, by the identity {cold['identity']:,}, SimFaaS {cold['simfaas']:,};"
            f" workers alive {alive['fortnight']} and {alive['simfaas']};"
            f" at most {case['peak_workers']}"
        )
    return out


if __name__ == "__main__":
    raise SystemExit(main())
