"""Faults of the platforms' APIs: refusals, silence, broken answers, expired tokens and credentials."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from faults import answers
from faults.ground import Ground, collect, disturbed, ground, hurried
from faults.outcome import Outcome, difference, ledger
from faults.wire import Bend
from trial import pulls
from trial.config import Trial
from trial.errors import Denied, FortnightError, Malformed, Unreachable
from trial.store import Store

RUNS, QUICK_RUNS = 5, 1
# JSON that breaks off under the API's own content type was cut on its way, and is worth another try.
_TOLD_AS = {"truncated": Unreachable, "html": Malformed, "other": Malformed}


def throttles(folder: Path, *, quick: bool) -> Outcome:
    out = Outcome(name="throttles", injected="30 % of all calls are throttled, each on its own")
    return _shares(out, folder, quick, lambda seed: answers.refused(share=0.3, kind="throttle", seed=seed))


def server_errors(folder: Path, *, quick: bool) -> Outcome:
    out = Outcome(name="server-errors", injected="30 % of all calls end in a 5xx")
    return _shares(out, folder, quick, lambda seed: answers.refused(share=0.3, kind="error", seed=seed))


def cut_answers(folder: Path, *, quick: bool) -> Outcome:
    out = Outcome(name="cut-answers", injected="30 % of HTTP bodies cut in the middle, 30 % of connections reset")
    return _shares(out, folder, quick, lambda seed: answers.cut(share=0.3, seed=seed))


def timeouts(folder: Path, *, quick: bool) -> Outcome:
    """With time-outs of tenths of seconds in place of the clients' 30 and 60 s."""
    out = Outcome(name="timeouts", injected="20 % of answers come after the client's time-out")
    return _shares(out, folder, quick, lambda seed: answers.slow(share=0.2, seconds=0.6, seed=seed), clients=partial(_impatient, 0.3))


def _shares(out: Outcome, folder: Path, quick: bool, bend: Callable[[int], Bend], *, clients=hurried) -> Outcome:
    """Each seed: a disturbed collection, then an undisturbed one; the second must mend whatever the first left."""
    calls = failed = 0
    with ground(folder) as made:
        reference = _reference(made)
        for seed in range(QUICK_RUNS if quick else RUNS):
            with disturbed(made, bend(seed)) as addresses:
                run = collect(made.trial(f"run-{seed}", addresses=addresses), now=made.now, days=_days(made), open_clients=clients)
                calls += sum(addresses.calls.values())
            failed += len(run.failures)
            trial = made.trial(f"run-{seed}")
            # A source that answers again now and then is no reason to give up: everything here is worth another try.
            odd = [str(f) for f in run.failures]
            collect(trial, now=made.now, days=_days(made))
            out.judge(difference(trial, reference), *odd)
    out.notes.append(f"{calls} calls; {failed} of {out.runs * 3} endpoint collections gave up and were made whole by the next")
    return out


def expired_page_tokens(folder: Path, *, quick: bool) -> Outcome:
    """A list that takes longer than its token lives is begun anew by the next try."""
    out = Outcome(name="expired-tokens", injected="the page token of the n-th page has expired")
    with ground(folder) as made:
        reference = _reference(made)
        for at in (2,) if quick else (1, 2, 3, 4):
            with disturbed(made, answers.expired_token(at=at)) as addresses:
                trial = made.trial(f"run-{at}", addresses=addresses)
                run = collect(trial, now=made.now, days=_days(made))
            out.judge(difference(trial, reference), *(str(f) for f in run.failures))
            out.notes = [f"mended within the same collection, {run.pulls} pulls for 3 endpoints"]
    return out


def expired_credentials(folder: Path, *, quick: bool) -> Outcome:
    """Said at once, never retried; what was stored before stays."""
    out = Outcome(name="expired-credentials", injected="from the n-th call on every credential has expired")
    with ground(folder) as made:
        reference = _reference(made)
        for after in (1,) if quick else (0, 1, 2, 3, 5):
            problems = []
            with disturbed(made, answers.expired_credentials(after=after)) as addresses:
                trial = made.trial(f"run-{after}", addresses=addresses)
                run = collect(trial, now=made.now, days=_days(made))
                problems += [f"not told as a denial: {f}" for f in run.failures if not isinstance(f, Denied)]
                # RunPod's lines are files; only its bill is behind the key, and a bill that cannot be read stops nothing.
                problems += [] if len(run.failures) == 2 or after >= 5 else [f"{len(run.failures)} endpoints failed"]
                problems += [] if run.pulls <= 3 else ["a denial was tried again"]
                problems += _noted_as_failed(trial, run.failures)
            trial = made.trial(f"run-{after}")
            collect(trial, now=made.now, days=_days(made))
            out.judge(difference(trial, reference), *problems)
    out.notes.append("one line that says to sign in; no retry")
    return out


