"""What a platform's package must offer; collectors/registry.py lists the ones there are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, Protocol

from trial.calendar import Calendar, Window
from trial.meter import Meter
from trial.records import Ignored, Incomplete, Instance, Invocation, RawEvent, Rejected, UsageBucket


class Fact(Protocol):
    """A parsed event that says something about a request or an instance; each platform has its own kinds."""

    @property
    def kind(self) -> str:
        """What it is, in the ledger's words: "start", "report", "handler_line", "request", "instance_start", ..."""

    @property
    def at(self) -> datetime:
        """The event's own time, aware UTC."""


class Collector(Protocol):
    """
    A platform. Packages satisfy it as modules: no classes, no registration.

    fetch and fetch_usage are impure and thin (paging, quotas, retries; SDK errors mapped into trial.errors, `from exc`);
    parse and assemble are pure: they see no client, clock, file or SDK.

    A package may also offer parse_batch(events, endpoint), which gives what parse gives one by one, faster; and
    STREAMS_APART = True where assembling one stream's facts needs no other stream's: then a day can be computed in parts,
    and of the day before only the streams that go on are read. And region_of(event, endpoint) -> str | None: the region an event
    itself names, where the platform's logs name one.
    """

    SOURCES: tuple[str, ...]
    # Reasons of Ignored that are requests all the same: the provider counts them, so completeness must.
    COUNTED_BY_PROVIDER: frozenset[str]

    def fetch(self, clients: Any, endpoint: Any, window: Window, *, meter: Meter) -> Iterator[RawEvent]:
        """Every event of the window as the platform returns it, in any order, duplicates and all."""

    def fetch_usage(self, clients: Any, endpoint: Any, window: Window, *, meter: Meter) -> Iterator[UsageBucket]:
        """The provider's own counts and bills of the window; nothing where it has none."""

    def parse(self, event: RawEvent, endpoint: Any) -> Fact | Ignored | Rejected:
        """One event, judged alone."""

    def assemble(self, facts: Iterable[Fact], endpoint: Any, calendar: Calendar) -> Iterator[Invocation | Incomplete | Instance]:
        """
        Facts in order of (at, stream, event_id) joined into invocations, incomplete requests and instances.

        Yields as soon as a request is complete, so that state is bounded by the instances alive, not by the day.
        """
