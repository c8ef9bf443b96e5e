"""Prefect's own server, where the user keeps one: what to say when it does not answer."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import httpx

from trial.errors import FortnightError, Unreachable

PATIENCE_S = 5


@contextlib.contextmanager
def answering() -> Iterator[None]:
    """
    Around what needs the server that PREFECT_API_URL names.

    Prefect says in many ways that it is away: what tells is whether it answers now.

    Raises:
        Unreachable: something failed inside, and the server does not answer.
    """
    try:
        yield
    except FortnightError:
        raise
    except Exception as exc:
        from prefect.settings import PREFECT_API_URL

        url = PREFECT_API_URL.value()
        if not url or _answers(url):
            raise
        do = "What is stored stays. Start it with `prefect server start`, or unset PREFECT_API_URL: then each command starts its own"
        raise Unreachable("Prefect's server does not answer", where=url, do=do) from exc


def _answers(url: str) -> bool:
    """Any answer counts, one that asks for a key included."""
    try:
        httpx.get(f"{url.rstrip('/')}/health", timeout=PATIENCE_S)
    except httpx.TransportError:
        return False
    return True
