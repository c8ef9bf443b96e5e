"""Two collectors at once on one store."""

from __future__ import annotations

from pathlib import Path

from faults.ground import ARRIVED, EARLY, ground
from faults.nursery import Child, nursery
from faults.outcome import Outcome, difference, readable
from flows import verifying
from sandbox.plans import default_plans
from trial.store import Store


def same_endpoint(folder: Path, *, quick: bool) -> Outcome:
    """
    Two slowed processes collect the same endpoints, one of them having fetched before the late lines were there: at no time
    may either undo the other's work.
    """
    return _at_once(Outcome(name="two-collectors", injected="two processes collect the same endpoints"), folder, quick, apart=False)


def other_endpoints(folder: Path, *, quick: bool) -> Outcome:
    return _at_once(Outcome(name="two-endpoints", injected="two processes collect an endpoint each"), folder, quick, apart=True)


def _at_once(out: Outcome, folder: Path, quick: bool, *, apart: bool) -> Outcome:
    plans = [plan for plan in default_plans() if plan.platform in ("aws-lambda", "runpod")]
    names = [plan.name for plan in plans]
    with (
        ground(folder / "late", scale=0.08, plans=plans) as made,
        ground(folder / "early", scale=0.08, plans=plans) as before,
        nursery() as grow,
    ):
        late = made.now
        before.world.set_now(late - ARRIVED + EARLY)
        grow(Child(toml=str(made.toml("warm")), now=late.isoformat(), here=True))
        reference = made.trial("reference")
        grow(Child(toml=str(made.toml("reference")), now=late.isoformat()))
        for seed in range(2 if quick else 6 if apart else 10):
            toml = made.toml(f"run-{seed}")
            if seed % 2:
                # Every second pair meets a store that has the day without its late lines.
                with made.early() as early:
                    grow(Child(toml=str(toml), now=early.isoformat()))
            # The second sees the sources as they were before the late lines.
            tomls = (toml, toml) if apart else (toml, before.toml(f"run-{seed}", store=Path(made.trial(f"run-{seed}").store_url)))
            pair = [
                Child(toml=str(tomls[i]), now=late.isoformat(), only=(names[i],) if apart else (), slow_s=0.005, seed=seed * 2 + i)
                for i in range(2)
            ]
            ended = grow(*pair)
            trial = made.trial(f"run-{seed}")
            problems = [e.crash for e in ended] + [f for e in ended for f in e.failures]
            try:
                problems.append(readable(trial))
            except AssertionError as exc:
                problems.append(str(exc))
            found = verifying.verify(trial, Store.at(trial.store_url), now=late, scratch=None)
            problems += [f"verify: {f}" for f in found.findings if f.kind in ("changed", "missing", "differs", "unfinished")]
            out.judge(difference(trial, reference), *problems)
    out.notes.append("the same bytes with no further run")
    return out
