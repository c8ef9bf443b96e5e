"""The faults by name, in the order of the table."""

from __future__ import annotations

from collections.abc import Callable

from faults import sources
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
}
