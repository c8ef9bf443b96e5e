"""
Lambda lines a second: our parse with the ledger on, beside a bare regex-and-orjson loop and SeBS' REPORT parser, in one run.

    python benchmarks/parsing.py [--requests 50000] [--rounds 5]

All read the same generated file, on one core, from memory; rounds alternate and the best of each counts, so the ratios hold
even where the machine is shared. The bare loop keeps of each line what ours keeps, when, where and what, but checks, accounts for
and rejects nothing; both forget a batch before the next. SeBS reads into results that stand ready.

SeBS (serverless-benchmarks on PyPI) pins a stack of its own: give the python of its venv in FORTNIGHT_SEBS_PYTHON.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import orjson

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from collectors.aws_lambda import parse
from collectors.aws_lambda.quick import parse_batch
from trial.config import AwsLambdaEndpoint
from trial.ledger import Tally
from trial.records import RawEvent

ENDPOINT = AwsLambdaEndpoint(name="bench", platform="aws-lambda", function="summariser", region="eu-west-1")
BATCH = 5000
START = datetime(2026, 11, 2, tzinfo=UTC)


def generate(requests: int, *, seed: int = 7) -> list[str]:
    """START, handler line, END and REPORT of each request, 12 % of them cold, ids and figures all different."""
    rng = random.Random(seed)
    lines: list[str] = []
    used_mb = 0
    for number in range(requests):
        request_id = str(uuid.UUID(int=rng.getrandbits(128), version=4))
        duration_ms, cold = rng.lognormvariate(5.5, 0.6), rng.random() < 0.12
        init_ms = rng.lognormvariate(8, 0.3) if cold else 0.0
        at = START + timedelta(milliseconds=number * 700)
        handler = {
            "fortnight": 1,
            "request_id": request_id,
            "cold_start": cold,
            "gpu_ms": round(duration_ms * 0.8, 3),
            "gpu_ms_source": "cuda_event",
            "handler_ms": round(duration_ms * 0.95, 3),
            "model": "summariser-7b",
            "input_tokens": rng.randrange(20, 2000),
            "output_tokens": rng.randrange(5, 300),
            "process_start": "2026-11-02T00:00:00.000Z",
            "ts": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "instance": "2026/11/02/[$LATEST]5f0e6c1a9d2b4b7f8a3c1d0e9f6a7b10",
        }
        if number % 200 == 0:
            used_mb = rng.randrange(3000, 9000)  # an environment's high-water mark, which moves now and then
        used_mb += rng.random() < 0.05
        init = f"Init Duration: {init_ms:.2f} ms\t" if cold else ""
        report = f"REPORT RequestId: {request_id}\tDuration: {duration_ms:.2f} ms\tBilled Duration: {int(duration_ms + init_ms) + 1} ms"
        lines += (
            f"START RequestId: {request_id} Version: $LATEST\n",
            json.dumps(handler, separators=(",", ":")) + "\n",
            f"END RequestId: {request_id}\n",
            f"{report}\tMemory Size: 10240 MB\tMax Memory Used: {used_mb} MB\t{init}\n",
        )
    return lines


def as_events(lines: list[str]) -> list[RawEvent]:
    stream = "2026/11/02/[$LATEST]5f0e6c1a9d2b4b7f8a3c1d0e9f6a7b10"
    return [
        RawEvent(source="cloudwatch-logs", stream=stream, event_id=f"{n:056d}", at=START + timedelta(milliseconds=n), payload=line)
        for n, line in enumerate(lines)
    ]


def ours(events: list[RawEvent]) -> int:
    tally = Tally(endpoint="bench", day=date(2026, 11, 2), source="cloudwatch-logs")
    facts = 0
    for first in range(0, len(events), BATCH):
        batch = events[first : first + BATCH]
        outcomes = parse_batch(batch, ENDPOINT)
        tally.add(batch, outcomes)
        facts += len(outcomes)
    ledger = tally.close()
    assert ledger.read == len(events)
    return ledger.used_total


def one_by_one(events: list[RawEvent]) -> int:
    tally = Tally(endpoint="bench", day=date(2026, 11, 2), source="cloudwatch-logs")
    for event in events:
        tally.add([event], [parse(event, ENDPOINT)])
    return tally.close().used_total


_LINE = re.compile(
    r"(START|END|REPORT) RequestId: (\S+)(?:\tDuration: ([\d.]+) ms\tBilled Duration: (\d+) ms\tMemory Size: (\d+) MB"
    r"\tMax Memory Used: (\d+) MB(?:\tInit Duration: ([\d.]+) ms)?)?"
)


def bare(events: list[RawEvent]) -> int:
    return sum(len(_bare_rows(events[first : first + BATCH])) for first in range(0, len(events), BATCH))


def _bare_rows(batch: list[RawEvent]) -> list[tuple[Any, ...]]:
    match, loads = _LINE.match, orjson.loads
    rows: list[tuple[Any, ...]] = []
    for event in batch:
        line = event.payload
        if line[0] == "{":
            data = loads(line)
            rows.append((event.at, event.stream, data["request_id"], data))
            continue
        found = match(line)
        if found is None:
            continue
        word, request_id, duration, billed, memory, used, init = found.groups()
        if duration is None:
            rows.append((event.at, event.stream, word, request_id))
        else:
            figures = (float(duration), int(billed), int(memory), int(used), float(init) if init else None)
            rows.append((event.at, event.stream, word, request_id, *figures))
    return rows


def best_s(contenders: dict[str, Callable[[], int]], *, rounds: int, expect: int) -> dict[str, float]:
    best = dict.fromkeys(contenders, float("inf"))
    for _ in range(rounds):
        for name, run in contenders.items():
            began = time.process_time()
            count = run()
            best[name] = min(best[name], time.process_time() - began)
            assert count == expect, f"{name} understood {count} lines of {expect}"
    return best


_SEBS = """
import json, sys, time
from sebs.aws.aws import AWS
from sebs.faas.function import ExecutionResult
lines = json.load(open(sys.argv[1]))
best = float("inf")
for _ in range(int(sys.argv[2])):
    requests = {line[18:54]: ExecutionResult() for line in lines}
    began = time.process_time()
    for line in lines:
        AWS.parse_aws_report(line, requests)
    best = min(best, time.process_time() - began)
