"""What a pull itself cost: API calls, bytes and events, counted by fetch and kept beside the days (trial.pulls)."""

from dataclasses import dataclass


@dataclass(slots=True)
class Meter:
    """
    Mutable on purpose: a fetch counts into it while it runs.

    Args:
        metrics: what a metrics API charges by: metrics asked for at CloudWatch, time series returned at Cloud Monitoring.
    """

    calls: int = 0
    bytes: int = 0
    events: int = 0
    throttles: int = 0
    metrics: int = 0
