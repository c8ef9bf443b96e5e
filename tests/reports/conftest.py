"""A fortnight written by hand: three endpoints, one of each verdict, with hostile names where logs could bring them."""

from __future__ import annotations

import math
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from analysis.costing.break_even import BreakEven, break_even
from analysis.costing.by_model import by_model
from analysis.costing.reconcile import reconcile
from analysis.costing.tracker import TrackerCost
from analysis.costing.traffic import Curve, exact
from analysis.sketches import sketch
from reports.extras import ReportExtras
from trial import config as trial_config
from trial.ledger import Ledger
from trial.records import Estimate
from trial.results import DayCost, DedicatedCost, EndpointCost, EndpointResult, Flag, TrialResult, Verdict, WhatIf
from trial.summary import DaySummary

HOSTILE = "<script>alert('model')</script>"
START = date(2026, 11, 2)

TOML = """
[trial]
name = "summariser"
start = 2026-11-02
days = 14
timezone = "Europe/London"

[[endpoints]]
name = "summariser-fn"
platform = "aws-lambda"
function = "summariser"
region = "us-east-1"
price = "aws-lambda-x86"
resources = { memory_mb = 10240 }

[[endpoints]]
name = "summariser-run"
platform = "cloud-run"
project = "acme"
service = "summariser"
region = "us-central1"
gpu = "L4"
idle_timeout_s = 600
price = "cloud-run-l4-no-zonal"
resources = { vcpu = 4, memory_gib = 16 }

[[endpoints]]
name = "summariser-runpod"
platform = "runpod"
endpoint_id = "4m7x2k9q"
gpu = "RTX 4090"
price = "runpod-flex-4090"

[[dedicated]]
name = "g4dn.xlarge"
price = "sagemaker-ml.g4dn.xlarge"

[[dedicated]]
name = "g2-standard-4"
price = "vertex-g2-standard-4"
"""

# endpoint: platform, requests a day, cold share, warm ms, cold ms, gpu ms, usd a day, phases
SHAPES: dict[str, tuple[str, int, float, float, float, float, float, dict[str, float]]] = {
    "summariser-fn": ("aws-lambda", 900, 0.04, 310, 3900, 0, 2.1, {"run": 0.83, "start": 0.15, "requests": 0.02}),
    "summariser-run": ("cloud-run", 700, 0.31, 240, 9800, 182, 12.8, {"run": 0.08, "start": 0.09, "idle": 0.83}),
    "summariser-runpod": ("runpod", 720, 0.205, 255, 6100, 171, 8.4, {"run": 0.22, "start": 0.38, "idle": 0.40}),
}


@pytest.fixture(scope="session")
def config(tmp_path_factory: pytest.TempPathFactory) -> trial_config.Trial:
    return trial_config.parse(TOML, path=tmp_path_factory.mktemp("trial") / "trial.toml")


