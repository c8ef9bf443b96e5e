"""`fortnight verify`: recomputes everything from the raw bytes and checks the hash chain; changes nothing."""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from trial import config


def run(path: Path, *, quick: bool, as_json: bool) -> int:
    """The exit code: 1 if anything is not as it was left, else 0."""
    from flows import verifying, wiring
    from trial.store import Store

    trial = config.load(path)
    store = Store.at(trial.store_url)
    with tempfile.TemporaryDirectory(prefix="fortnight-verify-") as scratch, _steps() as on_step:
        outcome = verifying.verify(trial, store, now=wiring.now(), scratch=None if quick else Path(scratch), on_step=on_step)
    if as_json:
        print(json.dumps(verifying.document(trial, outcome), indent=1))
        return 0 if outcome.ok else 1
    for finding in outcome.findings:
        # Names of files and settings may hold control sequences that a terminal would obey.
        print("".join(c if c.isprintable() else repr(c)[1:-1] for c in str(finding)))
    done = outcome.checked
    print(
        f"{done['files']:,} files ({done['bytes']:,} bytes), {done['manifests']} manifests and {done['links']} lines of the chain checked,"
        f" {done['days_recomputed']} days recomputed: {'nothing was changed' if outcome.ok else 'not as it was left'}."
    )
    for verdict in outcome.verdicts:
        print(f"{verdict.endpoint}: {verdict.decision}, from the raw events of {verdict.days} days")
    if outcome.head:
        print(f"chain head {outcome.head}")
    return 0 if outcome.ok else 1


@contextlib.contextmanager
def _steps() -> Iterator[Callable[[str], None]]:
    """What is looked at, on standard error for whoever watches."""
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _: None
        return
    with console.status("verifying") as status:
        yield lambda step: status.update(f"verifying {step.rsplit('/', 1)[0]}")
