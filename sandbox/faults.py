"""What the servers do wrong on purpose: throttles, 5xx, cut connections, expired credentials; seeded."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Literal

from sandbox.seeds import generator

Fault = Literal["throttle", "error", "cut", "drop"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """
    Args:
        throttle, error: share of calls that are refused as too fast, or fail with a 5xx.
        cut, drop: share of calls whose connection ends in the middle of the answer, or before it.
        empty_page: share of pages that come back empty with a token.
        denied: every call is refused for want of a permission.
        expired: every call is refused because its credentials or token have expired.
        in_a_row: at most so many faults one after the other, so that a client that retries gets through.
    """

    throttle: float = 0.0
    error: float = 0.0
    cut: float = 0.0
    drop: float = 0.0
    empty_page: float = 0.0
    denied: bool = False
    expired: bool = False
    in_a_row: int = 2
    seed: int = 7


MILD = Faults(throttle=0.03, empty_page=0.10)
NO_FAULTS = Faults()


class Dice:
    """Throws the faults of one server."""

    def __init__(self, faults: Faults, *purpose: str) -> None:
        self.faults = faults
        self._rng = generator(faults.seed, "faults", *purpose)
        self._lock = threading.Lock()
        self._row = 0

    def next_fault(self) -> Fault | None:
        faults = self.faults
        with self._lock:
            draw = float(self._rng.random())
            fault: Fault | None = None
            shares: tuple[tuple[Fault, float], ...] = (
                ("throttle", faults.throttle),
                ("error", faults.error),
                ("cut", faults.cut),
                ("drop", faults.drop),
            )
            for name, share in shares:
                if 0 <= draw < share:
                    fault = name
                draw -= share
            self._row = self._row + 1 if fault and self._row < faults.in_a_row else 0
            return fault if self._row else None

    def empty_page(self) -> bool:
        with self._lock:
            return bool(self._rng.random() < self.faults.empty_page)
