"""What every fuzzer has in common: its start, and how facts are gathered from events as the flow gathers them."""

from __future__ import annotations

import gc
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from types import FunctionType
from typing import Any

from trial.calendar import Calendar
from trial.records import Ignored, RawEvent, Rejected

# An input that takes longer or more hangs or grows; libFuzzer's own limits are 20 minutes and 2 GB.
LIMITS = ("-timeout=10", "-rss_limit_mb=1024")


def fuzz(one_input: Callable[[bytes], None], seeds: list[bytes]) -> None:
    """Seeds first, then whatever libFuzzer makes of them, as the command line says."""
    import atheris

    with tempfile.TemporaryDirectory() as folder:
        for number, seed in enumerate(seeds):
            one_input(seed)
            (Path(folder) / str(number)).write_bytes(seed)
        # Our own code alone, and after the seeds have loaded all of it: a cloud SDK's takes a minute and guides nothing.
        for found in [
            f for f in gc.get_objects() if isinstance(f, FunctionType) and str(f.__module__).startswith(("collectors.", "trial."))
        ]:
            atheris.instrument_func(found)
        # A file named on the command line is run alone.
        corpus = [] if any(not arg.startswith("-") for arg in sys.argv[1:]) else [folder]
        atheris.Setup([sys.argv[0], *LIMITS, *sys.argv[1:], *corpus], one_input)
        atheris.Fuzz()


def records_of(events: Iterable[RawEvent], endpoint: Any, collector: Any, calendar: Calendar) -> list[Any]:
    """One event per identity, sorted, parsed and assembled."""
    once = {event.identity: event for event in events}
    ordered = sorted(once.values(), key=lambda e: (e.at, e.stream, e.event_id))
    facts = [f for f in (collector.parse(e, endpoint) for e in ordered) if not isinstance(f, (Ignored, Rejected))]
    return list(collector.assemble(facts, endpoint, calendar))


def text_of(data: bytes) -> str:
    """Text with whatever JSON can carry into a program: bytes that are no UTF-8 become lone surrogates."""
    return data.decode("utf-8", errors="surrogateescape")
