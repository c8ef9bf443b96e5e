"""A progress bar on standard error for whoever watches; nothing where nobody does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn


class Bar:
    """flows.progress.Progress over Rich."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task = progress.add_task("collecting", total=None, note="")
        self._total = 0
        self._events = 0

    def plan(self, days: int) -> None:
        self._total += days
        self._progress.update(self._task, total=self._total)

    def events(self, endpoint: str, count: int) -> None:
        self._events += count
        self._progress.update(self._task, note=f"{self._events:,} events, {endpoint}")

    def day(self, endpoint: str, day: object) -> None:
        self._progress.update(self._task, advance=1, note=f"{self._events:,} events, {endpoint} {day}")


@contextmanager
def bar() -> Iterator[Bar]:
    # A name of seventeen letters and a day fit into 80 columns.
    columns = (BarColumn(bar_width=16), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.fields[note]}"))
    with Progress(*columns, console=Console(stderr=True)) as progress:
        yield Bar(progress)
