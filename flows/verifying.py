"""Verification: every stored byte against its hash, every hash against the chain, every result against the raw events."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from flows import costs, recomputing
from trial import chain, raw, registration
from trial.config import Trial
from trial.errors import FortnightError
from trial.files import Files
from trial.results import Verdict
from trial.store import TABLES, Manifest, Store

AGAIN = "Collect the day again"
RESTORE = "Restore it from a copy"
_NAMED = re.compile(r"/([0-9a-f]{64})\.(?:ndjson\.zst|parquet)$")
_MANIFEST = re.compile(r"^days/endpoint=([^/]+)/day=(\d{4}-\d{2}-\d{2})\.json$")
_CHUNK = 1 << 20

Kind = Literal["changed", "missing", "unfinished", "differs", "settings", "stale", "note"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """
    One thing that is not as it was left.

    Args:
        kind: "changed" (bytes are not those that were written), "missing", "unfinished" (announced, and not the newest),
            "differs" (the raw events give another result), "settings" (trial.toml or the price book is not the registered
            one); or, without blame, "stale" (later events belong to it) and "note".
    """

    kind: Kind
    where: str
    what: str
    do: str | None = None

    def __str__(self) -> str:
        line = f"{self.kind}: {self.where}: {self.what}"
        return f"{line}. {self.do}" if self.do else line


@dataclass(slots=True, kw_only=True)
class Outcome:
    """Mutable on purpose: it fills while the store is read."""

    findings: list[Finding] = field(default_factory=list)
    checked: dict[str, int] = field(default_factory=lambda: {"files": 0, "bytes": 0, "manifests": 0, "links": 0, "days_recomputed": 0})
    verdicts: tuple[Verdict, ...] = ()
    head: str | None = None

    @property
    def ok(self) -> bool:
        return all(f.kind in ("stale", "note") for f in self.findings)


def verify(trial: Trial, store: Store, *, now: datetime, scratch: Path | None, on_step: Callable[[str], None] = lambda _: None) -> Outcome:
    """
    Reads the whole store and recomputes every day and verdict; changes nothing in it.

    Args:
        scratch: an empty folder on this machine for what is recomputed; None checks bytes and chain alone.
        on_step: told what is looked at, once a file and once a day.

    Raises:
        StoreError: the store cannot be read at all.
        ConfigError: the price book cannot be read.
    """
    outcome = Outcome()
    journal = chain.read(store.files)
    outcome.head = journal.head
    outcome.checked["links"] = len(journal.links)
    outcome.findings += [Finding(kind="changed", where=chain.NAME, what=problem, do=RESTORE) for problem in journal.problems]
    outcome.findings += _registration(trial, store.files, journal)
    damaged = _contents(store.files, outcome, on_step)
    sound = _manifests(store, journal, outcome)
    outcome.findings += _unnamed(store, sound)
    if scratch is not None:
        _recompute(trial, store, sound, damaged, outcome, now=now, scratch=scratch, on_step=on_step)
    return outcome


def _registration(trial: Trial, files: Files, journal: chain.Journal) -> Iterator[Finding]:
    """registration.json against the chain, trial.toml and the price book against registration.json."""
    where = registration.NAME
    announced = journal.registrations()
    earlier: set[str | None] = set()
    for link in announced:
        if earlier and link.replaced not in earlier:
            was = "was missing" if link.replaced is None else "had been changed"
            yield Finding(kind="changed", where=where, what=f"it {was} when line {link.sequence} of the chain replaced it", do=RESTORE)
        earlier.add(link.registration)
    try:
        stored = hashlib.sha256(files.read(where)).hexdigest()
    except FileNotFoundError:
        if announced:
            yield Finding(kind="missing", where=where, what="announced in the chain and not there", do=RESTORE)
        return
    if not announced:
        yield Finding(kind="missing", where=chain.NAME, what="no line about the registration", do="Collect once more to begin a chain")
    elif stored != announced[-1].registration and stored in earlier:
        yield Finding(kind="unfinished", where=where, what="an earlier one than the chain's newest line names", do="Collect once more")
    elif stored != announced[-1].registration:
        yield Finding(kind="changed", where=where, what="not the one the chain names", do=RESTORE)
    try:
        known = registration.read(files)
        before = known.current() if known else {}
    except (FortnightError, KeyError, AttributeError, TypeError) as exc:
        yield Finding(kind="changed", where=where, what=f"cannot be read: {exc}")
        return
    given = registration.settings_of(trial, prices_sha256=costs.book_of(trial).sha256)
    for key in sorted({*before, *given}):
        if before.get(key) != given.get(key):
            what = f"`{key}` was {before.get(key, 'absent')} at the last collection and is {given.get(key, 'absent')}"
            source = "price book" if key == "prices.sha256" else "trial.toml"
            yield Finding(kind="settings", where=source, what=what, do="Set it back, or collect to have the change noted with its date")


def _contents(files: Files, outcome: Outcome, on_step: Callable[[str], None]) -> set[str]:
    """Every content-addressed file against its name; the names of those that are not what they say."""
    damaged = set()
    for folder in ("raw", *TABLES):
        for name in files.list(folder):
            on_step(name)
            found = _NAMED.search(name)
            if found is None:
                outcome.findings.append(Finding(kind="note", where=name, what="not a name Fortnight gives"))
                continue
            digest, size = _sha256(files, name)
            outcome.checked["files"] += 1
            outcome.checked["bytes"] += size
            if digest != found[1]:
                damaged.add(name)
                do = "Delete the file and collect the day again while the source still has it" if folder == "raw" else AGAIN
                outcome.findings.append(Finding(kind="changed", where=name, what="its content is not what its name says", do=do))
    return damaged


def _manifests(store: Store, journal: chain.Journal, outcome: Outcome) -> dict[tuple[str, date], Manifest]:
    """Every manifest against the chain's newest line for it; those that are as they were left, by endpoint and day."""
    sound = {}
    there = set()
    for name in store.files.list("days"):
        found = _MANIFEST.match(name)
        if found is None:
            outcome.findings.append(Finding(kind="note", where=name, what="not a name Fortnight gives"))
            continue
        endpoint, day = found[1], date.fromisoformat(found[2])
        there.add((endpoint, day))
        outcome.checked["manifests"] += 1
        announced = journal.manifests(endpoint, day)
        stored = hashlib.sha256(store.files.read(name)).hexdigest()
        if announced[-1:] != [stored]:
            outcome.findings.append(_not_announced(name, stored, announced))
            continue
        try:
            manifest = store.manifest(endpoint, day)
        except FortnightError as exc:
            outcome.findings.append(Finding(kind="changed", where=name, what=exc.what, do=exc.do))
            continue
        assert manifest is not None
        sound[endpoint, day] = manifest
        for file in _files_of(manifest):
            if not store.files.exists(file):
                outcome.findings.append(Finding(kind="missing", where=file, what=f"{name} names it and it is not there", do=AGAIN))
    for endpoint, day in sorted(journal.days() - there):
        what = "announced in the chain and not there: deleted, or its collection was cut short"
        outcome.findings.append(Finding(kind="missing", where=f"days/endpoint={endpoint}/day={day}.json", what=what, do=AGAIN))
    return sound


