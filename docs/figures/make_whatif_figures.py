"""
Draws the figures of docs/reading-a-what-if.md with the replay itself, and prints the numbers the page quotes.

    PYTHONPATH=. python docs/figures/make_whatif_figures.py

Seeded; the SVG files come out the same byte for byte with the same matplotlib.
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np

mpl.use("svg")

from matplotlib import pyplot as plt

from analysis import prices
from analysis.replay import replay
from analysis.replaying import multi_model
from analysis.replaying.bursts import replayed
from analysis.replaying.policies import Policy
from analysis.replaying.price import pricing
from analysis.replaying.result import ReplayResult
from analysis.replaying.settings import Setting
from trial.config import CloudRunEndpoint, Dedicated, Resources, RunpodEndpoint

HERE = Path(__file__).parent
DAY_MS, DAYS = 86_400_000, 14
HORIZON_MS = (0, DAYS * DAY_MS)
LOAD_MS = 22_000.0
BOOK = prices.load("standard")
RUNPOD = RunpodEndpoint(name="summariser", platform="runpod", endpoint_id="x", price="runpod-flex-4090")
CLOUD_RUN = CloudRunEndpoint(
    name="summariser",
    platform="cloud-run",
    project="p",
    service="s",
    region="us-central1",
    price="cloud-run-l4-no-zonal",
    resources=Resources(vcpu=4.0, memory_gib=16.0),
)
BLUE, ORANGE, GREY, RED = "#1f5fa8", "#d95f0e", "#777777", "#b2182b"


def main() -> None:
    plain = {"axes.spines.top": False, "axes.spines.right": False}
    mpl.rcParams.update({"svg.hashsalt": "fortnight", "svg.fonttype": "path", "font.size": 10, **plain})
    at, service = sparse_fortnight(seed=7, sessions_a_day=28)
    ping_or_minimum(at, service)
    ping_and_timeout(at, service)
    share_of_the_clock(at, service)
    burst()
    five_models()


def sparse_fortnight(*, seed: int, sessions_a_day: float) -> tuple[np.ndarray, np.ndarray]:
    """Office-hours sessions of a few requests each over 14 days: some 93 requests a day of about 1.5 s, weekends at a third."""
    rng = np.random.default_rng(seed)
    starts = []
    for day in range(DAYS):
        many = rng.poisson(sessions_a_day * (0.35 if day % 7 >= 5 else 1.0))
        starts.append(day * 24 + np.clip(rng.normal(14, 3.5, many), 0, 23.9))
    first = np.concatenate(starts) * 3_600_000
    sizes = rng.geometric(1 / 4, len(first))
    offsets = rng.exponential(40_000, sizes.sum())
    at = np.sort(np.repeat(first, sizes) + offsets)
    at = at[at < HORIZON_MS[1]]
    return at, rng.lognormal(np.log(1500), 0.5, len(at))


def run(at: np.ndarray, service: np.ndarray, policy: Policy, *, load_ms: float = LOAD_MS) -> ReplayResult:
    return replay(at, service, policy, cold_extra_ms=load_ms, horizon_ms=HORIZON_MS)


def usd(result: ReplayResult, endpoint: RunpodEndpoint | CloudRunEndpoint = RUNPOD, dedicated: Dedicated | None = None) -> float:
    cost = pricing(BOOK, endpoint)(result, Setting(name="x", policy=result.policy, dedicated=dedicated))
    return float(cost or Decimal(0))


def idle_hours(result: ReplayResult) -> float:
    return result.workers.idle_us.sum() / 3.6e9 / DAYS


def ping_or_minimum(at: np.ndarray, service: np.ndarray) -> None:
    settings = {
        "idle 10 min": Policy(idle_timeout_s=600),
        "idle 15 min": Policy(idle_timeout_s=900),
        "idle 10 min + ping every 8 min": Policy(idle_timeout_s=600, ping_every_s=480),
        "min workers 1": Policy(idle_timeout_s=600, min_workers=1),
        "idle 5 s": Policy(idle_timeout_s=5),
        "idle 5 s + ping every 8 min": Policy(idle_timeout_s=5, ping_every_s=480),
        "one instance, never stopped": Policy(dedicated=1),
    }
    print(f"\nping or minimum: {len(at)} requests, load {LOAD_MS / 1000:g} s")
    rows = []
    for name, policy in settings.items():
        result = run(at, service, policy)
        rows.append((name, result.cold_hit_rate * 100, idle_hours(result)))
        cost, idle = usd(result), idle_hours(result)
        print(f"  {name:<32} cold {result.cold_hit_rate:6.1%}  idle {idle:5.2f} h/day  ${cost:6.2f}/day")
    figure, (left, _) = bars(rows, ("cold-hit rate, %", "idle worker hours a day"), (BLUE, ORANGE), height=3)
    left.axvline(20, color=RED, linestyle="--", linewidth=1)
    save(figure, "whatif-ping-or-minimum")


def bars(rows: list[tuple[str, float, float]], labels: tuple[str, str], colours: tuple[str, str], *, height: float) -> tuple[Any, Any]:
    """Two panels of horizontal bars that share their names."""
    figure, axes = plt.subplots(1, 2, figsize=(8, height), sharey=True, layout="constrained")
    names, *columns = zip(*rows, strict=True)
    y = np.arange(len(names))
    for axis, values, label, colour in zip(axes, columns, labels, colours, strict=True):
        axis.barh(y, values, color=colour)
        axis.set(xlabel=label, xlim=(0, max(values) * 1.15))
        for place, value in zip(y, values, strict=True):
            axis.annotate(f"{value:.1f}", (value, place), xytext=(3, 0), textcoords="offset points", va="center", fontsize=8)
    axes[0].set(yticks=y, yticklabels=names)
    axes[0].invert_yaxis()
    return figure, axes


def ping_and_timeout(at: np.ndarray, service: np.ndarray) -> None:
    every = np.arange(1, 31)
    figure, axis = plt.subplots(figsize=(8, 3.2), layout="constrained")
    print("\nping and time-out")
    for timeout_s, colour in ((300, ORANGE), (600, BLUE), (900, GREY)):
        alone = run(at, service, Policy(idle_timeout_s=timeout_s)).cold_hit_rate
        rates = [run(at, service, Policy(idle_timeout_s=timeout_s, ping_every_s=60.0 * m)).cold_hit_rate for m in every]
        axis.plot(every, np.array(rates) * 100, color=colour, marker=".", label=f"idle time-out {timeout_s // 60} min")
        axis.axhline(alone * 100, color=colour, linewidth=0.7, linestyle=":")
        print(
            f"  T {timeout_s // 60:>2} min: no ping {alone:.1%}, "
            + ", ".join(f"{m} min {rates[m - 1]:.1%}" for m in (4, 5, 6, 8, 10, 11, 15, 20, 30))
        )
    axis.set(xlabel="minutes between pings", ylabel="cold-hit rate, %", ylim=(0, None))
    axis.legend(frameon=False, title="dotted: without pings", title_fontsize=8, fontsize=9, loc="lower right", bbox_to_anchor=(1, 0.02))
    save(figure, "whatif-ping-and-timeout")


def share_of_the_clock(at: np.ndarray, service: np.ndarray) -> None:
    rng = np.random.default_rng(5)
    poisson = np.cumsum(rng.exponential(DAY_MS / 300, 360 * DAYS))
    poisson = poisson[poisson < HORIZON_MS[1]]
    print("\nshare of the clock (one worker, load 10 s)")
    figure, axis = plt.subplots(figsize=(6, 4), layout="constrained")
    timeouts = [5, 30, 60, 120, 300, 450, 600, 900, 1800, 3600]
    evenly = ("evenly spread, 300 a day", poisson, rng.exponential(500, len(poisson)), BLUE, "o")
    for name, arrivals, work, colour, marker in (evenly, ("office-hours sessions", at, service, ORANGE, "s")):
        one = [run(arrivals, work, Policy(idle_timeout_s=t, load_queueing=True, max_workers=1), load_ms=10_000) for t in timeouts]
        off = np.array([r.triggers / r.requests for r in one])
        on = np.array([r.mean_workers()["alive_mean"] for r in one])
        axis.plot(off * 100, on * 100, color=colour, marker=marker, linestyle="-", linewidth=0.8, label=name)
        for t, c, f in zip(timeouts, off, on, strict=True):
            print(f"  {name}: T {t:>4} s  finds it off {c:6.1%}  on {f:6.1%} of the clock  sum {c + f:6.1%}")
    axis.plot([0, 100], [100, 0], color=GREY, linestyle=":", linewidth=1)
    axis.axvline(20, color=RED, linestyle="--", linewidth=1)
    axis.set(xlabel="requests that find the worker off, %", ylabel="billed share of the clock, %", xlim=(0, 100), ylim=(0, 102))
    axis.legend(frameon=False, fontsize=9)
    save(figure, "whatif-share-of-the-clock")


def burst() -> None:
    rng = np.random.default_rng(11)
    minutes = np.where((np.arange(180) >= 120) & (np.arange(180) < 130), 1000, 10)
    at = np.sort(np.repeat(np.arange(180), minutes) + rng.random(minutes.sum())) * 60_000
    service = rng.lognormal(np.log(200), 0.3, len(at))
    settings = {
        "idle 10 min": Policy(idle_timeout_s=600),
        "min workers 1": Policy(idle_timeout_s=600, min_workers=1),
        "min workers 5": Policy(idle_timeout_s=600, min_workers=5),
        "at most 5 workers": Policy(idle_timeout_s=600, max_workers=5),
        "dedicated 4": Policy(dedicated=4),
        "dedicated 5": Policy(dedicated=5),
    }
    print("\nburst from 10 to 1,000 a minute, 200 ms each, load 10 s")
    figure, (top, bottom) = plt.subplots(2, 1, figsize=(8, 5), sharex=True, layout="constrained")
    colours = {"idle 10 min": BLUE, "at most 5 workers": ORANGE, "dedicated 5": GREY}
    for name, policy in settings.items():
        result = replay(at, service, policy, cold_extra_ms=10_000)
        found, waited = replayed(result), result.waited_us / 1e6
        inside = (at >= 120 * 60_000) & (at < 130 * 60_000)
        absorbed = found.slowest_absorbed_ms or 0.0
        print(
            f"  {name:<18} started {int(result.trigger[inside].sum()):>4}  cold in the burst {int(result.cold[inside].sum()):>4}"
            f"  waited over 0.5 s {int((waited[inside] > 0.5).sum()):>5} of {int(inside.sum())}  longest {waited[inside].max():5.1f} s"
            f"  absorbed {absorbed / 1000:5.1f} s  peak workers {result.workers.peak:>4}  billed {result.billed_seconds / 3600:6.2f} h"
        )
        if name in colours:
            seconds = at / 1000 - 7200
            # Of those that did not wait, one in twenty is enough to see.
            near = (seconds > -15) & (seconds < 60) & ((waited > 0.02) | (np.arange(len(at)) % 20 == 0))
            top.plot(seconds[near], waited[near], ".", markersize=2.5, color=colours[name], label=name, rasterized=False)
            edges = np.arange(-30, 120, 0.5)
            w = result.workers
            alive = [int(((w.started_us / 1e6 - 7200 <= t) & (w.ended_us / 1e6 - 7200 > t)).sum()) for t in edges]
            bottom.step(edges, alive, color=colours[name], where="post")
    top.set(ylabel="waited, s", xlim=(-15, 60))
    top.legend(frameon=False, markerscale=4, fontsize=9)
    bottom.set(xlabel="seconds after the burst began", ylabel="workers alive")
    save(figure, "whatif-burst")


def five_models() -> None:
    loads_ms, per_day = [20_000, 20_000, 25_000, 30_000, 40_000], [2000, 400, 120, 40, 15]
    rng = np.random.default_rng(3)
    arrivals = []
    for many in per_day:
        hours = rng.normal(13.5, 4.0, many * DAYS) % 24
        arrivals.append(np.sort((rng.integers(0, DAYS, many * DAYS) * 24 + hours) * 3_600_000))
    work = [rng.lognormal(np.log(400), 0.4, len(a)) for a in arrivals]
    t4 = Dedicated(name="g4dn.xlarge", price="sagemaker-ml.g4dn.xlarge")
    print("\nfive models, 2,575 requests a day together")
    rows: list[tuple[str, float, float]] = []

    def note(name: str, results: list[ReplayResult], cost: float) -> None:
        n = sum(r.requests for r in results)
        slow = sum(int((r.waited_us + r.service_us > 2_000_000).sum()) for r in results)
        cold = sum(r.cold_hits for r in results)
        rows.append((name, cost, slow / n * 100))
        print(f"  {name:<44} ${cost:7.2f}/day  over 2 s {slow / n:6.2%}  cold {cold / n:6.2%}")

    for label, timeout in (("RunPod flex, idle 5 s", 5), ("RunPod flex, idle 10 min", 600)):
        each = [run(a, s, Policy(idle_timeout_s=timeout), load_ms=load) for a, s, load in zip(arrivals, work, loads_ms, strict=True)]
        note(f"serverless, five endpoints ({label})", each, sum(usd(r) for r in each))
        for i, r in enumerate(each):
            print(f"      model {i + 1}: {per_day[i]:>5}/day  cold {r.cold_hit_rate:6.1%}  ${usd(r):6.2f}/day")
    each = [run(a, s, Policy(idle_timeout_s=900), load_ms=load) for a, s, load in zip(arrivals, work, loads_ms, strict=True)]
    note("serverless, five services (Cloud Run L4)", each, sum(usd(r, CLOUD_RUN) for r in each))
    each = [run(a, s, Policy(dedicated=1)) for a, s in zip(arrivals, work, strict=True)]
    note("five dedicated endpoints (g4dn.xlarge)", each, sum(usd(r, dedicated=t4) for r in each))
    order = np.argsort(np.concatenate(arrivals), kind="stable")
    at, service = np.concatenate(arrivals)[order], np.concatenate(work)[order]
    model = np.repeat(np.arange(5), [len(a) for a in arrivals])[order]
    load = np.array(loads_ms)[model] / 4  # from local disk or object storage into memory, without the start of a machine
    for fit in (5, 3, 2):
        loading = multi_model.loads(model.tolist(), resident=fit)
        result = run(at, service + np.where(loading, load, 0), Policy(dedicated=1))
        note(f"one multi-model endpoint, {fit} fit (g4dn.xlarge)", [result], usd(result, dedicated=t4))
        print(f"      loads {loading.sum() / len(at):.2%} of requests")
    figure, _ = bars(rows, ("USD a day", "callers over 2 s, %"), (ORANGE, BLUE), height=3.2)
    save(figure, "whatif-five-models")


def save(figure: plt.Figure, name: str) -> None:
    figure.savefig(HERE / f"{name}.svg", metadata={"Date": None, "Creator": None})
    plt.close(figure)


if __name__ == "__main__":
    main()
