"""The faults by name, in the order of the table."""

from __future__ import annotations

from collections.abc import Callable

from faults import killing, lateness, neighbours, services, sources, storage
from faults.outcome import Outcome

Fault = Callable[..., Outcome]  # called with a folder and quick=

FAULTS: dict[str, Fault] = {
    "throttles": sources.throttles,
    "server-errors": sources.server_errors,
    "cut-answers": sources.cut_answers,
    "timeouts": sources.timeouts,
    "expired-tokens": sources.expired_page_tokens,
    "expired-credentials": sources.expired_credentials,
    "malformed-bodies": sources.malformed_bodies,
    "disordered-pages": sources.disordered_pages,
    "clock-skew": lateness.clock_skew,
    "late-events": lateness.late_events,
    "schedule-down": lateness.schedule_down,
    "services-away": services.services,
    "full-disk": storage.full_disk,
    "read-only-store": storage.read_only,
    "copied-mid-write": storage.copied_mid_write,
    "two-collectors": neighbours.same_endpoint,
    "two-endpoints": neighbours.other_endpoints,
    "kill-9": killing.kills,
}
