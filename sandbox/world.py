"""The whole world: three endpoints, their servers on loopback, one settable clock, and the planted truth beside it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

from sandbox import cases as catalogue
from sandbox import focus
from sandbox.bills import Rates
from sandbox.clock import Clock
from sandbox.endpoints import Endpoint, build
from sandbox.faults import MILD, Faults
from sandbox.plans import Plan, default_plans
from sandbox.serving import Addresses, serve
from sandbox.shipping import Shipper
from sandbox.toml import trial_toml
from sandbox.truth import DayTruth
from trial.calendar import Calendar

__all__ = ["Addresses", "World", "build_world"]


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """
    Args:
        endpoints: by name, in the order of their plans.
        clock: what the servers take for now; use `set_now`.
    """

    seed: int
    calendar: Calendar
    timezone: str
    rates: Rates
    endpoints: Mapping[str, Endpoint]
    clock: Clock
    shippers: list[Shipper]

    @property
    def truth(self) -> Mapping[str, Mapping[date, DayTruth]]:
        return {name: endpoint.truth for name, endpoint in self.endpoints.items()}

    @property
    def bills(self) -> Mapping[str, Mapping[date, Decimal]]:
        """USD per endpoint and local day, exact; a life that crosses midnight is split there."""
        return {name: endpoint.bill for name, endpoint in self.endpoints.items()}

    def set_now(self, at: datetime) -> None:
        """Moves the servers' clock: events that become readable later are hidden, and lines shipped by then are written."""
        self.clock.set(at)
        for shipper in self.shippers:
            shipper.ship(self.clock.us)

    @contextlib.contextmanager
    def serve(self, folder: Path, *, faults: Faults = MILD) -> Iterator[Addresses]:
        """
        Starts the servers on free loopback ports; they end with the block. RunPod's handler lines and Triton's statistics are
        shipped into `folder`, and the other platforms' billing exports are written there.
        """
        focus.write(self.endpoints.values(), folder, calendar=self.calendar)
        with contextlib.ExitStack() as stack:
            addresses = stack.enter_context(serve(self.endpoints.values(), clock=self.clock, rates=self.rates, faults=faults))
            shippers = [Shipper(e.events, folder / "handler-lines" / name) for name, e in self.endpoints.items() if _ships(e)]
            shippers += [Shipper(e.statistics, folder / "triton" / name) for name, e in self.endpoints.items() if e.statistics]
            for shipper in shippers:
                self.shippers.append(shipper)
                stack.callback(self.shippers.remove, shipper)
                shipper.ship(self.clock.us)
            yield addresses

    def trial_toml(self, addresses: Addresses, folder: Path, *, name: str = "demo") -> str:
        """A complete trial.toml for this world, whose store and tracking stand beside it."""
        return trial_toml(self.endpoints.values(), addresses, folder, calendar=self.calendar, timezone=self.timezone, name=name)

    def environment(self) -> dict[str, str]:
        """The environment variables a collector needs to read this world."""
        from sandbox.replicate import API_TOKEN
        from sandbox.runpod import API_KEY

        return {
            "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
            "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            "AWS_DEFAULT_REGION": "us-east-1",
            "RUNPOD_API_KEY": API_KEY,
            "REPLICATE_API_TOKEN": API_TOKEN,
        }


def _ships(endpoint: Endpoint) -> bool:
    return endpoint.plan.platform == "runpod" and "harvest-only" not in endpoint.cases


def build_world(
    *,
    seed: int = 7,
    start: date = date(2026, 11, 2),
    days: int = 14,
    timezone: str = "Europe/London",
    cases: Iterable[str] = catalogue.ALL,
    scale: float = 1.0,
    rates: Rates | None = None,
    plans: Iterable[Plan] | None = None,
) -> World:
    """
    The same arguments give the same bytes. Its clock stands at the trial's end.

    Args:
        cases: names of sandbox.cases; an empty list gives plain traffic.
        scale: times the requests per day.

    Raises:
        ValueError: a case that is none.
    """
    calendar = Calendar(start=start, days=days, zone=ZoneInfo(timezone))
    chosen, paid = catalogue.checked(cases), rates or Rates()
    endpoints = {
        plan.name: build(plan, seed=seed, calendar=calendar, cases=chosen & catalogue.of_platform(plan.platform), scale=scale, rates=paid)
        for plan in (default_plans() if plans is None else plans)
    }
    clock = Clock(calendar.window(calendar.all_days()[-1]).end)
    return World(seed=seed, calendar=calendar, timezone=timezone, rates=paid, endpoints=endpoints, clock=clock, shippers=[])
