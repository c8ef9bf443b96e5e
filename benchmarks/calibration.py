"""
The verdict's error rates: false alarms, contradictions, wrong direction, power, flags, and how long it takes to measure them.

    python benchmarks/calibration.py [--trials 2000] [--seed 1] [--json]
    python benchmarks/calibration.py --trace lora_request_trace.csv [--write analysis/judging/streams.txt]

With --trace, real arrivals instead of simulated ones: a CSV with one row per request, its time in `gmt_create`, how long it took in
`exec_time_seconds` and its model in `checkpoint_model_version_id` (the columns of GenTD26, https://github.com/alibaba/clusterdata,
cluster-trace-v2026-GenAI). Each model is served by workers of its own, one request at a time, the newest idle one first; a request that
finds none idle starts one, and is cold. Its days are drawn again in blocks of a week, in two ways: at the idle time-out that makes
exactly the rate wanted, all models together (what "R" is) and each alone; and at each round idle time-out that makes a twentieth to
three fifths of its requests cold. --write keeps the models' streams as "R" reads them.
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np

from analysis.judging.calibration import OWN, RESAMPLED, CalibrationResult, calibrate, calibrate_days, calibrate_streams
from analysis.judging.scenarios import SCENARIOS
from analysis.judging.streams import Stream
from analysis.replaying.identity import ages_us
from trial.config import TrialSection
from trial.summary import DaySummary

TIMEOUTS_S = (60, 120, 300, 600)
LEAST_REQUESTS, LEAST_DAYS = 600, 14
COLD = (0.05, 0.6)
HOLDS = ("A", "B", "W", RESAMPLED)
HEADER = """\
# Real streams of requests, as "R" of `fortnight calibrate` draws from them: every model of the GenTD26 trace with at least 600 requests
# on at least 14 whole days. One line a model: its name, how many days, and one character a request: the number of its day (0 to 9, a to
# z), in the order of how long the newest idle worker had been idle when it came, longest first, none idle yet before all. So the first
# fifth of the characters are the cold hits at the idle time-out that makes a fifth of the requests cold, on workers that take one
# request at a time for as long as the trace says it ran.
#
# Computed from https://github.com/alibaba/clusterdata, cluster-trace-v2026-GenAI, lora_request_trace.csv, which is not in here, by
#     python benchmarks/calibration.py --trace lora_request_trace.csv --write analysis/judging/streams.txt
# The trace is of Yanying Lin et al., "Understanding Diffusion Model Serving in Production: A Top-Down Analysis of Workload, Scheduling,
# and Resource Efficiency", ACM Symposium on Cloud Computing (SoCC '25).
"""


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--trace", type=Path)
    parser.add_argument("--write", type=Path)
    asked = parser.parse_args(argv)
    began = time.perf_counter()
    if asked.trace:
        served = list(read(asked.trace))
        streams = [Stream.of_ages(s.name, idle_us=s.idle_us, day=s.day, days=s.days) for s in served]
        if asked.write:
            asked.write.write_text(HEADER + "".join(f"{s.line()}\n" for s in streams), encoding="ascii", newline="\n")
        results = [*at_rates(streams, trials=asked.trials, seed=asked.seed), *at_timeouts(served, trials=asked.trials, seed=asked.seed)]
    else:
        results = simulated(asked.trials, asked.seed)
    seconds = time.perf_counter() - began
    if asked.json:
        print(json.dumps({"seconds": round(seconds, 1), "results": [r.to_json() for r in results]}, indent=1))
        return 0
    print("\n".join(lines(results)))
    if own := [r for r in results if r.scenario == OWN]:
        high = [p.correct[-1] for r in own for p in r.rates if p.rate == 0.3]
        print(
            f"\nmeans over {len(own)} round time-outs: false alarms {np.mean([r.false_alarm[-1] for r in own]):.1%}, contradictions "
            f"{np.mean([r.contradiction for r in own]):.2%}, right at half more {np.mean(high):.0%}; median design effect "
            f"{np.median([r.design_effect for r in own]):.1f}"
        )
    print(f"\n{len(results)} x {asked.trials} trials, seed {asked.seed}, in {seconds:.1f} s")
    return 0


def simulated(trials: int, seed: int) -> list[CalibrationResult]:
    """Every scenario, those on which the method holds first."""
    others = [code for code in SCENARIOS if code not in HOLDS]
    return [calibrate(code, trials=trials, seed=seed) for code in (*HOLDS, *others)]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Served:
    """One model's requests on whole days: the day of each, from 0, and how long the newest idle worker had been idle."""

    name: str
    days: int
    day: np.ndarray
    idle_us: np.ndarray


