"""A day of an endpoint on a server that speaks Google's list calls."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from collectors.google_api import Clients
from tests.collectors import google_server
from trial.calendar import Window
from trial.config import CloudRunEndpoint
from trial.meter import Meter

google, clients_to = google_server.google, google_server.clients_to


@pytest.fixture
def world(google: google_server.Google, clients_to: Callable[..., Clients]) -> SimpleNamespace:
    """Server, clients, meter, an endpoint and its day."""
    endpoint = CloudRunEndpoint(platform="cloud-run", name="run", project="acme", service="summariser", region="us-central1")
    window = Window(start=datetime(2026, 11, 2, tzinfo=UTC), end=datetime(2026, 11, 3, tzinfo=UTC))
    return SimpleNamespace(google=google, clients=clients_to(google.address), meter=Meter(), endpoint=endpoint, window=window)
