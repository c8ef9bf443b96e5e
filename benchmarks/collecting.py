"""
One endpoint's day of N Lambda log lines, collected, validated and stored through the real path, at several N.

    python -m benchmarks.collecting [--lines 100000 1000000 2000000] [--cold 0.01] [--objects]

The source is a folder of FilterLogEvents pages, read page by page behind the collector's own client: paging, the raw store,
parsing, the ledger, assembling, Great Expectations, Parquet and the summary are the real ones. The day before is in the store, as
in the middle of a trial, and so are the lines of the hour after. With --objects the same lines come from a folder of objects as
Firehose writes them, instead. Each size runs in a process of its own. CPU seconds stand
beside wall-clock seconds: on a shared machine only the first can be compared.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import subprocess
import sys
import tempfile
import time
import uuid
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import orjson

from trial.calendar import Calendar
from trial.config import AwsLambdaEndpoint

ENDPOINT = AwsLambdaEndpoint(name="bench", platform="aws-lambda", function="summariser", region="eu-west-1")
CALENDAR = Calendar(start=date(2026, 11, 2), days=14, zone=ZoneInfo("UTC"))
DAY = date(2026, 11, 3)
PAGE_EVENTS = 4000  # about the 1 MB at which the service ends a page
DAY_MS = 86_400_000
LINES_PER_REQUEST = 4


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, nargs="+", default=[100_000, 1_000_000, 2_000_000])
    parser.add_argument("--cold", type=float, default=0.01, help="share of requests that start an environment")
    parser.add_argument("--objects", action="store_true", help="read Firehose's objects instead of the API's pages")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--profile", action="store_true", help="where the time goes, by cProfile, instead of figures to quote")
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args(argv)
    if asked.one:
        print(json.dumps(measure(asked.one, profile=asked.profile, objects=asked.objects)))
        return 0
    rows = [in_own_process(lines, cold=asked.cold, profile=asked.profile, objects=asked.objects) for lines in asked.lines]
    print(json.dumps(rows, indent=1) if asked.json else "\n".join(table(rows)))
    return 0


def table(rows: list[dict[str, Any]]) -> Iterator[str]:
    first = rows[0]
    yield f"{'lines':>10} {'wall s':>8} {'cpu s':>8} {'s/M lines':>10} {'cpu us/line':>12} {'ratio':>6} {'peak MB':>8} {'ratio':>6}"
    for row in rows:
        per_line = row["cpu_s"] / row["lines"] * 1e6
        yield (
            f"{row['lines']:>10,} {row['wall_s']:>8.2f} {row['cpu_s']:>8.2f} {row['wall_s'] / row['lines'] * 1e6:>10.1f} {per_line:>12.2f}"
            f" {per_line / (first['cpu_s'] / first['lines'] * 1e6):>6.2f} {row['peak_mb']:>8.0f} {row['peak_mb'] / first['peak_mb']:>6.2f}"
        )
    yield "cpu s by step: " + "; ".join(
        f"{row['lines']:,}: pull {row['pull_cpu_s']:.2f}, compute {row['compute_cpu_s']:.2f}" for row in rows
    )


def in_own_process(lines: int, *, cold: float, profile: bool, objects: bool) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="fortnight-bench-") as folder:
        write_pages(Path(folder) / "pages", lines=lines, cold=cold)
        if objects:
            write_objects(Path(folder) / "pages", Path(folder) / "objects")
        flags = [*(["--profile"] if profile else []), *(["--objects"] if objects else [])]
        command = [sys.executable, "-m", "benchmarks.collecting", "--one", folder, *flags]
        done = subprocess.run(command, cwd=Path(__file__).parents[1], stdout=subprocess.PIPE, text=True, check=True)
        return {"lines": lines, **json.loads(done.stdout.splitlines()[-1])}


def measure(folder: Path, *, profile: bool, objects: bool = False) -> dict[str, Any]:
    """The day before is pulled first, untimed; then the day's own pull and computation."""
    from collectors.registry import collector
    from expectations import invocations
    from flows import day, pull
    from trial import schema
    from trial.meter import Meter
    from trial.store import Store

    store, source = Store.at(str(folder / "store")), collector("aws-lambda")
    endpoint = ENDPOINT.model_copy(update={"logs": "objects"}) if objects else ENDPOINT
    # Great Expectations takes seconds to import, once a process, whatever the day's size.
    invocations.check(schema.invocations_table([]))

    def fetch(which: date) -> None:
        window = pull.window_of(store, ENDPOINT.name, which, which, CALENDAR)
        pull.pull(store, source, clients(folder / "pages"), endpoint, window, CALENDAR, meter=Meter())

    fetch(DAY - timedelta(days=1))
    base_mb = peak_mb()
    started, cpu = time.perf_counter(), time.process_time()
    with profiling(profile):
        fetch(DAY)
        pulled = time.process_time()
        summary = day.process(store, source, endpoint, DAY, CALENDAR, slo_ms=500.0, usage=())
    ended = time.process_time()
    return {
        "requests": summary.requests,
        "read": summary.ledger_totals()["read"],
        "cold_hits": summary.cold_hits,
        "unknown": summary.unknown,
        "quarantined": summary.quarantined,
        "wall_s": time.perf_counter() - started,
        "cpu_s": ended - cpu,
        "pull_cpu_s": pulled - cpu,
        "compute_cpu_s": ended - pulled,
        "base_mb": base_mb,
        "peak_mb": peak_mb(),
    }