def read(path: Path) -> Iterator[Served]:
    """The models of a trace with enough requests and days, by name; the same for the same file."""
    requests = defaultdict(list)
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            at = datetime.fromisoformat(row["gmt_create"]).replace(tzinfo=UTC).timestamp()
            requests[row["checkpoint_model_version_id"]].append((at, float(row["exec_time_seconds"] or 0)))
    for name, rows in sorted(requests.items()):
        at, service = np.array(rows).T
        # The times are whole seconds: without a fraction, many requests share an idle time, and no time-out makes just the rate wanted.
        at = at + np.random.default_rng([26, *name.encode()]).random(len(at))
        order = np.argsort(at)
        at, service = at[order], service[order]
        day = (at // 86400).astype(np.int64)
        whole, days = (day > day[0]) & (day < day[-1]), int(day[-1] - day[0]) - 1
        if name and whole.sum() >= LEAST_REQUESTS and days >= LEAST_DAYS:
            # From the first request on, so that the whole days find the workers of the day before.
            idle_us = ages_us(((at - at[0]) * 1e6).astype(np.int64), np.maximum(1, service * 1e6).astype(np.int64)).idle_us
            yield Served(name=name, days=days, day=day[whole] - day[0] - 1, idle_us=idle_us[whole])


def at_rates(streams: list[Stream], *, trials: int, seed: int) -> list[CalibrationResult]:
    """All streams as one kind of traffic, and each alone."""
    kinds = {f"real: {len(streams)} streams": streams, **{f"real: {s.name}": [s] for s in streams}}
    return [calibrate_streams(of, name=name, trials=trials, seed=seed) for name, of in kinds.items() if of]


def at_timeouts(served: list[Served], *, trials: int, seed: int) -> list[CalibrationResult]:
    """One result per model and round idle time-out."""
    results = []
    trial = TrialSection(name="trace", start=date(1970, 1, 1), cold_hit_threshold=0.2)
    for of in served:
        for timeout in TIMEOUTS_S:
            cold = of.idle_us >= timeout * 1e6
            if COLD[0] <= cold.mean() <= COLD[1]:
                days = [
                    DaySummary(
                        endpoint=f"{of.name} {timeout} s",
                        platform="export",
                        days=(trial.start + timedelta(days=n),),
                        requests=int((of.day == n).sum()),
                        cold_hits=int(cold[of.day == n].sum()),
                    )
                    for n in range(of.days)
                ]
                results.append(calibrate_days(days, trial=trial, trials=trials, seed=seed))
    return results


def lines(results: list[CalibrationResult]) -> list[str]:
    """A table: percentages of all trials, but for the flags, which are of the false alarms."""
    head = (
        f"{'traffic':62s}{'deff':>6s}{'false':>7s}{'contra':>8s}{'flagged':>9s}{'Wilson':>8s}{'plain':>7s}  decided rightly by the last day"
    )
    rows = [head]
    for r in results:
        flagged = "-" if r.flagged_false_alarms is None else f"{100 * r.flagged_false_alarms:.0f}"
        power = "  ".join(f"{100 * p.rate:.0f} %: {100 * p.correct[-1]:.0f}" for p in r.rates)
        rows.append(
            f"{f'{r.scenario} {r.name}':62s}{r.design_effect:6.1f}{100 * r.false_alarm[-1]:7.1f}{100 * r.contradiction:8.2f}{flagged:>9s}"
            f"{100 * r.compared['Wilson interval'][-1]:8.1f}{100 * r.compared['plain threshold'][-1]:7.1f}  {power}"
        )
    return rows


if __name__ == "__main__":
    raise SystemExit(main())