print(best)
"""


def sebs_s(reports: list[str], *, rounds: int) -> float | None:
    python = os.environ.get("FORTNIGHT_SEBS_PYTHON")
    if not python:
        print("SeBS: skipped, FORTNIGHT_SEBS_PYTHON is not set")
        return None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "reports.json"
        path.write_text(json.dumps(reports))
        done = subprocess.run([python, "-c", _SEBS, str(path), str(rounds)], capture_output=True, text=True, cwd=folder, check=False)
    if done.returncode:
        print(f"SeBS: skipped, it failed: {done.stderr.strip().splitlines()[-1]}")
        return None
    return float(done.stdout.split()[-1])


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--requests", type=int, default=50_000)
    options.add_argument("--rounds", type=int, default=5)
    given = options.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file:
        file.writelines(json.dumps(line) + "\n" for line in generate(given.requests))
        file.flush()
        with Path(file.name).open("rb") as stream:
            lines = [orjson.loads(line) for line in stream]
    reports = [line for line in lines if line.startswith("REPORT")]
    for title, some in (("full mix", lines), ("REPORT only", reports)):
        events = as_events(some)
        # What all contenders were given is none of theirs to collect: in the product events stream by.
        gc.collect()
        gc.freeze()
        contenders: dict[str, Callable[[], int]] = {
            "ours": partial(ours, events),
            "one by one": partial(one_by_one, events),
            "bare loop": partial(bare, events),
        }
        best = best_s(contenders, rounds=given.rounds, expect=len(some))
        for name, seconds in best.items():
            print(f"{title:12} {name:10} {len(some) / seconds:>12,.0f} lines/s")
        print(f"{title:12} ours / bare loop = {best['bare loop'] / best['ours']:.2f}")
    theirs = sebs_s(reports, rounds=given.rounds)
    if theirs is not None:
        print(f"{'REPORT only':12} SeBS       {len(reports) / theirs:>12,.0f} lines/s")
        print(f"{'REPORT only':12} ours / SeBS = {theirs / best['ours']:.2f}")


if __name__ == "__main__":
    main()