def _not_announced(name: str, stored: str, announced: list[str]) -> Finding:
    if not announced:
        what = "no line of the chain names it: written by somebody else, or before there was a chain"
        return Finding(kind="missing", where=chain.NAME, what=f"{name}: {what}", do=AGAIN)
    if stored in announced:
        what = "an earlier one than the chain's newest line names: its collection was cut short, or an old copy was put back"
        return Finding(kind="unfinished", where=name, what=what, do=AGAIN)
    return Finding(kind="changed", where=name, what="not the one the chain names", do=AGAIN)


def _unnamed(store: Store, sound: dict[tuple[str, date], Manifest]) -> Iterator[Finding]:
    named = {file for manifest in sound.values() for file in _files_of(manifest)}
    for table in TABLES:
        for name in store.files.list(table):
            if name not in named:
                yield Finding(kind="note", where=name, what="no sound manifest names it; the day's next collection sweeps it")


def _recompute(
    trial: Trial,
    store: Store,
    sound: dict[tuple[str, date], Manifest],
    damaged: set[str],
    outcome: Outcome,
    *,
    now: datetime,
    scratch: Path,
    on_step: Callable[[str], None],
) -> None:
    overlay = recomputing.Overlay(above=Files.at(str(scratch)), below=store.files)
    whole = []
    for endpoint in trial.endpoints:
        days = sorted(day for name, day in sound if name == endpoint.name)
        done = 0
        for day in days:
            on_step(f"{endpoint.name} {day}")
            mine = set(raw.names(store.files, endpoint=endpoint.name, day=day))
            near = {n for d in (-1, 1) for n in raw.names(store.files, endpoint=endpoint.name, day=day + timedelta(days=d))}
            where = f"{endpoint.name} {day}"
            if damaged & (mine | near):
                outcome.findings.append(Finding(kind="note", where=where, what="not recomputed: its raw events are damaged"))
                continue
            manifest = sound[endpoint.name, day]
            kept = {name for name in manifest.raw if f"/day={day}/" in name}
            if kept != mine:
                what = "its raw files are not those it was computed from: a collection was cut short, or files were changed"
                outcome.findings.append(Finding(kind="differs", where=where, what=what, do=AGAIN))
            differences = recomputing.differences(trial, store, overlay, endpoint, manifest, damaged=damaged)
            outcome.checked["days_recomputed"] += 1
            done += 1
            # Only the next day's events can come late to this one; then nobody changed anything.
            stale = kept == mine and set(manifest.raw) - mine != near
            outcome.findings += [
                Finding(kind="stale" if stale else "differs", where=where, what=what, do=AGAIN) for what in differences.other
            ]
            outcome.findings += [Finding(kind="note", where=where, what=what) for what in differences.notes]
        if done == len(days):
            whole.append(endpoint.name)
    outcome.findings += [
        Finding(kind="note", where=name, what="not in trial.toml; its bytes are checked, its days not recomputed")
        for name in sorted({name for name, _ in sound} - {e.name for e in trial.endpoints})
    ]
    _verdicts(trial, store, overlay, whole, outcome, now=now)


