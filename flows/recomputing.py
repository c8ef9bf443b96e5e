"""A stored day computed once more from its raw events, into a folder of its own, and compared with what is stored."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

import pyarrow as pa

from collectors.registry import collector
from flows import day as days
from flows import results
from trial import registration
from trial.config import Trial
from trial.errors import FortnightError
from trial.files import Files
from trial.results import Verdict
from trial.store import Manifest, Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlay:
    """
    Files whose raw events and registration are those of `below`, which is only ever read; all else is `above`.

    Every method that is not here is that of `above`: whatever Files learns to do, it does not do to `below`.
    """

    above: Files
    below: Files

    def exists(self, name: str) -> bool:
        return self._of(name).exists(name)

    def list(self, folder: str) -> list[str]:
        return self._of(folder).list(folder)

    def read(self, name: str) -> bytes:
        return self._of(name).read(name)

    def open(self, name: str) -> pa.NativeFile:
        return self._of(name).open(name)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.above, name)

    def _of(self, name: str) -> Files:
        return self.below if name.startswith("raw/") or name == registration.NAME else self.above


@dataclass(frozen=True, slots=True, kw_only=True)
class Differences:
    """`other`: what the raw events give otherwise than it is stored, in words; `notes`: what differs in bytes and not in rows."""

    other: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def differences(trial: Trial, store: Store, overlay: Overlay, endpoint: Any, manifest: Manifest, *, damaged: set[str]) -> Differences:
    """
    Computes the day into the overlay and compares; the recomputed manifest stays there, its tables do not.

    Args:
        damaged: names of stored files that were found changed already.
    """
    scratch = Store(cast(Files, overlay))
    try:
        days.process(
            scratch,
            collector(endpoint.platform),
            endpoint,
            manifest.day,
            trial.calendar,
            slo_ms=trial.trial.latency_slo_ms,
            usage=manifest.usage,
            part_mb=trial.engine.part_mb,
        )
        again = scratch.manifest(endpoint.name, manifest.day)
    except FortnightError as exc:
        return Differences(other=(f"it cannot be computed from its raw events: {exc}",))
    assert again is not None
    other, notes = _summary(manifest, again), []
    if dict(again.validation) != dict(manifest.validation):
        other.append("the expectations give another result")
    for table in sorted({*again.files, *manifest.files}):
        ours, theirs = again.files.get(table, ()), manifest.files.get(table, ())
        if ours == theirs or damaged & set(theirs):
            continue
        if _rows(scratch, ours) == _rows(store, theirs):
            notes.append(f"{table}: the same rows in other bytes, as another version of Arrow writes them")
        else:
            other.append(f"{table}: the raw events give other rows")
    for file in (f for group in again.files.values() for f in group):
        overlay.delete(file)
    return Differences(other=tuple(other), notes=tuple(notes))


def verdicts(trial: Trial, files: Files | Overlay, names: list[str], *, now: datetime) -> tuple[Verdict, ...]:
    """
    Raises:
        StoreError: a manifest or the registration cannot be read.
    """
    return tuple(result.verdict for result in results.verdicts(trial, Store(cast(Files, files)), now=now, names=names))


def _summary(stored: Manifest, again: Manifest) -> list[str]:
    ours, theirs = again.summary.to_json(), stored.summary.to_json()
    return [
        f"summary: `{key}` is stored as {_short(theirs.get(key))}, the raw events give {_short(ours.get(key))}"
        for key in sorted({*ours, *theirs})
        if ours.get(key) != theirs.get(key)
    ]


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _rows(store: Store, names: tuple[str, ...]) -> pa.Table | None:
    """The rows of stored files; None where one is missing."""
    import pyarrow.parquet as pq

    try:
        tables = [pq.read_table(pa.BufferReader(store.files.read(name))) for name in names]
    except (OSError, pa.ArrowException, UnicodeDecodeError):
        return None
    return pa.concat_tables(tables) if tables else None
