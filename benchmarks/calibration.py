"""
The verdict's error rates: false alarms, contradictions, wrong direction, power, flags, and how long it takes to measure them.

    python benchmarks/calibration.py [--trials 2000] [--seed 1] [--json]
    python benchmarks/calibration.py --trace lora_request_trace.csv

With --trace, real arrivals instead of simulated ones: a CSV with one row per request, its time in `gmt_create` and the model in
`checkpoint_model_version_id` (the columns of GenTD26, https://github.com/alibaba/clusterdata, cluster-trace-v2026-GenAI). Each model's
stream is drawn again in blocks of a week, in two ways: pooled as "R" is, each stream at the idle time-out that makes exactly the
rate wanted; and record by record at each round idle time-out that makes a twentieth to three fifths of its requests cold.
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np

from analysis.judging.calibration import OWN, RATES, RESAMPLED, CalibrationResult, Record, calibrate, calibrate_days, calibrate_records
from analysis.judging.scenarios import SCENARIOS
from trial.config import TrialSection
from trial.summary import DaySummary

TIMEOUTS_S = (60, 120, 300, 600)
LEAST_REQUESTS = 600
HOLDS = ("A", "B", "W", RESAMPLED)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--trace", type=Path)
    asked = parser.parse_args(argv)
    began = time.perf_counter()
    if asked.trace:
        results = [
            *traced_at_rates(asked.trace, trials=asked.trials, seed=asked.seed),
            *traced(asked.trace, trials=asked.trials, seed=asked.seed),
        ]
    else:
        results = simulated(asked.trials, asked.seed)
    seconds = time.perf_counter() - began
    if asked.json:
        print(json.dumps({"seconds": round(seconds, 1), "results": [r.to_json() for r in results]}, indent=1))
        return 0
    print("\n".join(lines(results)))
    if asked.trace and any(r.scenario == OWN for r in results):
        own = [r for r in results if r.scenario == OWN]
        alarms, high = [r.false_alarm[-1] for r in own], [p.correct[-1] for r in own for p in r.rates if p.rate == 0.3]
        means = f"mean {np.mean(alarms):.1%}, median {np.median(alarms):.1%}"
        print(f"\nrecord by record: false alarms {means}; right at half more: median {np.median(high):.0%}")
    print(f"\n{len(results)} x {asked.trials} trials, seed {asked.seed}, in {seconds:.1f} s")
    return 0


def simulated(trials: int, seed: int) -> list[CalibrationResult]:
    """Every scenario, those on which the method holds first."""
    others = [code for code in SCENARIOS if code not in HOLDS]
    return [calibrate(code, trials=trials, seed=seed) for code in (*HOLDS, *others)]


def traced_at_rates(path: Path, *, trials: int, seed: int) -> list[CalibrationResult]:
    """All streams of a trace as one kind of traffic, and each alone."""
    rng = np.random.default_rng([seed, 26])
    records = {}
    for model, at in sorted(_streams(path).items()):
        # The trace's times are whole seconds: without a fraction, no time-out makes just the rate wanted.
        at = np.sort(at + rng.random(len(at)))
        day = (at // 86400).astype(np.int64)
        whole = (day > day[0]) & (day < day[-1])
        if model != "all" and whole.sum() >= LEAST_REQUESTS and day[-1] - day[0] - 1 >= 14:
            records[model] = Record.at_rates(np.diff(at, prepend=-np.inf)[whole], day[whole] - day[0] - 1, (0.2, *RATES))
    kinds = {f"real: {model}": [record] for model, record in records.items()}
    if records:
        kinds = {f"real: {len(records)} streams": list(records.values()), **kinds}
    return [calibrate_records(of, name=name, trials=trials, seed=seed) for name, of in kinds.items()]


def traced(path: Path, *, trials: int, seed: int) -> list[CalibrationResult]:
    """One result per model and idle time-out of a trace."""
    results = []
    for model, at in sorted(_streams(path).items()):
        for timeout in TIMEOUTS_S:
            days = _days(f"{model} {timeout} s", at, timeout)
            total, cold = sum(d.requests for d in days), sum(d.cold_hits for d in days)
            if total >= LEAST_REQUESTS and len(days) >= 14 and 0.05 <= cold / total <= 0.6:
                trial = TrialSection(name="trace", start=days[0].day, cold_hit_threshold=0.2)
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


def _streams(path: Path) -> dict[str, np.ndarray]:
    found = defaultdict(list)
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            at = datetime.fromisoformat(row["gmt_create"]).replace(tzinfo=UTC).timestamp()
            found["all"].append(at)
            found[row["checkpoint_model_version_id"] or "none"].append(at)
    return {model: np.sort(np.array(at)) for model, at in found.items()}


def _days(name: str, at: np.ndarray, timeout_s: float) -> list[DaySummary]:
    """Complete days of one worker with that idle time-out and no service time."""
    day = (at // 86400).astype(np.int64)
    cold = np.diff(at, prepend=-np.inf) > timeout_s
    first, last = int(day[0]) + 1, int(day[-1]) - 1
    requests = np.bincount(day - day[0], minlength=last - first + 3)
    cold_hits = np.bincount(day - day[0], weights=cold, minlength=last - first + 3)
    return [
        DaySummary(
            endpoint=name,
            platform="export",
            days=(date(1970, 1, 1) + timedelta(days=d),),
            requests=int(requests[d - day[0]]),
            cold_hits=int(cold_hits[d - day[0]]),
        )
        for d in range(first, last + 1)
    ]


if __name__ == "__main__":
    raise SystemExit(main())
