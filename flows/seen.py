"""An endpoint's requests as they came, read off the store once for all who look at them."""

from __future__ import annotations

from typing import Any

from analysis.replaying import arrivals
from analysis.replaying.arrivals import Arrivals
from trial.calendar import Window
from trial.config import Trial
from trial.store import Store


class Seen:
    """The collected days' arrivals by endpoint; what was read stays, so one of these lives no longer than a command."""

    def __init__(self, trial: Trial, store: Store) -> None:
        self._trial, self._store = trial, store
        self._read: dict[str, Arrivals] = {}

    def arrivals(self, endpoint: Any) -> Arrivals:
        """
        Raises:
            ConfigError: nothing to replay, as analysis.replaying.arrivals.from_invocations says.
        """
        if endpoint.name not in self._read:
            self._read[endpoint.name] = self._of(endpoint.name)
        return self._read[endpoint.name]

    def _of(self, name: str) -> Arrivals:
        days, calendar = self._store.days(name), self._trial.calendar
        window = Window(start=calendar.window(days[0]).start, end=calendar.window(days[-1]).end) if days else None
        return arrivals.from_invocations(self._store.table("invocations", name, days, columns=arrivals.READ), window=window)
