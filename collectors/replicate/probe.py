"""What thins a trial on Replicate quietly: predictions of other models, of the web page, or of nobody."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import islice

from collectors.replicate.fetch import Clients, fetch
from collectors.replicate.parse import parse
from trial.calendar import Window
from trial.config import ReplicateEndpoint, Trial
from trial.finding import Finding
from trial.meter import Meter
from trial.records import Ignored

LOOK = 200


def probe(clients: Clients, endpoint: ReplicateEndpoint, trial: Trial, *, now: datetime) -> Iterator[Finding]:  # noqa: ARG001 (the Protocol's shape)
    """
    Looks at the account's newest predictions.

    Raises:
        SourceError: as `fetch`.
    """
    if endpoint.model_owner_name is None and endpoint.deployment is None:
        yield Finding(
            endpoint=endpoint.name,
            check="model",
            state="warn",
            detail="neither `model_owner_name` nor `deployment` is set: predictions of all the account's models count",
            do="Set one of them",
        )
    window = Window(start=now - timedelta(days=1), end=now)
    events = list(islice(fetch(clients, endpoint, window, meter=Meter()), LOOK))
    yield Finding(
        endpoint=endpoint.name,
        check="Replicate API",
        state="ok",
        detail=f"the token in {endpoint.api_key_env} lists the account's predictions",
    )
    outcomes = [parse(event, endpoint) for event in events]
    other = sum(isinstance(o, Ignored) and o.reason.startswith("other_") for o in outcomes)
    if events and other == len(events):
        yield Finding(
            endpoint=endpoint.name,
            check="model",
            state="warn",
            detail=f"the newest {other:,} predictions are all of other models than {endpoint.deployment or endpoint.model_owner_name}",
            do="Check `model_owner_name` and `deployment`: a deployment's predictions carry its model's name as well",
        )
