"""Python's cycle collector, held back while millions of records stream by that have no cycles."""

from __future__ import annotations

import contextlib
import gc
import threading
from collections.abc import Iterator

# Looking for cycles among the live records costs a quarter of a day's computing at the usual 700.
ALLOCATIONS = 100_000

_lock = threading.Lock()
# The threshold as each user found it: the first one's is the usual.
_found: list[tuple[int, int, int]] = []


@contextlib.contextmanager
def held_back() -> Iterator[None]:
    """Collections come a hundred times as seldom until the last of several concurrent users has left."""
    with _lock:
        _found.append(gc.get_threshold())
        gc.set_threshold(ALLOCATIONS, *_found[0][1:])
    try:
        yield
    finally:
        with _lock:
            usual = _found[0]
            _found.pop()
            if not _found:
                gc.set_threshold(*usual)
