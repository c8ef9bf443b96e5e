"""
The event loop against closed forms, as seeded Monte Carlo checks: within four standard errors, measured over independent runs.

T is the idle time-out from the last completion, lambda the arrival rate, S the service time. Every formula stands where it is used.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from analysis.replay import replay
from analysis.replaying.policies import Policy
from analysis.replaying.result import ReplayResult

RUNS = 16


def assert_within_four_errors(simulate: Callable[[np.random.Generator], float], expected: float, *, seed: int) -> None:
    """`simulate` gives one independent estimate; their mean must agree, and its error be small enough to mean something."""
    values = np.array([simulate(rng) for rng in np.random.default_rng(seed).spawn(RUNS)])
    error = values.std(ddof=1) / math.sqrt(RUNS)
    assert error < 0.02 * max(expected, 0.05)
    assert abs(values.mean() - expected) < 4 * error + 1e-9


def poisson(rng: np.random.Generator, rate: float, n: int) -> np.ndarray:
    """Arrivals in ms at `rate` per second."""
    return np.cumsum(rng.exponential(1000 / rate, n))


def instant(n: int) -> np.ndarray:
    return np.zeros(n)


def served(at: np.ndarray, policy: Policy, service: np.ndarray | None = None, load_ms: float = 0.0) -> ReplayResult:
    return replay(at, instant(len(at)) if service is None else service, policy, cold_extra_ms=load_ms)


def test_poisson_cold_share_and_idle_time():
    """P(cold) = exp(-lambda T); idle seconds per request (1 - exp(-lambda T)) / lambda."""
    rate, timeout = 0.004, 400.0
    policy = Policy(idle_timeout_s=timeout)
    assert_within_four_errors(lambda rng: served(poisson(rng, rate, 20_000), policy).cold_hit_rate, math.exp(-rate * timeout), seed=1)
    idle = (1 - math.exp(-rate * timeout)) / rate
    assert_within_four_errors(
        lambda rng: served(poisson(rng, rate, 20_000), policy).workers.idle_us.sum() / 20_000 / 1e6 / idle, 1.0, seed=2
    )


def test_twenty_percent_is_lambda_t_of_ln_5():
    policy = Policy(idle_timeout_s=600)
    assert_within_four_errors(lambda rng: served(poisson(rng, math.log(5) / 600, 20_000), policy).cold_hit_rate, 0.2, seed=3)


def test_renewal_gaps():
    """Any stationary gaps F: P(cold) = 1 - F(T). Here Weibull of shape 1/2, as bursty as gaps get in logs."""
    scale, timeout = 100.0, 600.0

    def simulate(rng: np.random.Generator) -> float:
        return served(np.cumsum(scale * rng.weibull(0.5, 40_000)) * 1000, Policy(idle_timeout_s=timeout)).cold_hit_rate

    assert_within_four_errors(simulate, math.exp(-math.sqrt(timeout / scale)), seed=4)


def test_diurnal_poisson():
    """P(cold) = int lambda(t) exp(-int_{t-T}^t lambda) dt / int lambda(t) dt; the mean-rate formula is wrong by a quarter here."""
    mean, depth, timeout, day = 1 / 300, 0.9, 600.0, 86_400.0

    def cumulative(t: np.ndarray) -> np.ndarray:
        return mean * (t - depth * day / (2 * math.pi) * np.cos(2 * math.pi * t / day))

    t = np.linspace(0, day, 200_001)
    rate = mean * (1 + depth * np.sin(2 * math.pi * t / day))
    expected = np.trapezoid(rate * np.exp(cumulative(t - timeout) - cumulative(t)), t) / np.trapezoid(rate, t)
    assert abs(expected - math.exp(-mean * timeout)) > 0.02

    def simulate(rng: np.random.Generator) -> float:
        n = rng.poisson(2 * mean * day * 60)
        at = np.sort(rng.uniform(0, 60 * day, n))
        keep = rng.random(n) < (1 + depth * np.sin(2 * math.pi * at / day)) / 2
        return served(at[keep] * 1000, Policy(idle_timeout_s=timeout)).cold_hit_rate

    assert_within_four_errors(simulate, float(expected), seed=5)


def test_markov_modulated_poisson():
    """phi exp((Q - Lambda) T) 1 with phi = pi Lambda / (pi Lambda 1): quiet and busy spells that switch at random."""
    rates, leave, timeout = np.array([1 / 1200, 1 / 30]), np.array([1 / 7200, 1 / 1800]), 600.0
    q = np.array([[-leave[0], leave[0]], [leave[1], -leave[1]]])
    stationary = leave[::-1] / leave.sum()
    phi = stationary * rates / (stationary * rates).sum()
    expected = float((phi @ matrix_exponential((q - np.diag(rates)) * timeout)).sum())

    def simulate(rng: np.random.Generator) -> float:
        spells = rng.exponential(1 / np.tile(leave, 1500))
        starts = np.concatenate(([0.0], np.cumsum(spells)[:-1]))
        counts = rng.poisson(spells * np.tile(rates, 1500))
        at = np.sort(np.repeat(starts, counts) + rng.random(counts.sum()) * np.repeat(spells, counts))
        return served(at * 1000, Policy(idle_timeout_s=timeout)).cold_hit_rate

    assert_within_four_errors(simulate, expected, seed=6)


def matrix_exponential(a: np.ndarray) -> np.ndarray:
    """By scaling and squaring of the Taylor series: enough for small generators."""
    halvings = max(0, math.ceil(math.log2(max(1e-9, float(np.abs(a).sum(axis=1).max())))) + 5)
    small, term, total = a / 2**halvings, np.eye(len(a)), np.eye(len(a))
    for k in range(1, 16):
        term = term @ small / k
        total = total + term
    for _ in range(halvings):
        total = total @ total
    return total


def test_one_worker_with_unlimited_concurrency():
    """exp(-lambda (T + E S)), for any service time (PASTA on M/G/infinity)."""
    rate, timeout, mean_service = 0.004, 200.0, 100.0

    def simulate(rng: np.random.Generator) -> float:
        at = poisson(rng, rate, 5_000)
        return served(at, Policy(idle_timeout_s=timeout, concurrency=10**6), rng.exponential(mean_service * 1000, len(at))).cold_hit_rate

    assert_within_four_errors(simulate, math.exp(-rate * (timeout + mean_service)), seed=7)


@pytest.mark.parametrize(("timeout", "every"), [(300.0, 480.0), (600.0, 480.0), (5.0, 480.0)])
def test_keep_warm_ping(timeout, every):
    """
    User cold (1 - T/p)^+ exp(-lambda T); pings cold exp(-lambda T) if p > T; warm time 1 - (1 - T/p)^+ exp(-lambda T).

    So a ping longer than the time-out covers T/p of the time: at RunPod's default of 5 s, one per cent.
    """
    rate = 0.003
    gone = max(0.0, 1 - timeout / every) * math.exp(-rate * timeout)

    def simulate(part: Callable[[ReplayResult], float]) -> Callable[[np.random.Generator], float]:
        return lambda rng: part(served(poisson(rng, rate, 20_000), Policy(idle_timeout_s=timeout, ping_every_s=every)))

    if gone == 0:
        result = served(poisson(np.random.default_rng(8), rate, 20_000), Policy(idle_timeout_s=timeout, ping_every_s=every))
        # Only the very first start, and starts beside a worker that is busy for its one microsecond.
        assert result.cold_hits + int((result.cold & result.synthetic).sum()) <= 2
        assert result.mean_workers()["alive_mean"] == pytest.approx(1, abs=0.001)
        return
    assert_within_four_errors(simulate(lambda r: r.cold_hit_rate), gone, seed=9)
    assert_within_four_errors(simulate(lambda r: float(r.cold[r.synthetic].mean())), math.exp(-rate * timeout), seed=10)
    assert_within_four_errors(simulate(lambda r: r.mean_workers()["alive_mean"]), 1 - gone, seed=11)


def test_arrivals_that_queue_on_the_starting_worker():
    """One worker, load D, then S to 0, q = exp(-lambda T): triggers q / (1 + lambda D q), waited q (1 + lambda D) / (1 + lambda D q)."""
    rate, timeout, load = 0.01, 60.0, 120.0
    q = math.exp(-rate * timeout)
    below = 1 + rate * load * q
    policy = Policy(idle_timeout_s=timeout, load_queueing=True, max_workers=1)

    def simulate(rng: np.random.Generator) -> ReplayResult:
        return served(poisson(rng, rate, 5_000), policy, load_ms=load * 1000)

    assert_within_four_errors(lambda rng: simulate(rng).triggers / 5_000, q / below, seed=12)
    assert_within_four_errors(lambda rng: simulate(rng).cold_hit_rate, q * (1 + rate * load) / below, seed=13)


@pytest.mark.parametrize(
    ("rate", "service", "timeout", "expected"), [(0.02, 20, 300, 0.09516), (0.2, 30, 60, 0.11888), (1.0, 5, 60, 0.02349)]
)
def test_scale_out_with_newest_idle_first(rate, service, timeout, expected):
    """
    M/M/infinity: P(cold) = sum_k e^-rho rho^k / k! [e_k^T exp(Q_k T) 1], Q_k the birth-death generator on 0..k killed at k + 1.

    By reversibility; the closed model of Mahmoudi and Khazaei is off by up to 327 % on these cases.
    """
    rho = rate * service
    total, weight = 0.0, math.exp(-rho)
    for k in range(60):
        q = np.diag(np.full(k + 1, -rate) - np.arange(k + 1) / service)
        q += np.diag(np.full(k, rate), 1) + np.diag(np.arange(1, k + 1) / service, -1)
        total += weight * float(matrix_exponential(q * timeout)[k].sum())
        weight *= rho / (k + 1)
    assert total == pytest.approx(expected, abs=6e-6)

    def simulate(rng: np.random.Generator) -> float:
        at = poisson(rng, rate, 60_000)
        return served(at, Policy(idle_timeout_s=timeout), rng.exponential(service * 1000, len(at))).cold_hit_rate

    assert_within_four_errors(simulate, total, seed=14)


@pytest.mark.parametrize("timeout", [5.0, 60.0])
def test_billed_share_of_the_clock_and_share_of_requests_that_find_it_off_add_to_one(timeout):
    """
    One worker, start-up C, billed from start-up to scale-down, p = exp(-lambda T), rho = lambda S:

        c = p (1 - rho) / (1 + p lambda C),  f = 1 - c
    """
    rate, service, load = 10_000 / 86_400, 0.5, 10.0
    p, rho = math.exp(-rate * timeout), rate * service
    off = p * (1 - rho) / (1 + p * rate * load)
    policy = Policy(idle_timeout_s=timeout, load_queueing=True, max_workers=1)

    def simulate(part: Callable[[ReplayResult], float]) -> Callable[[np.random.Generator], float]:
        def run(rng: np.random.Generator) -> float:
            at = poisson(rng, rate, 6_000)
            return part(served(at, policy, rng.exponential(service * 1000, len(at)), load_ms=load * 1000))

        return run

    if off > 0.01:  # below it, the error of one run is no longer small against the share
        assert_within_four_errors(simulate(lambda r: r.triggers / r.requests), off, seed=15)
    assert_within_four_errors(simulate(lambda r: r.mean_workers()["alive_mean"]), 1 - off, seed=16)
