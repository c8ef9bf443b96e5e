"""What came of one fault: how often it was injected, how often nothing was lost, and what was lost where something was."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from trial import raw
from trial.config import Trial
from trial.errors import StoreError
from trial.store import Store

# Compared byte for byte; what a collection took (pulls) and when it wrote (chain) are facts about the runs themselves.
RESULTS = ("raw", "invocations", "instances", "quarantine", "days")


@dataclass(slots=True, kw_only=True)
class Outcome:
    """
    Mutable on purpose: it fills while a fault is tried.

    Args:
        name: the fault's, as `--only` takes it.
        injected: what was done, in one line.
        runs, survived: disturbed runs, and those after which an undisturbed one gave the undisturbed bytes.
        lost, double: lines missing from the raw store after that, and lines counted more often than they came.
        problems: one sentence for each run that did not survive.
    """

    name: str
    injected: str
    runs: int = 0
    survived: int = 0
    lost: int = 0
    double: int = 0
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def judge(self, difference: Difference, *problems: str | None) -> None:
        """Counts one run."""
        found = [p for p in (*difference.files, *problems) if p]
        self.runs += 1
        self.survived += not found
        self.lost += difference.lost
        self.double += difference.double
        self.problems += found[:3]

    @property
    def ok(self) -> bool:
        return self.runs > 0 and self.survived == self.runs and not (self.lost or self.double)


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """How a store's results differ from the undisturbed ones."""

    files: tuple[str, ...] = ()
    lost: int = 0
    double: int = 0


SAME = Difference()


def difference(trial: Trial, reference: Trial, *, same_runs: bool = True) -> Difference:
    """
    Byte for byte; only where bytes differ are the lines counted.

    Args:
        same_runs: False where the days were collected at other times: then a manifest's list of the raw files it was
            computed from differs by right, since a neighbouring day's file has another name before its late lines.
    """
    found, wanted = (snapshot(Path(t.store_url), raw_names=same_runs) for t in (trial, reference))
    if found == wanted:
        return SAME
    names = sorted(name for name in found.keys() | wanted.keys() if found.get(name) != wanted.get(name))
    try:
        here, there = lines(trial), lines(reference)
    except StoreError as exc:
        return Difference(files=(f"the raw events cannot be read: {exc}",))
    return Difference(
        files=(f"{len(names)} files differ, first {names[0]}",), lost=sum((there - here).values()), double=sum((here - there).values())
    )


def snapshot(root: Path, *, raw_names: bool = True) -> dict[str, str]:
    """SHA-256 of every result file by its name."""

    def content(path: Path) -> bytes:
        if raw_names or path.suffix != ".json":
            return path.read_bytes()
        return json.dumps({k: v for k, v in json.loads(path.read_text()).items() if k != "raw"}, sort_keys=True).encode()

    return {
        str(path.relative_to(root)): hashlib.sha256(content(path)).hexdigest()
        for folder in RESULTS
        for path in sorted((root / folder).rglob("*"))
        if path.is_file()
    }


def lines(trial: Trial) -> Counter[tuple[str, str, str, str, datetime]]:
    """How often each line of the raw store is counted, by endpoint, source, stream, id and time."""
    files, found = Store.at(trial.store_url).files, Counter()
    for endpoint in trial.endpoints:
        places = {
            (part[2].removeprefix("day="), part[3].removeprefix("source="))
            for part in (name.split("/") for name in files.list(f"raw/endpoint={endpoint.name}"))
        }
        for day, source in sorted(places):
            for event in raw.read(files, endpoint=endpoint.name, day=datetime.fromisoformat(day).date(), source=source):
                found[endpoint.name, source, event.stream, event.event_id, event.at] += event.copies
    return found


def ledger(trial: Trial) -> dict[str, Counter[str]]:
    """The five numbers of the line ledger by endpoint, over all days."""
    totals: dict[str, Counter[str]] = {}
    for endpoint in trial.endpoints:
        total = totals.setdefault(endpoint.name, Counter())
        for manifest in Store.at(trial.store_url).manifests(endpoint.name):
            total.update(manifest.summary.ledger_totals())
    return totals


def readable(trial: Trial) -> str | None:
    """
    Whether what is visible of a store is whole: each manifest's files are there, are what their names say, and hold as many
    requests as its summary.

    Returns:
        what the store itself says is wrong; None where nothing is.

    Raises:
        AssertionError: something is wrong and the store does not say so.
    """
    store = Store.at(trial.store_url)
    try:
        for endpoint in trial.endpoints:
            for manifest in store.manifests(endpoint.name):
                rows = store.table("invocations", endpoint.name, [manifest.day]).num_rows
                summary = manifest.summary
                counted = summary.requests + summary.synthetic + summary.aborted
                assert rows == counted, f"{endpoint.name} {manifest.day}: {rows} rows, {counted} counted"
                for name in (file for group in manifest.files.values() for file in group):
                    assert hashlib.sha256(store.files.read(name)).hexdigest() in name, f"{name} is not what its name says"
            lines(trial)
    except StoreError as exc:
        return str(exc)
    return None
