"""`fortnight verdict`: what the evidence supports now, and what it does not."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path

from trial import config
from trial.config import Trial
from trial.results import TrialResult

EXIT = {"evaluate-dedicated": 10, "not-decided": 20, "stay-serverless": 0}


def run(path: Path, *, endpoint: str | None, plan: bool, as_json: bool) -> int:
    """The exit code: 10 if an endpoint says evaluate-dedicated, else 20 if one is not decided, else 0."""
    from analysis.judging.verdict_json import verdict_json
    from flows import results, wiring
    from trial.store import Store

    trial = config.load(path)
    if plan:
        _plan(trial, endpoint, as_json)
        return 0
    names = [trial.endpoint(endpoint).name] if endpoint else None
    result = results.gather(trial, Store.at(trial.store_url), now=wiring.now(), names=names)
    if as_json:
        print(json.dumps(verdict_json(result.trial, result.as_of, result.endpoints, dedicated=result.dedicated), indent=1, allow_nan=False))
    else:
        _print(result)
    decisions = {e.verdict.decision for e in result.endpoints}
    return next((EXIT[d] for d in ("evaluate-dedicated", "not-decided") if d in decisions), 0)


def _plan(trial: Trial, endpoint: str | None, as_json: bool) -> None:
    from analysis.judging.planning import plan
    from trial.store import Store

    store = Store.at(trial.store_url)
    chosen = [trial.endpoint(endpoint)] if endpoint else list(trial.endpoints)
    plans = {e.name: plan([m.summary for m in store.manifests(e.name)], trial=trial.trial) for e in chosen}
    if as_json:
        rows = [{"endpoint": name, **made.to_json()} for name, made in plans.items()]
        print(json.dumps({"trial": trial.trial.name, "plans": rows}, indent=1))
        return
    for name, made in plans.items():
        print(name)
        for sentence in made.sentences:
            print(textwrap.fill(sentence, width=96, initial_indent="  ", subsequent_indent="  "))


def _print(result: TrialResult) -> None:
    from rich.console import Console

    width = min(Console().width, 110)
    for endpoint in result.endpoints:
        verdict = endpoint.verdict
        realised = "no requests" if verdict.realised is None else f"{verdict.realised:.1%}"
        long_run = f"{verdict.long_run.low:.1%} to {verdict.long_run.high:.1%}"
        rates = (
            f"cold-hit rate of these {verdict.days} days {realised}; of traffic like this {long_run};"
            f" threshold {verdict.threshold:.0%}; the plain rule says {verdict.rule}"
        )
        print(f"{endpoint.endpoint} ({endpoint.platform}): {verdict.decision}, {verdict.evidence}")
        print(textwrap.fill(rates, width=width, initial_indent="  ", subsequent_indent="  "))
        for reason in verdict.reasons:
            print(textwrap.fill(reason, width=width, initial_indent="  - ", subsequent_indent="    "))
