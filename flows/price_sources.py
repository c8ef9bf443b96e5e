"""The providers' price APIs as `fortnight prices refresh` reads them: real clients, one source at a time."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from typing import Any

from collectors.prices import SOURCES, aws, gcp, runpod
from collectors.prices.offer import NoOffer, Offer, Wanted
from flows.wiring import RUNPOD
from trial.config import Trial
from trial.errors import ConfigError
from trial.meter import Meter

# What the command line calls them.
NAMES = {"aws": aws.VIA, "gcp": gcp.VIA, "runpod": runpod.VIA}


def asked(wanted: Wanted, *, only: str | None) -> dict[str, Wanted]:
    """
    The wanted rows by source, in the order of NAMES; a source that no row of the book names is absent.

    Raises:
        ConfigError: `only` is none of NAMES.
    """
    if only is not None and only not in NAMES:
        raise ConfigError(f"--only {only!r} is no price source", do=f"Use {', '.join(NAMES)}")
    chosen = {name: {row: refresh for row, refresh in wanted.items() if refresh.get("via") == via} for name, via in NAMES.items()}
    return {name: rows for name, rows in chosen.items() if rows and only in (None, name)}


def offers(name: str, wanted: Wanted, *, trial: Trial | None) -> list[Offer | NoOffer]:
    """
    Everything one source says about the rows wanted of it.

    Args:
        trial: whose profile, key variable and address are used, where there is one.

    Raises:
        ConfigError: the source's library or key is missing. Denied, Throttled, Unreachable, Malformed: as the API answers.
    """
    with contextlib.ExitStack() as stack:
        client, more = _CLIENTS[name](trial, stack)
        return list(SOURCES[NAMES[name]].fetch(client, wanted, meter=Meter(), **more))


def _aws(trial: Trial | None, stack: contextlib.ExitStack) -> tuple[Any, dict[str, Any]]:
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError

    profile = next((e.profile for e in trial.endpoints if e.platform in ("aws-lambda", "sagemaker")), None) if trial else None
    config = Config(retries={"mode": "standard", "total_max_attempts": 5}, connect_timeout=5, read_timeout=30)
    try:
        client = boto3.Session(profile_name=profile).client("pricing", region_name=aws.REGION, config=config)
    except (BotoCoreError, ValueError) as exc:
        raise ConfigError(str(exc), where="AWS price list", do="Check `profile`, or AWS_PROFILE") from exc
    stack.callback(client.close)
    return client, {}


def _gcp(trial: Trial | None, stack: contextlib.ExitStack) -> tuple[Any, dict[str, Any]]:
    from collectors.google_errors import mapped

    mine = next((e for e in trial.endpoints if e.platform in ("cloud-run", "vertex-ai")), None) if trial else None
    with mapped(where="Cloud Billing catalogue", grant="Enable the Cloud Billing API", find="Check the project"):
        client = gcp.client(mine.api_endpoint if mine else None)
    stack.callback(client.transport.close)
    return client, {}


def _runpod(trial: Trial | None, stack: contextlib.ExitStack) -> tuple[Any, dict[str, Any]]:
    import httpx

    mine = next((e for e in trial.endpoints if e.platform == "runpod"), None) if trial else None
    key_env = mine.api_key_env if mine else "RUNPOD_API_KEY"
    key = os.environ.get(key_env)
    if not key:
        raise ConfigError(
            f"the environment variable {key_env} is not set", where=runpod.WHERE, do=f"Run `export {key_env}=...` with a RunPod API key"
        )
    http = httpx.Client(
        base_url=(mine.api_endpoint if mine else None) or RUNPOD,
        headers={"Authorization": f"Bearer {key}"},
        timeout=httpx.Timeout(30, connect=5),
    )
    return stack.enter_context(http), {"key_env": key_env}


_CLIENTS: Mapping[str, Any] = {"aws": _aws, "gcp": _gcp, "runpod": _runpod}
