"""Calls spaced to a service's quota on this side, so that its throttle is not how we learn of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class Pace:
    """
    At most `per_second` calls begin in any second, evenly spaced; shared by all threads that read one account and region.

    Args:
        per_second: the quota; math.inf for none.
        clock, sleep: monotonic seconds.
    """

    def __init__(
        self, *, per_second: float, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        if not per_second > 0:
            raise ValueError(f"per_second must be above 0, got {per_second}")
        self.per_second = per_second
        self._clock, self._sleep = clock, sleep
        self._next = clock()
        self._lock = threading.Lock()

    def wait(self) -> None:
        """Returns when it is this call's turn."""
        with self._lock:
            now = self._clock()
            turn = max(now, self._next)
            self._next = turn + 1 / self.per_second
        if turn > now:
            self._sleep(turn - now)
