"""Traffic to try a verdict on: arrivals at one scale-to-zero worker, many trials at once, seeded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

BINS_A_DAY = 144
_TOGETHER = 500  # trials simulated at once: bounds the memory at about 200 MB


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """
    A kind of traffic, as a random intensity of sessions.

    Args:
        requests_per_day: mean over all days.
        session: requests in a session, seconds apart: all but the first meet a worker that is warm.
        day_wave: the intensity is multiplied by 1 + day_wave cos(2 pi (hour - 14) / 24).
        office_night: share of the intensity outside 9 to 18 h; None for no office hours.
        weather_hours, weather_sd: a stationary Ornstein-Uhlenbeck process in the logarithm of the intensity.
        day_sd: a level per day besides, normal in the logarithm.
        weekend: the intensity of Saturday and Sunday is multiplied by this.
        growth_per_day: 0.10 is 10 % more every day.
    """

    code: str
    name: str
    requests_per_day: float = 600.0
    session: float = 1.0
    day_wave: float = 0.0
    office_night: float | None = None
    weather_hours: float = 2.0
    weather_sd: float = 0.0
    day_sd: float = 0.0
    weekend: float = 1.0
    growth_per_day: float = 0.0


_B = Scenario(
    code="B",
    name="diurnal, sessions of two, 2-hour and day noise",
    session=2.0,
    day_wave=0.85,
    weather_hours=2.0,
    weather_sd=0.4,
    day_sd=0.2,
)

SCENARIOS = {
    s.code: s
    for s in (
        Scenario(code="A", name="constant Poisson"),
        _B,
        replace(_B, code="W", name="as B, quiet weekends", weekend=0.35),
        Scenario(
            code="C",
            name="office hours, heavy bursts",
            requests_per_day=1500.0,
            session=2.0,
            office_night=0.1,
            weather_hours=6.0,
            weather_sd=1.0,
            day_sd=0.5,
        ),
        Scenario(code="D", name="30-hour weather", session=2.0, day_wave=0.85, weather_hours=30.0, weather_sd=0.6),
        replace(_B, code="E+", name="as B, growing 10 % a day", growth_per_day=0.10),
    )
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulated:
    """
    Counts per trial and local day (trials x days), without the first request of each trial.

    Args:
        cold_hits: by true rate: the share of cold hits that the scenario's idle time-out was chosen to give in the long run.
    """

    requests: Ints
    cold_hits: dict[float, Ints]


def simulate(scenario: Scenario, *, trials: int, rates: Sequence[float], seed: int, days: int = 14) -> Simulated:
    """
    Seeded trials of one scenario, each from a Monday.

    A request is cold when the gap before its session is longer than the idle time-out of the one worker. The same arrivals serve every
    rate: the time-out is the quantile of all gaps that makes exactly that share of all requests cold.

    Raises:
        ValueError: a rate that sessions of this length cannot have.
    """
    if max(rates) * scenario.session >= 1:
        raise ValueError(f"sessions of {scenario.session:g} requests cannot have {max(rates):.0%} cold hits")
    parts = []
    for at in range(0, trials, _TOGETHER):
        rng = np.random.default_rng([seed, at, *scenario.code.encode()])
        parts.append(_simulate(scenario, min(_TOGETHER, trials - at), tuple(rates), rng, days))
    return Simulated(
        requests=np.concatenate([p.requests for p in parts]),
        cold_hits={rate: np.concatenate([p.cold_hits[rate] for p in parts]) for rate in rates},
    )


def resample(
    requests: Ints, cold_hits: Ints, *, trials: int, rng: np.random.Generator, days: int = 14, block: int = 7
) -> tuple[Ints, Ints]:
    """
    Trials drawn from observed days in circular blocks of neighbouring days, so that what follows what is kept (Politis and Romano 1992).

    Raises:
        ValueError: fewer observed days than a block.
    """
    observed = len(requests)
    if observed < block:
        raise ValueError(f"resampling in blocks of {block} days needs at least {block} days, got {observed}")
    starts = rng.integers(0, observed, size=(trials, -(-days // block)))
    index = ((starts[..., None] + np.arange(block)) % observed).reshape(trials, -1)[:, :days]
    return np.asarray(requests)[index], np.asarray(cold_hits)[index]


def _simulate(scenario: Scenario, trials: int, rates: tuple[float, ...], rng: np.random.Generator, days: int) -> Simulated:
    intensity = _intensity(scenario, trials, rng, days)
    # A Poisson process of unit rate, run through the inverse of the accumulated intensity of all trials laid end to end.
    total = np.concatenate([[0.0], np.cumsum(intensity, axis=None)])
    steps = rng.standard_exponential(rng.poisson(total[-1]) + 1)
    at = np.interp(np.cumsum(steps)[:-1] * (total[-1] / steps.sum()), total, np.arange(len(total), dtype=np.float64))
    day = (at / BINS_A_DAY).astype(np.int64)
    gap, first = np.diff(at, prepend=0.0), np.diff(day // days, prepend=-1) > 0
    requests = np.bincount(day, weights=scenario.session - first, minlength=trials * days).astype(np.int64)
    gap, day = gap[~first], day[~first]
    cold_hits = {}
    for rate in rates:
        cold = min(len(gap) - 1, round(rate * int(requests.sum())))
        timeout = np.partition(gap, len(gap) - cold - 1)[len(gap) - cold - 1]
        cold_hits[rate] = np.bincount(day[gap > timeout], minlength=trials * days).reshape(trials, days)
    return Simulated(requests=requests.reshape(trials, days), cold_hits=cold_hits)


def _intensity(scenario: Scenario, trials: int, rng: np.random.Generator, days: int) -> Floats:
    """Sessions expected in each bin: trials x (days x BINS_A_DAY)."""
    bins = days * BINS_A_DAY
    hour, day = (np.arange(bins) % BINS_A_DAY + 0.5) * 24 / BINS_A_DAY, np.arange(bins) // BINS_A_DAY
    wave = scenario.day_wave * np.cos(2 * np.pi * (hour - 14) / 24)
    noise = _weather(trials, bins, rng, hours=scenario.weather_hours, sd=scenario.weather_sd)
    levels = np.repeat(rng.normal(0, scenario.day_sd, (trials, days)), BINS_A_DAY, axis=1) if scenario.day_sd else 0.0
    shape = 1 + wave if scenario.office_night is None else np.where((hour >= 9) & (hour < 18), 1.0, scenario.office_night)
    weekly = np.where(day % 7 >= 5, scenario.weekend, 1.0)
    intensity = shape * weekly * (1 + scenario.growth_per_day) ** day * np.exp(noise + levels)
    return intensity * (scenario.requests_per_day * days / scenario.session / bins / intensity.mean())


def _weather(trials: int, bins: int, rng: np.random.Generator, *, hours: float, sd: float) -> Floats:
    if sd == 0:
        return np.zeros((trials, bins))
    keep = np.exp(-24 / BINS_A_DAY / hours)
    steps = rng.normal(0, sd * np.sqrt(1 - keep * keep), (bins, trials))
    steps[0] = rng.normal(0, sd, trials)
    for i in range(1, bins):
        steps[i] += keep * steps[i - 1]
    return np.ascontiguousarray(steps.T)