def _day(name: str, index: int) -> DaySummary:
    platform, base, share, warm_ms, cold_ms, gpu_ms, _, _ = SHAPES[name]
    rng = random.Random(f"{name}-{index}")
    day = START + timedelta(days=index)
    weekend = day.weekday() >= 5
    requests = int(base * (0.4 if weekend else 1.0) * rng.uniform(0.85, 1.2))
    cold = round(requests * share * rng.uniform(0.7, 1.35))
    unknown = 3 if name == "summariser-runpod" and index % 3 == 0 else 0
    warm = requests - cold - unknown
    cold_latency = [cold_ms * rng.lognormvariate(0, 0.25) for _ in range(cold)]
    warm_latency = [warm_ms * rng.lognormvariate(0, 0.3) for _ in range(warm)]
    sketches = {"latency_ms.cold": sketch(cold_latency), "latency_ms.warm": sketch(warm_latency)}
    sketches["queue_ms"] = sketch(rng.expovariate(1 / 40) for _ in range(requests))
    if gpu_ms:
        sketches["gpu_ms"] = sketch(gpu_ms * rng.lognormvariate(0, 0.35) for _ in range(requests))
    used = requests * 3 + 20
    return DaySummary(
        endpoint=name,
        platform=platform,
        days=(day,),
        requests=requests,
        cold_hits=cold,
        unknown=unknown,
        noticed=max(cold - 2, 0),
        noticed_unknown=unknown,
        synthetic=180 if name == "summariser-fn" else 0,
        incomplete=index % 2,
        quarantined=1 if index == 4 else 0,
        statuses={"ok": requests - 4, "error": 3, "throttled": 1},
        cold_reasons={"init": cold, "none": unknown} if unknown else {"init": cold},
        sketches=sketches,
        by_model={
            HOSTILE: {"requests": requests // 4, "cold_hits": cold // 4, "unknown": 0, "gpu_us": 1000 * requests},
            "summariser-7b": {
                "requests": requests - requests // 4,
                "cold_hits": cold - cold // 4,
                "unknown": unknown,
                "gpu_us": 3000 * requests,
            },
        },
        peak_concurrency=rng.randint(3, 14),
        provider_requests=None
        if platform == "runpod"
        else requests + (180 if name == "summariser-fn" else 0) + index % 2 + (index == 4) + (2 if index == 6 else 0),
        ledgers=(
            Ledger(
                endpoint=name,
                day=day,
                source="cloudwatch-logs" if platform == "aws-lambda" else "logs",
                read=used + 124,
                duplicate=2,
                used={"request": used},
                ignored={"platform chatter": 120},
                rejected={"truncated JSON <b>": 2},
            ),
        ),
    )


def _cost(name: str, days: tuple[DaySummary, ...], price: str) -> EndpointCost:
    usd, phases = SHAPES[name][6], SHAPES[name][7]
    rows = []
    for summary in days:
        total = Decimal(str(round(usd * (0.6 + 0.4 * summary.requests / SHAPES[name][1]), 4)))
        parts = {phase: (total * Decimal(str(part))).quantize(Decimal("0.0001")) for phase, part in phases.items()}
        whole = sum(parts.values(), Decimal(0))
        billed = {"gpu": (whole * Decimal("1.02")).quantize(Decimal("0.0001"))} if name == "summariser-runpod" else None
        spread = Decimal(0) if name == "summariser-fn" else Decimal("0.4")
        rows.append(
            DayCost(day=summary.day, usd=parts, low=whole - spread, high=whole + spread, billed_seconds=whole * 1000, billed_usd=billed)
        )
    return EndpointCost(endpoint=name, price=price, days=tuple(rows), requests=sum(d.requests for d in days))


def _whatif(endpoint: str, name: str, usd: str, cold: float, over: float, **settings: float | str) -> WhatIf:
    return WhatIf(
        endpoint=endpoint,
        name=name,
        settings=settings,
        requests=9000,
        cold=round(9000 * cold),
        rejected=0,
        cold_hit_rate=Estimate(low=cold * 0.9, best=cold, high=min(1.0, cold * 1.1 + 0.001), n=14, method="replay"),
        over_slo=over,
        waited_ms={"p50": 250.0, "p95": 250.0 + 9000 * over, "p99": 300.0 + 9800 * over},
        workers={"alive_mean": 0.7, "running_mean": 0.01, "idle_mean": 0.69, "peak": 9.0},
        billed_seconds=12000.0,
        usd_per_day=Decimal(usd),
        meets_slo=over <= 0.01,
        residual_points=0.4 if name == "as it is" else None,
    )


def _whatifs(name: str) -> tuple[WhatIf, ...]:
    share, usd = SHAPES[name][2], SHAPES[name][6]
    return (
        _whatif(name, "as it is", f"{usd:.2f}", share, share * 0.98, idle_timeout_s=600),
        _whatif(name, "idle time-out 30 min", f"{usd * 1.4:.2f}", share * 0.6, share * 0.58, idle_timeout_s=1800),
        _whatif(name, "min workers 1", f"{usd * 1.9:.2f}", 0.006, 0.006, min_workers=1),
        _whatif(name, "health check every 8 min", f"{usd * 1.7:.2f}", 0.02, 0.019, ping_every_s=480),
        _whatif(name, "g4dn.xlarge", "17.67", 0.0, 0.001, instances=1),
    )


def _verdict(name: str, days: tuple[DaySummary, ...]) -> Verdict:
    total = days[0]
    for day in days[1:]:
        total = total + day
    rate = total.cold_hits / total.requests
    decision, rule, interval, e_value, flags, reasons = {
        "summariser-fn": (
            "stay-serverless",
            "stay-serverless",
            (0.033, 0.049),
            9200.0,
            (),
            ("The whole interval lies under the threshold.",),
        ),
        "summariser-run": (
            "evaluate-dedicated",
            "evaluate-dedicated",
            (0.262, 0.371),
            310.0,
            (),
            ("The whole interval lies above the threshold, and callers notice.",),
        ),
        "summariser-runpod": (
            "not-decided",
            "evaluate-dedicated",
            (0.164, 0.252),
            1.3,
            (
                Flag(code="residual", detail="the bill is 2.0 % above the model"),
                Flag(code="trend", detail="volume grows 6 % a day & <more>"),
            ),
            ("The interval straddles the threshold.", "About 20 more days at this rate would decide it."),
        ),
    }[name]
    return Verdict(
        endpoint=name,
        platform=total.platform,
        decision=decision,  # type: ignore[arg-type]
        rule=rule,  # type: ignore[arg-type]
        evidence="provisional" if flags else "decided",
        as_of=days[-1].day,
        days=len(days),
        requests=total.requests,
        cold_hits=total.cold_hits,
        unknown=total.unknown,
        unseen=total.unseen,
        threshold=0.2,
        realised=rate,
        bounds=(rate, (total.cold_hits + total.unknown) / total.requests),
        long_run=Estimate(low=interval[0], best=rate, high=interval[1], n=len(days), method="t-mixture confidence sequence"),
        e_value=e_value,
        noticed=Estimate(
            low=total.noticed / total.requests, best=total.noticed / total.requests, high=rate, n=total.requests, method="census"
        ),
        users_notice=True,
        passed_on=START + timedelta(days=3) if rule == "evaluate-dedicated" else None,
        flags=flags,
        reasons=reasons,
    )


def _endpoint(name: str, price: str, days: int) -> EndpointResult:
    summaries = tuple(_day(name, i) for i in range(days))
    whatifs = _whatifs(name)
    meeting = [w for w in whatifs if w.meets_slo]
    cost = _cost(name, summaries, price)
    made = EndpointResult(
        endpoint=name,
        platform=SHAPES[name][0],
        days=summaries,
        verdict=_verdict(name, summaries),
        cost=cost,
        reconciliation=reconcile(cost, tolerance=0.01),
        whatifs=whatifs,
        cheapest=min(meeting, key=lambda w: w.usd_per_day or Decimal(0)),
    )
    return replace(made, by_model=by_model(cost, made.total)) if made.total is not None else made


def build(days: int) -> TrialResult:
    return TrialResult(
        trial="summariser",
        as_of=START + timedelta(days=days - 1),
        day_number=days,
        days_planned=14,
        endpoints=(
            _endpoint("summariser-fn", "aws-lambda-x86", days),
            _endpoint("summariser-run", "cloud-run-l4-no-zonal", days),
            _endpoint("summariser-runpod", "runpod-flex-4090", days),
        ),
        dedicated=(
            DedicatedCost(
                name="g4dn.xlarge",
                price="sagemaker-ml.g4dn.xlarge",
                instances=1,
                usd_per_day=Decimal("17.6736"),
                usd_per_1k=Decimal("27.1"),
                busy_share=0.004,
                break_even_requests_per_day={"summariser-run": 1900.0, "summariser-runpod": 2400.0},
            ),
            DedicatedCost(
                name="g2-standard-4",
                price="vertex-g2-standard-4",
                instances=1,
                usd_per_day=Decimal("19.512"),
                usd_per_1k=Decimal("29.9"),
                busy_share=0.003,
                break_even_requests_per_day={"summariser-run": 2500.0},
            ),
        ),
        registered={"cold_hit_threshold": "0.2", "latency_slo_ms": "500.0", "confidence": "0.95"},
        changes=({"when": "2026-11-05T09:00:00Z", "key": "latency_slo_ms", "from": "400.0", "to": "500.0"},),
    )


@pytest.fixture(scope="session")
def result() -> TrialResult:
    return build(14)


@pytest.fixture(scope="session")
def running() -> TrialResult:
    """The same trial on its sixth day."""
    return build(6)


@pytest.fixture(scope="session")
def empty() -> TrialResult:
    """Before the first complete day."""
    nothing = [
        EndpointResult(
            endpoint=e.endpoint,
            platform=e.platform,
            days=(),
            verdict=replace(
                e.verdict,
                decision="not-decided",
                rule="not-decided",
                evidence="provisional",
                as_of=None,
                days=0,
                requests=0,
                cold_hits=0,
                unknown=0,
                unseen=0,
                realised=None,
                bounds=(0.0, 1.0),
                long_run=Estimate(low=0.0, best=None, high=1.0, n=0, method="t-mixture confidence sequence"),
                e_value=1.0,
                noticed=None,
                users_notice=None,
                passed_on=None,
                flags=(),
                reasons=("No complete day yet.",),
            ),
        )
        for e in build(1).endpoints
    ]
    return TrialResult(trial="summariser", as_of=None, day_number=0, days_planned=14, endpoints=tuple(nothing))


def _break_even() -> list[BreakEven]:
    found = []
    for name, at, usd in (("summariser-run", 597.0, 0.0202), ("summariser-runpod", 614.0, 0.0129)):
        serverless = Curve(name=name, low=lambda n, u=usd: 0.9 * u * n, best=lambda n, u=usd: u * n, high=lambda n, u=usd: 1.15 * u * n)
        for option, price in (("g4dn.xlarge", 17.6736), ("g2-standard-4", 19.512)):
            dedicated = exact(option, lambda n, p=price: p * max(1.0, math.ceil(n / 40_000)))
            found.append(break_even(serverless, dedicated, at=at, days=14))
    return found


def _hours(name: str) -> list[list[int]]:
    shape = [1, 1, 1, 1, 1, 2, 3, 6, 9, 10, 10, 9, 8, 9, 10, 9, 8, 6, 4, 3, 2, 2, 1, 1]
    rng = random.Random(name)
    return [[round(s * rng.uniform(0.8, 1.2) * 6 * (0.4 if d % 7 >= 5 else 1)) for s in shape] for d in range(14)]


@pytest.fixture(scope="session")
def extras() -> ReportExtras:
    prices: dict[str, dict[str, Any]] = {
        "cloud-run-l4-no-zonal": {
            "usd": "1.0465",
            "unit": "instance-hour",
            "region": "us-central1",
            "source": "https://cloud.google.com/run/pricing",
            "read_on": "2026-11-20",
            "confidence": "M",
            "billed_phases": ["start", "run", "idle"],
        },
        "runpod-flex-4090": {
            "usd": "0.00031",
            "unit": "second",
            "region": "any",
            "source": "docs <b>page</b>",
            "read_on": "2026-08-20",
            "confidence": "H",
            "billed_phases": ["start", "run", "idle"],
        },
    }
    return ReportExtras(
        prices=prices,
        validation=[
            {"endpoint": "summariser-run", "day": "2026-11-06", "suite": "invocations", "success": False, "failures": ["billed_ms >= 0"]},
            {"endpoint": "summariser-fn", "day": "2026-11-06", "suite": "invocations", "success": True, "failures": []},
        ],
        quarantine=[{"endpoint": "summariser-run", "day": "2026-11-06", "rule": "billed_ms >= 0", "rows": 1}],
        versions={"fortnight": "0.1.0", "python": "3.11.7"},
        hashes={"store head": "9f2c" * 16},
        break_even=_break_even(),
        bursts=[
            {
                "endpoint": "summariser-run",
                "start": "2026-11-10T14:05:00Z",
                "minutes": 9,
                "requests": 412,
                "peak_per_minute": 71,
                "cold_hits": 66,
                "absorbed_ms": 41_300.0,
                "peak_concurrency": 13,
            }
        ],
        concurrency={
            "summariser-run": {
                "peak_concurrent": 13,
                "busiest_minute": 74,
                "starts_per_minute": 9,
                "throttled": 17,
                "cold_in_bursts": 0.03,
                "slowest_absorbed_ms": 41_300.0,
            }
        },
        hourly={name: _hours(name) for name in SHAPES},
        operations={"summariser-run": {"deployments": 2, "handler_line_share": 0.991, "failed_collections": 1, "doctor_warnings": 0}},
        tracker={
            "summariser-fn": TrackerCost(
                pulls=42,
                failed=1,
                calls=310,
                bytes=21_400_000,
                events=61_200,
                throttles=3,
                metrics=126,
                usd=Decimal("0.00126"),
                charged_for="126 metrics read (cloudwatch-get-metric-data)",
            ),
            "summariser-run": TrackerCost(
                pulls=42, failed=0, calls=900, bytes=88_000_000, events=70_000, throttles=0, metrics=800, usd=None, charged_for="unknown"
            ),
        },
        planted={"summariser-run": {"cold_hits": 2400, "gpu_ms": 1634000.0, "usd": "179.48"}},
    )


@pytest.fixture(scope="session")
def mlflow_server() -> Callable[[Path, str], AbstractContextManager[str]]:
    """Starts a real MLflow server in a folder over a backend store; gives its address, and ends all its processes."""
    return _mlflow_server


@contextmanager
def _mlflow_server(folder: Path, backend: str) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    base, log = f"http://127.0.0.1:{port}", folder / "server.log"
    command = [
        sys.executable,
        "-m",
        "mlflow",
        "server",
        "--backend-store-uri",
        backend,
        "--artifacts-destination",
        str(folder / "artifacts"),
    ]
    command += ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with log.open("wb") as out:
        server = subprocess.Popen(command, cwd=folder, env={**os.environ, **quiet}, stdout=out, stderr=out, start_new_session=True)
    try:
        deadline = time.monotonic() + 120
        while True:
            try:
                with urlopen(f"{base}/health", timeout=2):
                    break
            except OSError:
                if server.poll() is not None or time.monotonic() > deadline:
                    pytest.fail(f"the MLflow server does not answer: {log.read_text()[-2000:]}")
                time.sleep(0.3)
        yield base
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        try:
            server.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait(15)


@pytest.fixture(scope="session")
def chromium() -> str:
    """Where a Chromium is installed; a machine without one skips, except in CI."""
    found = next((p for p in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if p), None)
    if found is None:
        if os.environ.get("CI"):
            pytest.fail("no Chromium on this machine: CI must install Debian's chromium")
        pytest.skip("no Chromium is installed (Debian: apt-get install chromium)")
    return found


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where screenshots go: a folder of the tests' own, or the one FORTNIGHT_PICTURES names."""
    named = os.environ.get("FORTNIGHT_PICTURES")
    if named is None:
        return tmp_path_factory.mktemp("pictures")
    Path(named).mkdir(parents=True, exist_ok=True)
    return Path(named)
