"""Where a running collection reports how far it is: nowhere, unless the command line put a bar there."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol


class Progress(Protocol):
    def plan(self, days: int) -> None:
        """So many endpoint-days are to be collected."""

    def events(self, endpoint: str, count: int) -> None:
        """So many more events were read."""

    def day(self, endpoint: str, day: object) -> None:
        """One endpoint-day is stored."""


class Silent:
    """Reports nothing."""

    def plan(self, days: int) -> None: ...

    def events(self, endpoint: str, count: int) -> None: ...

    def day(self, endpoint: str, day: object) -> None: ...


# A context variable and not an argument: Prefect records a flow's arguments, and a progress bar is no fact about a run.
_current: ContextVar[Progress | None] = ContextVar("progress", default=None)


def current() -> Progress:
    return _current.get() or Silent()


@contextmanager
def showing(progress: Progress):
    token = _current.set(progress)
    try:
        yield
    finally:
        _current.reset(token)
