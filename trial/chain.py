"""
The hash chain: an append-only journal beside the store, one line for each manifest or registration that changes.

    chain.ndjson    {"sequence": 7, "when": ..., "endpoint": ..., "day": ..., "manifest": <sha256>, "registration": <sha256>,
                     "replaced": null, "prices": <sha256>, "previous": <sha256 of line 6>, "sha256": <of this line without it>}

A line is written before what it announces, so a line is never owed: where a machine died between the two, the newest line
of a day names a manifest that is not there yet, the one before it is, and collecting the day again writes what was
announced. A manifest that no line names was changed by somebody else.

Writers take turns (trial.lease), so no line is lost where several collectors end a day at once. On an object store a
turn runs out when its holder gives no sign of life for a while; a machine that slept through that and then wrote would
take another's line with it, which `fortnight verify` reports and collecting that day again mends.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import date, datetime
from typing import Any

from trial import lease
from trial.files import Files

NAME = "chain.ndjson"


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """
    One line of the journal.

    Args:
        when: the moment the collection was told, ISO 8601; None where it was told none.
        endpoint, day: whose manifest; None on a line about the registration.
        manifest, registration, prices: SHA-256 of the manifest, of registration.json and of the price book as of this line.
        replaced: on a line about the registration, SHA-256 of the file it replaces; None where there was none.
        previous: SHA-256 of the line before, without its line end; "" on the first.
    """

    sequence: int
    when: str | None
    endpoint: str | None
    day: str | None
    manifest: str | None
    registration: str | None
    replaced: str | None
    prices: str | None
    previous: str

    def to_line(self) -> bytes:
        data = {f.name: getattr(self, f.name) for f in fields(self)}
        return _dumps({**data, "sha256": hashlib.sha256(_dumps(data)).hexdigest()})


@dataclass(frozen=True, slots=True, kw_only=True)
class Journal:
    """
    The journal as it lies there.

    Args:
        links: by line, None where the line is not what this module writes.
        problems: one sentence for each line that was changed, taken out or put in.
        head: SHA-256 of the last line: whoever noted it elsewhere knows that all lines before it are as they were.
    """

    links: tuple[Link | None, ...]
    problems: tuple[str, ...]
    head: str | None

    def manifests(self, endpoint: str, day: date) -> list[str]:
        """The manifests announced for a day, oldest first."""
        mine = (link for link in self.links if link and link.endpoint == endpoint and link.day == day.isoformat())
        return [link.manifest for link in mine if link.manifest]

    def days(self) -> set[tuple[str, date]]:
        return {(link.endpoint, date.fromisoformat(link.day)) for link in self.links if link and link.endpoint and link.day}

    def registrations(self) -> list[Link]:
        """The lines about the registration, oldest first."""
        return [link for link in self.links if link and link.endpoint is None]

    @property
    def last(self) -> Link | None:
        return next((link for link in reversed(self.links) if link), None)


def read(files: Files) -> Journal:
    """The journal, each line checked by itself and against the one before; empty where there is none."""
    return _parse(_bytes(files))


def announce_manifest(files: Files, *, endpoint: str, day: date, manifest: str, when: datetime | None) -> bool:
    """
    A line for a manifest that is about to be written; none where the day's newest line says so already.

    Call it inside `turn`, and write the manifest before leaving.

    Returns:
        whether there is a new line.
    """
    data = _bytes(files)
    journal = _parse(data)
    if journal.manifests(endpoint, day)[-1:] == [manifest]:
        return False
    known = journal.last
    _append(
        files,
        data,
        when=when.isoformat() if when else None,
        endpoint=endpoint,
        day=day.isoformat(),
        manifest=manifest,
        registration=known.registration if known else None,
        replaced=None,
        prices=known.prices if known else None,
    )
    return True


def announce_registration(files: Files, *, registration: str, replaced: str | None, prices: str | None, when: datetime) -> bool:
    """
    As announce_manifest, for registration.json.

    A file that stayed as it was (`replaced` equals `registration`) is announced only where it is the journal's first, or
    an earlier one whose successor was never written: one that no line names is left for `verify` to find.
    """
    data = _bytes(files)
    known = [link.registration for link in _parse(data).registrations()]
    if known[-1:] == [registration] or (known and replaced == registration and registration not in known):
        return False
    _append(
        files,
        data,
        when=when.isoformat(),
        endpoint=None,
        day=None,
        manifest=None,
        registration=registration,
        replaced=replaced if known else None,
        prices=prices,
    )
    return True


@contextlib.contextmanager
def turn(files: Files) -> Iterator[None]:
    """
    One writer of the journal at a time, on a folder and on an object store alike.

    Raises:
        StoreError: others wrote all the time.
    """
    with lease.held(files, "chain"):
        yield


def _append(files: Files, data: bytes, **what: Any) -> None:
    lines = _lines(data)
    previous = hashlib.sha256(lines[-1]).hexdigest() if lines else ""
    line = Link(sequence=len(lines) + 1, previous=previous, **what).to_line()
    # Written whole and renamed: a torn last line cannot be. A trial's journal has hundreds of lines, not millions.
    files.write(NAME, b"".join(old + b"\n" for old in lines) + line + b"\n")


def _bytes(files: Files) -> bytes:
    try:
        return files.read(NAME)
    except FileNotFoundError:
        return b""


def _lines(data: bytes) -> list[bytes]:
    return data.removesuffix(b"\n").split(b"\n") if data else []


def _parse(data: bytes) -> Journal:
    links: list[Link | None] = []
    problems = []
    lines = _lines(data)
    previous = ""
    for number, line in enumerate(lines, start=1):
        link = _link(line)
        links.append(link)
        if link is None:
            problems.append(f"line {number} was changed: it is not as it was written")
        elif link.previous != previous or link.sequence != number:
            problems.append(f"line {number} does not follow the line before it: a line was changed, taken out or put in")
        previous = hashlib.sha256(line).hexdigest()
    if lines and not data.endswith(b"\n"):
        problems.append(f"line {len(lines)} has no end")
    return Journal(links=tuple(links), problems=tuple(problems), head=previous or None)


def _link(line: bytes) -> Link | None:
    """None unless the line is byte for byte what `to_line` writes."""
    try:
        data = json.loads(line)
        link = Link(**{name: value for name, value in data.items() if name != "sha256"})
        if link.day is not None:
            date.fromisoformat(link.day)
        return link if link.to_line() == line else None
    except (ValueError, TypeError, AttributeError, RecursionError):
        return None


def _dumps(data: dict[str, Any]) -> bytes:
    return json.dumps(data, separators=(",", ":")).encode()
