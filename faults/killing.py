"""kill -9 at every step of a collection, and at random moments."""

from __future__ import annotations

import os
import random
import shutil
import time
from pathlib import Path

from faults.ground import Ground, ground
from faults.nursery import Child, Grow, Line, nursery
from faults.outcome import Outcome, difference, readable
from flows import verifying
from sandbox.plans import default_plans
from trial.config import Trial
from trial.store import Store

LONGEST_S, KILLS, QUICK_KILLS = 150.0, 360, 8


def kills(folder: Path, *, quick: bool) -> Outcome:
    """
    From an empty store and from one that holds the day without its late lines: killed right before each line of the
    store's code that a collection runs (the first, second, middle and last time), and after random delays.
    """
    out = Outcome(name="kill-9", injected="SIGKILL at every step of a collection, and after random delays")
    plans = [plan for plan in default_plans() if plan.platform in ("aws-lambda", "runpod")]
    with ground(folder, scale=0.08, plans=plans) as made, nursery() as grow:
        starts, reference = _starts(made, grow)
        plan = _plan(made, grow, starts, quick)
        begun, steps, left = time.monotonic(), set(), 0
        for number, (start, kill, after_s) in enumerate(plan):
            if time.monotonic() - begun > LONGEST_S:
                out.notes.append(f"stopped after {LONGEST_S:.0f} s, {len(plan) - number} kills short")
                break
            toml, trial = _fresh(made, f"run-{number}", starts[start])
            (killed,) = grow(_child(made, toml, kill=kill, kill_after_s=after_s))
            problems = [f"{kill or after_s}: {killed.crash}" if killed.crash else None, _visible(trial, str(kill or after_s))]
            left += _left_over(trial)
            (mended,) = grow(_child(made, toml))
            problems += [mended.crash, *mended.failures, _verified(trial, made)]
            out.judge(difference(trial, reference), *problems)
            steps |= {(kill.file, kill.number)} if kill and killed.killed else set()
            shutil.rmtree(trial.store_url)
        lines = {(kill.file, kill.number) for _, kill, _ in plan if kill}
        out.notes.insert(0, f"at {len(steps)} of {len(lines)} lines of code; {left} left drafts, which the next day's run sweeps")
    return out


def _starts(made: Ground, grow: Grow) -> tuple[dict[str, Path | None], Trial]:
    """What a killed collection finds: nothing, or the day as it was before its late lines; and what the mended one must leave."""
    grow(_child(made, made.toml("warm"), here=True))
    with made.early():
        grow(_child(made, made.toml("early")))
    reference = made.toml("reference")
    (ended,) = grow(_child(made, reference))
    assert not (ended.crash or ended.failures), ended
    return {"empty": None, "early": made.folder / "early"}, made.trial("reference")


def _plan(made: Ground, grow: Grow, starts: dict[str, Path | None], quick: bool) -> list[tuple[str, Line | None, float | None]]:
    rng = random.Random(11)
    planned: list[tuple[str, Line | None, float | None]] = []
    took: dict[str, float] = {}
    for start, before in starts.items():
        toml, trial = _fresh(made, f"count-{start}", before)
        (counted,) = grow(_child(made, toml, count=True))
        planned += [(start, step, None) for step in counted.steps]
        assert counted.steps, counted
        shutil.rmtree(trial.store_url)
        toml, trial = _fresh(made, f"time-{start}", before)
        begun = time.monotonic()
        grow(_child(made, toml))
        took[start] = time.monotonic() - begun
    first = [one for one in planned if one[1] and one[1].nth == 1]
    later = [one for one in planned if one[1] and one[1].nth > 1]
    delays = [(start, None, rng.uniform(0, took[start])) for start in starts for _ in range(KILLS // 8)]
    for some in (first, later):
        rng.shuffle(some)
    # Each line once before any line from the other start.
    once = {(step.file, step.number): (start, step, after_s) for start, step, after_s in first if step}
    again = [one for one in first if one not in once.values()]
    return rng.sample([*first, *delays], QUICK_KILLS) if quick else [*delays, *once.values(), *again, *later][:KILLS]


def _fresh(made: Ground, name: str, before: Path | None) -> tuple[Path, Trial]:
    if before is not None:
        shutil.copytree(before, made.folder / name)
    return made.toml(name), made.trial(name)


def _child(made: Ground, toml: Path, **how: object) -> Child:
    return Child(toml=str(toml), now=made.now.isoformat(), **how)


def _visible(trial: Trial, where: str) -> str | None:
    """Right after the kill what can be read must be whole: nothing half, and no error either."""
    if not Path(trial.store_url).exists():
        return None
    try:
        said = readable(trial)
    except AssertionError as exc:
        said = str(exc)
    return said and f"{where}: {said}"


def _verified(trial: Trial, made: Ground) -> str | None:
    found = verifying.verify(trial, Store.at(trial.store_url), now=made.now, scratch=None)
    bad = [str(f) for f in found.findings if f.kind in ("changed", "missing", "differs")]
    return f"verify: {bad[0]}" if bad else None


def _left_over(trial: Trial) -> int:
    scratch = Path(trial.store_url) / ".scratch"
    return len(os.listdir(scratch)) if scratch.exists() else 0
