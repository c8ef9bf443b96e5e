"""Faults of time: a clock that is off, lines that arrive days late, a schedule that was down."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from faults import answers
from faults.ground import EARLY, Ground, collect, disturbed, ground
from faults.outcome import Outcome, difference, ledger
from flows import collecting
from trial.config import Trial
from trial.errors import Denied
from trial.store import Store

DAY = timedelta(days=1)
WATERMARK = timedelta(minutes=16)


def clock_skew(folder: Path, *, quick: bool) -> Outcome:
    """This machine's clock is minutes off the sources': a day may be read before it has ended there, or its last lines are there."""
    out = Outcome(name="clock-skew", injected="this machine's clock is minutes fast or slow")
    with ground(folder, days=2, scale=0.1) as made:
        reference = made.trial("reference")
        _daily(made, reference, at=EARLY, days=4)
        for minutes in (10,) if quick else (-12, -5, 5, 12, 40):
            trial = made.trial(f"run{minutes}")
            skew = timedelta(minutes=minutes)
            # Once as early as this machine believes the watermark to be over, then every night.
            _daily(made, trial, at=WATERMARK - skew, days=2, skew=skew)
            _daily(made, trial, at=EARLY, days=4, skew=skew)
            out.judge(difference(trial, reference, same_runs=False))
        with disturbed(made, answers.skewed_signature()) as addresses:
            run = collect(made.trial("refused", addresses=addresses), now=made.now, only=("summariser-lambda",))
        told = bool(run.failures) and isinstance(run.failures[0], Denied) and "clock" in str(run.failures[0])
        out.judge(difference(reference, reference), None if told and run.pulls <= 2 else f"a refused signature: {run.failures}")
    out.notes.append("the look-back reads such days again; a signature refused for its time says to set the clock")
    return out


def late_events(folder: Path, *, quick: bool) -> Outcome:
    """Lines up to 13 days late: beyond the look-back of the daily runs, and within the last collection, which reads every day again."""
    out = Outcome(name="late-events", injected="events that arrive up to 13 days late")
    for seed in (3,) if quick else (3, 4, 5):
        with ground(folder / str(seed), seed=seed, days=2, scale=0.2, cases={"very-late"}) as made:
            trial, reference, days = made.trial("run"), made.trial("reference"), made.world.calendar.all_days()
            _daily(made, trial, at=EARLY, days=4)
            before = sum(total["read"] for total in ledger(trial).values())
            made.world.set_now(made.world.calendar.window(days[-1]).end + 14 * DAY)
            for store in (trial, reference):
                assert not collect(store, now=made.now, days=days).failures
            after = sum(total["read"] for total in ledger(trial).values())
            problem = None if after > before else "no line was late"
            out.judge(difference(trial, reference, same_runs=False), problem)
            out.notes = [f"{after - before} of {after} lines came after the look-back and were read by the last collection"]
    return out


def schedule_down(folder: Path, *, quick: bool) -> Outcome:
    """
    The machine that runs the schedule is off for three days and then goes on: the next runs make up for the missed days and
    for the look-back that did not happen, within what the sources keep, and say which workers' logs nobody can read any more.
    """
    out = Outcome(name="schedule-down", injected="no run for three days, then the daily ones go on")
    for seed in (3,) if quick else (3, 4, 5):
        with ground(folder / str(seed), seed=seed, days=5, scale=0.1 if quick else 0.25) as made:
            reference, trial = made.trial("reference"), made.trial("run")
            _daily(made, reference, at=EARLY, days=7, harvest=True)
            _daily(made, trial, at=EARLY, days=7, down=(1, 2, 3), harvest=True)
            gaps = collecting.harvest_gaps(Store.at(trial.store_url), "summariser-runpod", calendar=trial.calendar)
            hours = [round((b - a) / timedelta(hours=1)) for a, b in gaps if b]
            problem = None if 96 in hours else f"the lost logs of RunPod's workers: {hours} h"
            out.judge(difference(trial, reference, same_runs=False), problem)
    out.notes.append("says for ever lost: logs of RunPod's workers between the two harvests, but for lines that were shipped")
    return out


def _daily(
    made: Ground,
    trial: Trial,
    *,
    at: timedelta,
    days: int,
    skew: timedelta = timedelta(0),
    down: tuple[int, ...] = (),
    harvest: bool = False,
) -> None:
    """The daily runs, so long after each midnight by the sources' clock; this machine's is `skew` ahead."""
    late, first = made.now, made.world.calendar.window(made.world.calendar.start).end
    try:
        for number in range(days):
            if number in down:
                continue
            made.world.set_now(first + number * DAY + at)
            if harvest:
                for endpoint in trial.endpoints:
                    if endpoint.platform == "runpod":
                        collecting.harvest_workers(trial, endpoint, now=made.now + skew)
            run = collect(trial, now=made.now + skew)
            assert not run.failures, run.failures
    finally:
        made.world.set_now(late)
