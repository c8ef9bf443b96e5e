"""Ships RunPod's printed lines, and readings of Triton's counters, into files, as a shipper beside the workers does: it only appends."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from sandbox.emitted import Event


class Shipper:
    """
    Writes each event into the file of `folder` that its stream names: printed lines into one for each local day.

    What is late comes at the end of its file; what was shipped twice stands there twice. Going back in time writes the
    files anew.
    """

    def __init__(self, events: Iterable[Event], folder: Path) -> None:
        self._folder = folder
        self._queue = sorted(events, key=lambda e: (e.readable_us, e.at_us, e.stream, e.order))
        self._sent = 0

    def ship(self, now_us: int) -> None:
        """Appends every line that is readable by now."""
        self._folder.mkdir(parents=True, exist_ok=True)
        if self._sent and self._queue[self._sent - 1].readable_us > now_us:
            for path in self._folder.glob("*.jsonl"):
                path.unlink()
            self._sent = 0
        fresh: dict[str, list[str]] = defaultdict(list)
        while self._sent < len(self._queue) and self._queue[self._sent].readable_us <= now_us:
            event = self._queue[self._sent]
            fresh[event.stream] += [str(event.payload)] * event.copies
            self._sent += 1
        for name, lines in fresh.items():
            with (self._folder / name).open("a", encoding="utf-8", newline="\n") as file:
                file.write("".join(line + "\n" for line in lines))
