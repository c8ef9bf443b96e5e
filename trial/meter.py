"""What a pull itself cost: API calls, bytes and events, counted by fetch and kept with the day."""

from dataclasses import dataclass


@dataclass(slots=True)
class Meter:
    """Mutable on purpose: a fetch counts into it while it runs."""

    calls: int = 0
    bytes: int = 0
    events: int = 0
    throttles: int = 0
