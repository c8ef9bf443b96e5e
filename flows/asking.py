"""Asking whoever sets a trial up: each answer is checked when it is given, and nobody is asked where nobody can answer."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import typer

from trial import config
from trial.errors import ConfigError

# Returns the value as it is kept; raises ValueError in words that say what would do.
Check = Callable[[str], str]


class Asker:
    """Asks on a terminal; elsewhere takes the defaults and remembers which, so that they can be named."""

    def __init__(self, *, terminal: bool | None = None) -> None:
        self.terminal = sys.stdin.isatty() if terminal is None else terminal
        self.assumed: list[str] = []

    def __call__(
        self, what: str, default: str, *, hint: str = "", check: Check = str, flag: str | None = None, given: str | None = None
    ) -> str:
        """
        Args:
            hint: why it is asked, in a few words.
            flag: the option that answers it, and `given` what was typed there.

        Raises:
            ConfigError: the option's value will not do.
        """
        if given is not None:
            try:
                return check(given.strip())
            except ValueError as exc:
                raise ConfigError(str(exc), where=flag) from exc
        if not self.terminal:
            self.assumed.append(f"{what}: {default}")
            return default
        if hint:
            typer.echo(f"\n  {hint}")
        while True:
            try:
                return check(str(typer.prompt(what, default=default)).strip())
            except ValueError as exc:
                typer.echo(f"  {exc}")


def is_name(text: str) -> str:
    if not config.NAME.match(text):
        raise ValueError(f"{text!r} cannot be used in paths: letters, digits, dot, dash and underscore, at most 63")
    return text


def is_day(text: str) -> str:
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError as exc:
        raise ValueError(f"{text!r} is not a day; write it as YYYY-MM-DD, for example 2026-11-02") from exc


def is_zone(text: str) -> str:
    try:
        ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError) as exc:
        raise ValueError(f"no such time zone {text!r}; use an IANA name such as Europe/London") from exc
    return text


def is_milliseconds(text: str) -> str:
    return f"{_number(text, low=0.0, high=float('inf'), says='a number of milliseconds above 0'):g}"


def is_share(text: str) -> str:
    """A share as 0.01 or as 1 %."""
    percent = text.endswith("%")
    says = "a share from 0 to below 1, or a percentage"
    value = _number(text.removesuffix("%"), low=-1e-12, high=100.0 if percent else 1.0, says=says, shown=text)
    return f"{value / 100 if percent else value:g}"


def is_yes_or_no(text: str) -> str:
    if text.lower() not in ("y", "yes", "n", "no", "true", "false"):
        raise ValueError(f"{text!r} is neither yes nor no")
    return "yes" if text.lower() in ("y", "yes", "true") else "no"


def is_days(text: str) -> str:
    value = _number(text, low=0, high=367, says="a whole number of days from 1 to 366")
    if value != int(value):
        raise ValueError(f"{text!r} is not a whole number of days")
    return str(int(value))


def is_given(text: str) -> str:
    if not text:
        raise ValueError("needs an answer")
    return text


def _number(text: str, *, low: float, high: float, says: str, shown: str | None = None) -> float:
    try:
        value = float(text.replace(",", ""))
    except ValueError:
        value = float("nan")
    if not low < value < high:
        raise ValueError(f"{(shown or text)!r} is not {says}")
    return value


def machine_zone() -> str:
    """The IANA name of this machine's time zone; UTC where it does not say."""
    for candidate in (os.environ.get("TZ", "").lstrip(":"), _etc_timezone(), _localtime()):
        if candidate:
            try:
                return "UTC" if candidate in ("Etc/UTC", "Etc/UCT", "Universal") else is_zone(candidate)
            except ValueError:
                continue
    return "UTC"


def _etc_timezone() -> str:
    try:
        return Path("/etc/timezone").read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _localtime() -> str:
    try:
        found = re.search(r"zoneinfo/(?:posix/|right/)?(.+)$", os.readlink("/etc/localtime"))
    except OSError:
        return ""
    return found[1] if found else ""
