"""How often the verdict is wrong, on simulated and on real traffic: false alarms, contradictions, wrong direction and power, day by day."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from analysis.judging import diagnostics, looks
from analysis.judging.counts import Counts
from analysis.judging.scenarios import SCENARIOS, Ints, resample, simulate
from analysis.judging.streams import Stream, recorded
from trial.config import TrialSection
from trial.summary import DaySummary

RATES = (0.12, 0.18, 0.22, 0.30)
BLOCK_DAYS = 7
RESAMPLED = "R"
OWN = "own"
COMPARED: dict[str, looks.Rule] = {
    "plain threshold": looks.plain_threshold,
    "Wilson interval": looks.wilson,
    "beta-binomial sequence": looks.beta_binomial,
}

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Power:
    """
    How trials of a true rate off the threshold ended; shares of all trials, lists by day, cumulative.

    Args:
        correct: decided for the side of the true rate by that day.
        wrong: decided for the other side by the last day.
        median_day: by when half of all trials are decided rightly; None where fewer ever are.
        provisional: share of the right decisions of the last day that carry a flag; None without one.
    """

    rate: float
    correct: tuple[float, ...]
    wrong: float
    median_day: int | None
    provisional: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationResult:
    """
    How the verdict does on one kind of traffic, looked at after every day.

    Args:
        false_alarm: true rate at the threshold: some decision was made by that day; a share of all trials, by day.
        contradiction: the first decision is opposite to the trial's own realised rate at its end; a share of all trials.
        flagged_false_alarms: share of the false alarms with a flag up on the day they were made; None without one.
        unwarned: share of all trials in which on some day a false decision stood without a flag.
        compared: by simpler rule, its false alarms by day.
        rates: one Power for each true rate off the threshold.
        requests_per_day, volume_variation, design_effect, lag_1: medians over the trials, of the traffic itself.
    """

    scenario: str
    name: str
    trials: int
    seed: int
    days: int
    threshold: float
    alpha: float
    false_alarm: tuple[float, ...]
    contradiction: float
    flagged_false_alarms: float | None
    unwarned: float
    compared: dict[str, tuple[float, ...]]
    rates: tuple[Power, ...]
    requests_per_day: float
    volume_variation: float
    design_effect: float
    lag_1: float

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def calibrate(
    scenario: str,
    *,
    trials: int = 2000,
    seed: int = 1,
    threshold: float = 0.20,
    rates: Sequence[float] = RATES,
    alpha: float = 0.05,
    days: int = 14,
) -> CalibrationResult:
    """
    The calibration on a scenario of analysis.judging.scenarios, or on "R": resampled weeks of the streams in analysis.judging.streams.

    Raises:
        ValueError: no such scenario.
    """
    if scenario == RESAMPLED:
        streams = recorded()
        name = f"{BLOCK_DAYS}-day blocks of {len(streams)} real streams of image generation (GenTD26)"
        return calibrate_streams(streams, name=name, trials=trials, seed=seed, threshold=threshold, rates=rates, alpha=alpha, days=days)
    if scenario not in SCENARIOS:
        raise ValueError(f"no scenario {scenario!r}; known: {', '.join((*SCENARIOS, RESAMPLED))}")
    wanted = tuple(dict.fromkeys((threshold, *rates)))
    of = simulate(SCENARIOS[scenario], trials=trials, rates=wanted, seed=seed, days=days)
    return _measure(scenario, SCENARIOS[scenario].name, of.requests, _cases(of.cold_hits, threshold=threshold), seed=seed, alpha=alpha)


def calibrate_days(days: Sequence[DaySummary], *, trial: TrialSection, trials: int = 2000, seed: int = 1) -> CalibrationResult:
    """
    The calibration on the user's own days, drawn again in blocks of a week.

    The days keep their rate; false alarms are counted with the threshold moved onto it, and power with the threshold in the same ratio to
    their rate as the registered one is to RATES.

    Raises:
        ValueError: fewer than seven days, or days that are all warm or all cold.
    """
    counts = Counts.of_cold_hits(sorted(days, key=lambda d: d.day), without_first=True)
    total, cold = int(counts.seen.sum()), int(counts.fewest.sum())
    if not 0 < cold < total:
        raise ValueError("days that are all warm or all cold have no spread to draw from")
    rng = np.random.default_rng([seed, len(days)])
    requests, cold_hits = resample(counts.seen, counts.fewest, trials=trials, rng=rng, days=trial.days, block=BLOCK_DAYS)
    own = cold / total
    cases = [_Case(rate=own, cold_hits=cold_hits, threshold=own, above=False)]
    for rate in RATES:
        moved = own * trial.cold_hit_threshold / rate
        if moved < 1 and rate != trial.cold_hit_threshold:
            cases.append(_Case(rate=rate, cold_hits=cold_hits, threshold=moved, above=own > moved))
    name = f"{days[0].endpoint}: {len(days)} days at {own:.1%} cold hits, in {BLOCK_DAYS}-day blocks"
    return _measure(OWN, name, requests, cases, seed=seed, alpha=1 - trial.confidence)


def calibrate_streams(
    streams: Sequence[Stream],
    *,
    name: str,
    trials: int = 2000,
    seed: int = 1,
    threshold: float = 0.20,
    rates: Sequence[float] = RATES,
    alpha: float = 0.05,
    days: int = 14,
) -> CalibrationResult:
    """
    The calibration on real days, drawn again in blocks of a week: as many trials of each stream.

    Every stream is at the idle time-out that makes just the rate wanted, so that a decision at the threshold is false.
    """
    rng = np.random.default_rng([seed, len(streams)])
    requests: list[Ints] = []
    cold_hits: dict[float, list[Ints]] = {rate: [] for rate in (threshold, *rates)}
    for stream, share in zip(streams, np.array_split(np.arange(trials), len(streams)), strict=True):
        index = np.arange(stream.days)
        drawn, _ = resample(index, index, trials=len(share), rng=rng, days=days, block=BLOCK_DAYS)
        requests.append(stream.requests[drawn])
        for rate, of_rate in cold_hits.items():
            of_rate.append(stream.cold_hits(rate)[drawn])
    cases = _cases({rate: np.concatenate(parts) for rate, parts in cold_hits.items()}, threshold=threshold)
    return _measure(RESAMPLED, name, np.concatenate(requests), cases, seed=seed, alpha=alpha)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """Cold hits of one true rate, and the threshold they are held against."""

    rate: float
    cold_hits: npt.NDArray[np.int64]
    threshold: float
    above: bool


def _cases(cold_hits: Mapping[float, Ints], *, threshold: float) -> list[_Case]:
    """One per true rate, the threshold itself first."""
    return [_Case(rate=rate, cold_hits=cold, threshold=threshold, above=rate > threshold) for rate, cold in cold_hits.items()]


def _measure(
    scenario: str, name: str, requests: npt.NDArray[np.int64], cases: Sequence[_Case], *, seed: int, alpha: float
) -> CalibrationResult:
    """The first case is the one whose true rate is the threshold."""
    null, threshold = cases[0], cases[0].threshold
    n, c = requests.astype(np.float64), null.cold_hits.astype(np.float64)
    weekend = np.arange(n.shape[1]) % 7 >= 5
    sides = looks.t_mixture(n, c, threshold=threshold, alpha=alpha, weekend=weekend)
    up = looks.flagged(n, c, weekend=weekend)
    made, day, side = _first(sides)
    realised = np.sign(c.sum(axis=1) - threshold * n.sum(axis=1))
    compared = {rule: _by_day(of(n, c, threshold=threshold, alpha=alpha) != 0) for rule, of in COMPARED.items()}
    return CalibrationResult(
        scenario=scenario,
        name=name,
        trials=len(n),
        seed=seed,
        days=n.shape[1],
        threshold=threshold,
        alpha=alpha,
        false_alarm=_by_day(sides != 0),
        contradiction=float((made & (side * realised < 0)).mean()),
        flagged_false_alarms=float(up[np.flatnonzero(made), day[made]].mean()) if made.any() else None,
        unwarned=float(((sides != 0) & ~up).any(axis=1).mean()),
        compared=compared,
        rates=tuple(_power(case, n, alpha=alpha, weekend=weekend) for case in cases[1:]),
        requests_per_day=float(n.mean()),
        volume_variation=float(np.median(n.std(axis=1, ddof=1) / n.mean(axis=1))),
        design_effect=float(np.median(diagnostics.design_effect(n, c))),
        lag_1=float(np.median(diagnostics.lag_1(diagnostics.scores(n, c)))),
    )


def _power(case: _Case, n: Floats, *, alpha: float, weekend: npt.NDArray[np.bool_]) -> Power:
    c = case.cold_hits.astype(np.float64)
    sides = looks.t_mixture(n, c, threshold=case.threshold, alpha=alpha, weekend=weekend)
    made, day, side = _first(sides)
    right = made & ((side > 0) == case.above)
    correct = tuple(float((right & (day <= d)).mean()) for d in range(sides.shape[1]))
    last = (sides[:, -1] > 0) if case.above else (sides[:, -1] < 0)
    return Power(
        rate=case.rate,
        correct=correct,
        wrong=float((made & ~right).mean()),
        median_day=next((d + 1 for d, share in enumerate(correct) if share >= 0.5), None),
        provisional=float(looks.flagged(n, c, weekend=weekend)[last, -1].mean()) if last.any() else None,
    )


def _first(sides: looks.Sides) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.intp], looks.Sides]:
    """Whether a decision was ever made, on which day (from 0), and for which side."""
    day = np.argmax(sides != 0, axis=1)
    side = sides[np.arange(len(sides)), day]
    return side != 0, day, side


def _by_day(up: npt.NDArray[np.bool_]) -> tuple[float, ...]:
    return tuple(float(share) for share in np.maximum.accumulate(up, axis=1).mean(axis=0))
