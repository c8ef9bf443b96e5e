"""`fortnight calibrate`: how often the verdict is wrong, measured on simulated trials, on real streams and on the team's own days."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from analysis.judging.calibration import RESAMPLED, calibrate, calibrate_days
from analysis.judging.scenarios import SCENARIOS
from trial import config
from trial.errors import ConfigError


def run(path: Path, *, scenarios: list[str] | None, own: bool, trials: int, seed: int, as_json: bool) -> None:
    known = (*SCENARIOS, RESAMPLED)
    unknown = [name for name in scenarios or () if name not in known]
    if unknown:
        raise ConfigError(f"no scenario {unknown[0]!r}", do=f"Known: {', '.join(known)}")
    results = _own(path, trials, seed) if own else [calibrate(name, trials=trials, seed=seed) for name in scenarios or known]
    if as_json:
        print(json.dumps({"results": [r.to_json() for r in results]}, indent=1))
    else:
        _print(results)


def _own(path: Path, trials: int, seed: int) -> list[Any]:
    from trial.store import Store

    trial = config.load(path)
    store = Store.at(trial.store_url)
    results = []
    for endpoint in trial.endpoints:
        try:
            days = [m.summary for m in store.manifests(endpoint.name)]
            results.append(calibrate_days(days, trial=trial.trial, trials=trials, seed=seed))
        except ValueError as exc:
            raise ConfigError(str(exc), where=f"endpoint {endpoint.name}", do="Calibrate on the scenarios instead") from exc
    return results


def _print(results: list[Any]) -> None:
    for r in results:
        flagged = "none" if r.flagged_false_alarms is None else f"{r.flagged_false_alarms:.0%}"
        print(f"{r.scenario}: {r.name}")
        print(
            f"  {r.trials:,} trials of {r.days} days, about {r.requests_per_day:,.0f} requests a day, design effect {r.design_effect:.1f}"
        )
        wrong = f"false alarms {r.false_alarm[-1]:.1%}, of which flagged {flagged}; contradictions {r.contradiction:.1%}"
        print(f"  true rate at {r.threshold:.0%}: {wrong}")
        for rule, alarms in r.compared.items():
            print(f"    {rule}: {alarms[-1]:.1%}")
        for power in r.rates:
            print(f"  true rate {power.rate:.0%}: {_power(power)}")


def _power(power: Any) -> str:
    from dataclasses import asdict

    values = {k: v for k, v in asdict(power).items() if k != "rate"}
    return ", ".join(f"{k} {_shown(v)}" for k, v in values.items())


def _shown(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return f"{value[-1]:.0%}" if value else "-"
    return f"{value:.1%}" if isinstance(value, float) and value <= 1 else str(value)