def profiling(on: bool) -> Any:
    import contextlib
    import cProfile
    import pstats

    @contextlib.contextmanager
    def run() -> Iterator[None]:
        if not on:
            yield
            return
        with cProfile.Profile() as profile:
            yield
        pstats.Stats(profile, stream=sys.stderr).sort_stats("tottime").print_stats(35)

    return run()


def peak_mb() -> float:
    """This process's own high-water mark; getrusage's survives exec and would show the parent's."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("no VmHWM: this benchmark needs Linux's /proc")


class Pages:
    """A boto3 logs client as far as the collector uses one: pages of a folder, by the time they cover."""

    def __init__(self, folder: Path) -> None:
        self._index = json.loads((folder / "index.json").read_text())
        self._folder = folder

    def filter_log_events(self, *, logGroupName: str, startTime: int, endTime: int, nextToken: str = "0") -> dict[str, Any]:
        assert logGroupName == "/aws/lambda/summariser"
        number = int(nextToken)
        while number < len(self._index) and self._index[number][1] < startTime:
            number += 1
        if number == len(self._index) or self._index[number][0] > endTime:
            return {"events": []}
        events = orjson.loads((self._folder / f"{number}.json").read_bytes())
        first, last = self._index[number]
        if first < startTime or last > endTime:
            events = [e for e in events if startTime <= e["timestamp"] <= endTime]
        return {"events": events, "nextToken": str(number + 1)}


def clients(folder: Path) -> Any:
    from collectors.aws_lambda import Clients
    from collectors.dated_objects import touching
    from collectors.pace import Pace

    return Clients(logs=Pages(folder), pace=Pace(per_second=1e9), objects=partial(touching, folder=folder.parent))


def write_pages(folder: Path, *, lines: int, cold: float, days: int = 2, seed: int = 7) -> None:
    """
    Some days and two hours of traffic at `lines` a day: START, handler line, END, REPORT a request, evenly spread with jitter.

    A share `cold` of the requests starts an environment; the newest idle one takes a request otherwise.
    """
    folder.mkdir(parents=True)
    index: list[tuple[int, int]] = []
    page: list[dict[str, Any]] = []
    for event in _events(lines // LINES_PER_REQUEST, cold=cold, days=days, rng=random.Random(seed)):
        page.append(event)
        if len(page) == PAGE_EVENTS:
            _write_page(folder, index, page)
            page = []
    if page:
        _write_page(folder, index, page)
    (folder / "index.json").write_text(json.dumps(index))


def _write_page(folder: Path, index: list[tuple[int, int]], page: list[dict[str, Any]]) -> None:
    times = [event["timestamp"] for event in page]
    (folder / f"{len(index)}.json").write_bytes(orjson.dumps(page))
    index.append((min(times), max(times)))


def write_objects(pages: Path, folder: Path) -> None:
    """Each page as one object: gzip of a subscription's messages, one a log stream, below the hour it came in."""
    for number, (first, _) in enumerate(json.loads((pages / "index.json").read_text())):
        streams: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for event in orjson.loads((pages / f"{number}.json").read_bytes()):
            streams[event["logStreamName"]].append({"id": event["eventId"], "timestamp": event["timestamp"], "message": event["message"]})
        head = {"messageType": "DATA_MESSAGE", "owner": "123456789012", "logGroup": "/aws/lambda/summariser"}
        messages = [orjson.dumps({**head, "logStream": stream, "logEvents": events}) for stream, events in streams.items()]
        name = folder / f"{datetime.fromtimestamp(first / 1000, UTC):%Y/%m/%d/%H}" / f"{number:06d}.gz"
        name.parent.mkdir(parents=True, exist_ok=True)
        name.write_bytes(gzip.compress(b"".join(messages), 1))