def _verdicts(trial: Trial, store: Store, overlay: Any, names: list[str], outcome: Outcome, *, now: datetime) -> None:
    """The verdicts of recomputed days, held against those of the stored ones; of endpoints whose every sound day was recomputed."""
    try:
        outcome.verdicts = recomputing.verdicts(trial, overlay, names, now=now)
        stored = recomputing.verdicts(trial, store.files, names, now=now)
    except FortnightError as exc:
        outcome.findings.append(Finding(kind="note", where="verdict", what=f"not recomputed: {exc}"))
        return
    for ours, theirs in zip(outcome.verdicts, stored, strict=True):
        if ours != theirs:
            what = f"the raw events give {ours.decision} ({ours.realised}), the stored days {theirs.decision} ({theirs.realised})"
            outcome.findings.append(Finding(kind="differs", where=f"verdict of {ours.endpoint}", what=what, do="Collect its days again"))


def _files_of(manifest: Manifest) -> list[str]:
    return [file for group in manifest.files.values() for file in group]


def _sha256(files: Files, name: str) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    with files.open(name) as stream:
        while block := stream.read(_CHUNK):
            digest.update(block)
            size += len(block)
    return digest.hexdigest(), size


def document(trial: Trial, outcome: Outcome) -> dict[str, Any]:
    """The JSON of `verify --json`."""
    findings = [{"kind": f.kind, "where": f.where, "what": f.what, "do": f.do} for f in outcome.findings]
    verdicts = [
        {"endpoint": v.endpoint, "decision": v.decision, "rule": v.rule, "days": v.days, "requests": v.requests, "cold_hits": v.cold_hits}
        for v in outcome.verdicts
    ]
    return {
        "trial": trial.trial.name,
        "ok": outcome.ok,
        "chain_head": outcome.head,
        "checked": outcome.checked,
        "findings": findings,
        "verdicts": verdicts,
    }
