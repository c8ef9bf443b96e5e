"""Faults of the store's own ground: a full disk, one that became read-only, a copy made while a collection writes."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from faults.ground import Ground, collect, ground
from faults.nursery import Child, nursery
from faults.outcome import Outcome, difference, readable, snapshot
from trial.config import Trial
from trial.errors import FortnightError, StoreError

DISK_KIB = 1024


def full_disk(folder: Path, *, quick: bool) -> Outcome:
    """
    A disk of a megabyte that is full but for some kilobytes (where this user may mount one), and a bound on the size of
    each file (where not, and besides); then room is made and the day is collected again.
    """
    out = Outcome(name="full-disk", injected="no space left after n KiB, then room")
    rng = random.Random(5)
    with ground(folder, scale=0.1) as made, nursery() as grow:
        reference = made.trial("reference")
        collect(reference, now=made.now)
        needed = _size(Path(reference.store_url)) // 1024
        with _disk(folder / "disk") as disk:
            free = [] if disk is None else [0, 4, *(rng.randint(4, int(needed * 1.2)) for _ in range(2 if quick else 14))]
            for number, kib in enumerate(free):
                trial = made.trial(f"disk-{number}", store=disk / f"store-{number}")
                filler = _fill(disk, kib)
                run = collect(trial, now=made.now)
                problems = [*_all_of(StoreError, run.failures), _whole(trial)]
                filler.unlink()
                out.judge(_mended(trial, made, reference), *problems)
                shutil.rmtree(trial.store_url)
        out.notes.append(f"{len(free)} runs on a real full disk" if free else "no right to mount a disk here: file-size limits alone")
        for kib in [2] if quick else [0, 1, 2, 4, 8, 16, 32]:
            toml = made.toml(f"limit-{kib}")
            child = Child(toml=str(toml), now=made.now.isoformat(), file_bytes=kib * 1024)
            (ended,) = grow(child)
            trial = made.trial(f"limit-{kib}")
            out.judge(_mended(trial, made, reference), ended.crash, _whole(trial))
    return out


def read_only(folder: Path, **_: bool) -> Outcome:
    """The store's disk is remounted read-only (or its folders lose their write permission, for a user who may not)."""
    out = Outcome(name="read-only-store", injected="the store becomes read-only, before the first day and after it")
    with ground(folder, days=2, scale=0.1) as made:
        days = made.world.calendar.all_days()
        reference = made.trial("reference")
        collect(reference, now=made.now)
        with _disk(folder / "disk", kib=8 * DISK_KIB) as disk:
            for collected in (days[:1], []):
                trial = made.trial(f"run-{len(collected)}", store=(disk or folder) / f"store-{len(collected)}")
                Path(trial.store_url).mkdir()
                if collected:
                    collect(trial, now=made.now, days=collected)
                before = snapshot(Path(trial.store_url))
                with _locked(disk, Path(trial.store_url)):
                    run = collect(trial, now=made.now)
                    problems = [*_all_of(StoreError, run.failures), None if run.failures else "nothing was said", _whole(trial)]
                    problems.append(None if snapshot(Path(trial.store_url)) == before else "something was changed")
                out.judge(_mended(trial, made, reference), *problems)
                out.notes = [f'told as "{run.failures[0]}"'.replace(str(folder), "...")] if run.failures else []
    return out


def copied_mid_write(folder: Path, *, quick: bool) -> Outcome:
    """
    `cp -r` again and again while a slowed collection writes: each copy reads whole or says what is wrong, and collecting
    into it makes it whole.
    """
    out = Outcome(name="copied-mid-write", injected="the store's folder is copied while a collection writes it")
    said = 0
    with ground(folder, scale=0.08) as made, nursery() as grow:
        reference = made.trial("reference")
        collect(reference, now=made.now)
        for seed in range(1 if quick else 2):
            name = f"run-{seed}"
            source = made.folder / name
            # Over a store that has the day without its late lines: then files are replaced, not only made.
            with made.early() as early:
                collect(made.trial(name), now=early)
            copies = _copies(made, grow, name, source, seed, most=4 if quick else 20)
            for copy in copies:
                trial = made.trial(copy.name)
                try:
                    told, silent = readable(trial), None
                except AssertionError as exc:
                    told, silent = None, f"silently wrong: {exc}"
                said += told is not None
                out.judge(_mended(trial, made, reference), silent)
                shutil.rmtree(copy)
    out.notes.append(f"{said} of {out.runs} copies said what was wrong, the others read whole")
    return out


def _copies(made: Ground, grow, name: str, source: Path, seed: int, *, most: int) -> list[Path]:
    child = Child(toml=str(made.toml(name)), now=made.now.isoformat(), slow_s=0.004 if most < 10 else 0.01, seed=seed)
    writing = threading.Thread(target=grow, args=(child,))
    writing.start()
    copies: list[Path] = []
    while writing.is_alive() and len(copies) < most:
        copy = made.folder / f"{name}-copy-{len(copies)}"
        _copy(source, copy)
        copies.append(copy)
        time.sleep(0.02)
    writing.join()
    return copies


def _copy(source: Path, target: Path) -> None:
    """As cp -r does it: what vanishes meanwhile is left out."""
    for folder, names, files in os.walk(source):
        place = target / Path(folder).relative_to(source)
        place.mkdir(parents=True, exist_ok=True)
        names.sort()
        for name in sorted(files):
            with contextlib.suppress(FileNotFoundError):
                shutil.copyfile(Path(folder) / name, place / name)


def _mended(trial: Trial, made: Ground, reference: Trial):
    run = collect(trial, now=made.now, days=reference.calendar.all_days())
    assert not run.failures, run.failures
    return difference(trial, reference)


def _whole(trial: Trial) -> str | None:
    """What is visible after the fault must be whole."""
    try:
        return readable(trial) if Path(trial.store_url).exists() else None
    except AssertionError as exc:
        return str(exc)


def _all_of(kind: type[FortnightError], failures: list[FortnightError]) -> list[str]:
    return [f"told as {type(f).__name__}: {f}" for f in failures if not isinstance(f, kind)]


@contextlib.contextmanager
def _disk(at: Path, *, kib: int = DISK_KIB) -> Iterator[Path | None]:
    """A small disk in memory; None where this user may not mount one."""
    at.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kib}k", "tmpfs", str(at)], capture_output=True, check=False).returncode:
        yield None
        return
    try:
        yield at
    finally:
        # Lazily: the errors kept for the table hold the files open that could not be written.
        subprocess.run(["umount", "--lazy", str(at)], capture_output=True, check=True)


@contextlib.contextmanager
def _locked(disk: Path | None, store: Path) -> Iterator[None]:
    if disk is not None:
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        try:
            yield
        finally:
            subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
        return
    folders = [path for path in (store, *store.rglob("*")) if path.is_dir()]
    for path in folders:
        path.chmod(0o500)
    try:
        yield
    finally:
        for path in folders:
            path.chmod(0o700)


def _fill(disk: Path, free_kib: int) -> Path:
    """A file that leaves only so much."""
    filler = disk / "filler"
    stat = os.statvfs(disk)
    size = max(0, stat.f_bavail * stat.f_frsize - free_kib * 1024)
    with filler.open("wb") as file:
        file.write(bytes(size))
    return filler


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
