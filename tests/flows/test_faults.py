"""The quick part of the fault suite: `python -m faults` runs all of it, some hundreds of kills and both services besides."""

import os
import time

import pytest

from faults.catalogue import FAULTS

# Prefect's and MLflow's processes take most of a minute to start; tests/flows/test_daily.py has them once for all its tests.
# Two processes on two endpoints meet nowhere that two on the same endpoints do not.
QUICK = sorted(FAULTS.keys() - {"services-away", "two-endpoints"})


@pytest.mark.parametrize("name", QUICK)
def test_survived(name, tmp_path):
    outcome = FAULTS[name](tmp_path, quick=True)
    assert outcome.ok, outcome.problems
    assert (outcome.lost, outcome.double) == (0, 0)


def test_a_lost_line_is_noticed(tmp_path):
    """The suite itself: a store that lacks a line, or counts one twice, does not pass."""
    from faults.ground import collect, ground
    from faults.outcome import Outcome, difference
    from trial import raw
    from trial.store import Store

    with ground(tmp_path, scale=0.05) as made:
        reference, trial = made.trial("reference"), made.trial("run")
        collect(reference, now=made.now)
        day, name = made.world.calendar.start, "summariser-lambda"
        events = list(raw.read(Store.at(reference.store_url).files, endpoint=name, day=day, source="cloudwatch-logs"))
        files = Store.at(trial.store_url).files
        raw.merge(files, endpoint=name, events=[*events[1:], events[1]], day_of=trial.calendar.day_of)
        found = difference(trial, reference)
        assert found.double == 1
        assert found.lost > len(events) // 2  # the other endpoints' lines, and one of this one's
        outcome = Outcome(name="x", injected="x")
        outcome.judge(found)
        assert not outcome.ok


def test_drafts_of_killed_processes_are_swept_after_a_day(tmp_path):
    from trial.files import Files

    files = Files.at(str(tmp_path))
    old, young = tmp_path / ".scratch" / "old", tmp_path / ".scratch" / "young"
    for folder in (old, young):
        folder.mkdir(parents=True)
        (folder / "draft").write_bytes(b"half")
    day_ago = time.time() - 25 * 3600
    os.utime(old, (day_ago, day_ago))
    files.write("x", b"1")
    assert (old.exists(), young.exists(), files.read("x")) == (False, True, b"1")


def test_an_answer_cut_in_the_middle_is_asked_for_again_and_never_read_as_an_empty_day():
    from collectors.aws_errors import ATTEMPTS, whole
    from trial.errors import Malformed, Unreachable

    def page(kind, **data):
        return {**data, "ResponseMetadata": {"HTTPHeaders": {"content-type": kind}, "RetryAttempts": 0}}

    cut, good, web = page("application/x-amz-json-1.1"), page("application/x-amz-json-1.1", events=[]), page("text/html")
    answers = iter([cut, cut, good])
    found = whole(lambda: next(answers), key="events", where="x")
    assert (found["events"], found["ResponseMetadata"]["RetryAttempts"]) == ([], 2)
    with pytest.raises(Unreachable, match="cut off"):
        whole(lambda: cut, key="events", where="x")
    answers = iter([web, *[good] * ATTEMPTS])
    with pytest.raises(Malformed):
        whole(lambda: next(answers), key="events", where="x")