def _events(requests: int, *, cold: float, days: int, rng: random.Random) -> Iterator[dict[str, Any]]:
    start_ms = int(datetime(2026, 11, 2, tzinfo=UTC).timestamp() * 1000)
    gap_ms = DAY_MS / requests
    idle: list[tuple[int, str]] = []
    number = 0
    for request in range(int(requests * (24 * days + 2) / 24)):
        at = start_ms + int((request + rng.random()) * gap_ms)
        free = [i for i, (since, _) in enumerate(idle) if since <= at]
        fresh = not free or rng.random() < cold
        stream = f"2026/11/02/[$LATEST]{rng.getrandbits(128):032x}" if fresh else idle.pop(free[-1])[1]
        init_ms = rng.lognormvariate(8, 0.3) if fresh else 0.0
        took_ms = rng.lognormvariate(5.5, 0.6)
        begun, ended = at + int(init_ms), at + int(init_ms + took_ms)
        idle.append((ended, stream))
        idle[:] = idle[-50:]
        for moment, text in zip(
            ([at] if fresh else []) + [begun, ended, ended, ended], _texts(rng, begun, took_ms, init_ms, stream), strict=True
        ):
            yield {
                "logStreamName": stream,
                "timestamp": moment,
                "message": text,
                "ingestionTime": moment + 400,
                "eventId": f"38{number:054d}",
            }
            number += 1


def _texts(rng: random.Random, begun: int, took_ms: float, init_ms: float, stream: str) -> list[str]:
    request_id = str(uuid.UUID(int=rng.getrandbits(128), version=4))
    ts = datetime.fromtimestamp(begun / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    handler = {
        "fortnight": 1,
        "request_id": request_id,
        "gpu_ms": round(took_ms * 0.8, 3),
        "gpu_ms_source": "cuda_event",
        "handler_ms": round(took_ms * 0.95, 3),
        "load_ms": 0.0,
        "cold_start": init_ms > 0,
        "process_start": ts,
        "ts": ts,
        "instance": stream,
        "model": "summariser-7b",
        "input_tokens": rng.randrange(20, 2000),
        "output_tokens": rng.randrange(5, 300),
        "synthetic": False,
    }
    report = f"REPORT RequestId: {request_id}\tDuration: {took_ms:.2f} ms\tBilled Duration: {int(took_ms + init_ms) + 1} ms\t"
    report += f"Memory Size: 10240 MB\tMax Memory Used: {rng.randrange(3000, 9000)} MB\t"
    texts = [f"START RequestId: {request_id} Version: $LATEST\n", json.dumps(handler, separators=(",", ":")) + "\n"]
    texts.append(f"END RequestId: {request_id}\n")
    if not init_ms:
        return [*texts, f"{report}\n"]
    start = "INIT_START Runtime Version: python:3.12.v34\tRuntime Version ARN: arn:aws:lambda:eu-west-1::runtime:0\n"
    return [start, *texts, f"{report}Init Duration: {init_ms:.2f} ms\t\n"]


if __name__ == "__main__":
    sys.exit(main())