def malformed_bodies(folder: Path, *, quick: bool) -> Outcome:
    out = Outcome(name="malformed-bodies", injected="truncated JSON, a sign-in page, another API's JSON, from the n-th call on")
    with ground(folder) as made:
        reference = _reference(made)
        kinds = ("truncated", "html", "other")
        for kind, at in [(kinds[1], 2)] if quick else [(kind, at) for kind in kinds for at in (1, 3)]:
            name = f"run-{kind}-{at}"
            with disturbed(made, answers.malformed(kind=kind, at=at)) as addresses:
                trial = made.trial(name, addresses=addresses)
                run = collect(trial, now=made.now, days=_days(made), tries=2)
                problems = [] if len(run.failures) == 2 else [f"{kind}: {len(run.failures)} of 2 endpoints failed: {run.failures}"]
                problems += [f"{kind}: {f!r}" for f in run.failures[:1] if not isinstance(f, _TOLD_AS[kind])]
            trial = made.trial(name)
            collect(trial, now=made.now, days=_days(made))
            out.judge(difference(trial, reference), *problems)
    out.notes.append("named as no answer of this API; nothing of them is stored")
    return out


def disordered_pages(folder: Path, *, quick: bool) -> Outcome:
    """Order is none of the result's business, and a second copy is counted as a duplicate, once per pull."""
    out = Outcome(name="disordered-pages", injected="pages in any order, a tenth of their events twice")
    with ground(folder) as made:
        reference = _reference(made)
        for seed in range(QUICK_RUNS if quick else RUNS):
            with disturbed(made, answers.disordered(share=0.0, seed=seed, twice={})) as addresses:
                trial = made.trial(f"shuffled-{seed}", addresses=addresses)
                run = collect(trial, now=made.now, days=_days(made))
                out.judge(difference(trial, reference), *(str(f) for f in run.failures))
            twice: dict[str, int] = {}
            with disturbed(made, answers.disordered(share=0.1, seed=seed, twice=twice)) as addresses:
                trial = made.trial(f"twice-{seed}", addresses=addresses)
                collect(trial, now=made.now)
                out.runs += 1
                problem = _only_duplicates(trial, reference, twice)
                out.survived += problem is None
                out.problems += [problem] if problem else []
    out.notes.append("each second copy is a duplicate in the ledger; requests and bytes of the invocations are the same")
    return out


def _only_duplicates(trial: Trial, reference: Trial, twice: dict[str, int]) -> str | None:
    here, there = ledger(trial), ledger(reference)
    for endpoint in trial.endpoints:
        names = {name: count - there[endpoint.name][name] for name, count in here[endpoint.name].items()}
        more = {name: count for name, count in names.items() if count}
        if more.get("duplicate", 0) != more.get("read", 0) or set(more) - {"read", "duplicate"}:
            return f"{endpoint.name}: the ledger differs by {more}"
        if endpoint.platform in twice and not 0 < more.get("duplicate", 0) <= twice[endpoint.platform]:
            return f"{endpoint.name}: {more} for {twice} second copies"
        rows = [Store.at(t.store_url).table("invocations", endpoint.name) for t in (trial, reference)]
        if not rows[0].equals(rows[1]):
            return f"{endpoint.name}: other invocations"
    return None


def _noted_as_failed(trial: Trial, failures: list[FortnightError]) -> list[str]:
    noted = [p for e in trial.endpoints for p in pulls.read(Store.at(trial.store_url).files, endpoint=e.name) if p.failed]
    return [] if len(noted) <= len(failures) else [f"{len(noted)} failed pulls noted for {len(failures)} failures"]


def _reference(made: Ground) -> Trial:
    trial = made.trial("reference")
    run = collect(trial, now=made.now, days=_days(made))
    assert not run.failures, run.failures
    return trial


def _days(made: Ground) -> list:
    return made.world.calendar.all_days()


def _impatient(timeout_s: float, endpoint, trial: Trial, *, now):
    return impatient(endpoint, trial, now=now, timeout_s=timeout_s)


def impatient(endpoint, trial: Trial, *, now, timeout_s: float):
    """The clients of `hurried`, which wait only so long for an answer."""
    import contextlib
    from dataclasses import replace

    @contextlib.contextmanager
    def opened():
        with hurried(endpoint, trial, now=now, timeout_s=timeout_s) as clients:
            if endpoint.platform == "aws-lambda":
                made = {name: _again(getattr(clients, name), timeout_s) for name in ("logs", "metrics")}
                try:
                    yield replace(clients, **made)
                finally:
                    for client in made.values():
                        client.close()
            elif endpoint.platform == "runpod":
                clients.http.timeout = timeout_s
                yield clients
            else:
                yield clients

    return opened()


def _again(client, timeout_s: float):
    import boto3

    config = client.meta.config.merge(type(client.meta.config)(read_timeout=timeout_s))
    return boto3.client(client.meta.service_model.service_name, endpoint_url=client.meta.endpoint_url, config=config)
