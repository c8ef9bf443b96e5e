"""What the trial promised at its start: the settings as they stood at the first collection, and every later change."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from trial import chain
from trial.config import Trial
from trial.errors import StoreError
from trial.files import Files

NAME = "registration.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """
    Args:
        settings: dotted key -> value as JSON text, as registered.
        changes: each with `when`, `key`, `from` and `to`, in order; `from` or `to` is "absent" where there is none.
    """

    at: datetime
    settings: Mapping[str, str]
    changes: tuple[Mapping[str, str], ...] = ()

    @property
    def sha256(self) -> str:
        return hashlib.sha256(json.dumps(dict(self.settings), sort_keys=True).encode()).hexdigest()

    def current(self) -> dict[str, str]:
        """The settings with all changes applied."""
        now = dict(self.settings)
        for change in self.changes:
            if change["to"] == "absent":
                now.pop(change["key"], None)
            else:
                now[change["key"]] = change["to"]
        return now

    def against(self, settings: Mapping[str, str], *, now: datetime) -> Registration:
        """With what `settings` change since the last known state appended; nothing is written."""
        before = self.current()
        changed = [
            {"when": now.isoformat(), "key": key, "from": before.get(key, "absent"), "to": settings.get(key, "absent")}
            for key in sorted({*before, *settings})
            if before.get(key) != settings.get(key)
        ]
        return replace(self, changes=(*self.changes, *changed)) if changed else self


def settings_of(trial: Trial, *, prices_sha256: str | None = None) -> dict[str, str]:
    """
    The settings that decide a verdict or a cost, by dotted key: not where the store lies, nor where an API answers.

    Args:
        prices_sha256: hash of the price book, so that pricing with another book is seen.
    """
    data = trial.model_dump(mode="json", include={"trial", "prices", "endpoints", "dedicated"})
    # A bill is named when it comes, and only compared with.
    silent = ("name", "api_endpoint", "profile", "bill")
    data["endpoints"] = {e["name"]: {k: v for k, v in e.items() if k not in silent} for e in data["endpoints"]}
    data["dedicated"] = {d["name"]: d for d in data["dedicated"]}
    flat = dict(_flat(data, ""))
    if prices_sha256:
        flat["prices.sha256"] = json.dumps(prices_sha256)
    return flat


def read(files: Files) -> Registration | None:
    """
    Raises:
        StoreError: the file is damaged.
    """
    try:
        data = json.loads(files.read(NAME))
        return Registration(at=datetime.fromisoformat(data["at"]), settings=data["settings"], changes=tuple(data["changes"]))
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as exc:
        raise StoreError(
            f"damaged: {exc}", where=NAME, do="Restore it from a copy: it holds what the trial registered at its start"
        ) from exc


def register(files: Files, settings: Mapping[str, str], *, now: datetime) -> Registration:
    """Registers the settings at the first call; at later ones appends what differs from the last known state."""
    with chain.turn(files):
        return _register(files, settings, now)


def _register(files: Files, settings: Mapping[str, str], now: datetime) -> Registration:
    known = read(files)
    stored = None if known is None else hashlib.sha256(files.read(NAME)).hexdigest()
    prices = json.loads(settings["prices.sha256"]) if "prices.sha256" in settings else None
    if known is None:
        registration = Registration(at=now, settings=dict(settings))
    else:
        registration = known.against(settings, now=now)
        if stored is not None and registration is known:
            chain.announce_registration(files, registration=stored, replaced=stored, prices=prices, when=now)
            return known
    text = json.dumps(
        {"at": registration.at.isoformat(), "settings": dict(registration.settings), "changes": list(registration.changes)}, indent=1
    )
    data = text.encode() + b"\n"
    chain.announce_registration(files, registration=hashlib.sha256(data).hexdigest(), replaced=stored, prices=prices, when=now)
    files.write(NAME, data)
    return registration


def _flat(value: object, prefix: str):
    if isinstance(value, dict):
        for key, inner in sorted(value.items()):
            yield from _flat(inner, f"{prefix}.{key}" if prefix else key)
    elif value is not None:
        yield prefix, json.dumps(value, sort_keys=True)
