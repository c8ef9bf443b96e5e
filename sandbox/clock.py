"""The one clock every server of the sandbox looks at."""

from __future__ import annotations

import threading
from datetime import datetime

from sandbox.instants import to_datetime, to_us


class Clock:
    """Settable, and read from many threads."""

    def __init__(self, at: datetime) -> None:
        self._us = to_us(at)
        self._lock = threading.Lock()

    def set(self, at: datetime) -> None:
        with self._lock:
            self._us = to_us(at)

    @property
    def us(self) -> int:
        with self._lock:
            return self._us

    @property
    def now(self) -> datetime:
        return to_datetime(self.us)
