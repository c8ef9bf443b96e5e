"""The one place where real clients and the clock are made; everything else is handed them."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Hashable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any
from urllib.parse import parse_qs

from trial.config import Trial
from trial.errors import ConfigError, Denied

RUNPOD = "https://api.runpod.io"
REPLICATE = "https://api.replicate.com"
# FilterLogEvents takes a few tenths of a second: so many at once use up the quota of five a second, and more would only wait.
LAMBDA_SLICES = 4

# One limiter for all that a collection in this process reads from one quota: pulls of several endpoints run side by side. The
# moment of the collection is part of the key: the demo runs through two weeks of quota in a minute.
_paces: dict[Hashable, Any] = {}
_PACES_AT_MOST = 64
_paces_lock = threading.Lock()


def now() -> datetime:
    return datetime.now(UTC)


@contextlib.contextmanager
def clients(endpoint: Any, trial: Trial, *, now: datetime) -> Iterator[Any]:
    """
    The clients an endpoint's collector reads through, closed afterwards; `api_endpoint` sends them to another address.

    Raises:
        ConfigError: a key variable that is not set, a profile or an address that is none.
        Denied: no credentials to be found.
    """
    with contextlib.ExitStack() as stack:
        yield _MAKE[endpoint.platform](endpoint, trial, now, stack)


def secret(name: str, *, endpoint: str) -> str:
    """
    The value of an environment variable that holds a key.

    Raises:
        ConfigError: it is not set.
    """
    value = os.environ.get(name)
    if not value:
        raise ConfigError(
            f"the environment variable {name} is not set", where=f"endpoint {endpoint}", do=f"Run `export {name}=...` with its key"
        )
    return value


def _aws(endpoint: Any, service: str, stack: contextlib.ExitStack) -> Any:
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError

    # Three tries, as is usual, are about 0.6 s of throttling; eight outlast a quota's second many times over. Where others use up
    # the quota, adaptive mode slows down to what is left: at 1.5 calls a second, two thirds of standard mode's time and a quarter
    # of its refusals.
    config = Config(retries={"mode": "adaptive", "total_max_attempts": 8}, connect_timeout=5, read_timeout=30)
    try:
        session = boto3.Session(profile_name=endpoint.profile, region_name=endpoint.region)
        client = session.client(service, endpoint_url=endpoint.api_endpoint, config=config)
    except (BotoCoreError, ValueError) as exc:
        raise ConfigError(str(exc), where=f"endpoint {endpoint.name}", do="Check `region`, `profile` and `api_endpoint`") from exc
    stack.callback(client.close)
    return client


def _quota(endpoint: Any) -> Hashable:
    """Whose quota a call of this endpoint counts against; a profile stands for its account."""
    if endpoint.platform in ("aws-lambda", "sagemaker"):
        return ("aws", endpoint.profile, endpoint.region, endpoint.api_endpoint)
    if endpoint.platform in ("cloud-run", "vertex-ai"):
        return ("google", endpoint.project, endpoint.api_endpoint)
    return None


def _shared(what: str, endpoint: Any, trial: Trial, now: datetime, make: Callable[[int], Any]) -> Any:
    """
    The one limiter of `what`, of the collection that began at `now`.

    Args:
        make: makes it for one n-th of the quota. On Dask each worker process has its own, and an endpoint is pulled by one of
            them at a time: with as many parts as endpoints share the quota, all together keep to it.
    """
    quota = _quota(endpoint)
    parts = sum(_quota(other) == quota for other in trial.endpoints) if trial.engine.dask is not None else 1
    with _paces_lock:
        key = (what, quota, parts, now)
        if key not in _paces:
            _paces[key] = make(parts)
            if len(_paces) > _PACES_AT_MOST:
                del _paces[next(iter(_paces))]
        return _paces[key]


def _aws_pace(endpoint: Any, trial: Trial, now: datetime) -> Any:
    from collectors.aws_lambda.fetch import CALLS_PER_SECOND
    from collectors.pace import Pace

    return _shared("FilterLogEvents", endpoint, trial, now, lambda parts: Pace(per_second=CALLS_PER_SECOND / parts))


def _aws_lambda(endpoint: Any, trial: Trial, now: datetime, stack: contextlib.ExitStack) -> Any:
    from collectors.aws_lambda.fetch import Clients

    logs, metrics = _aws(endpoint, "logs", stack), _aws(endpoint, "cloudwatch", stack)
    return Clients(
        logs=logs,
        metrics=metrics,
        pace=_aws_pace(endpoint, trial, now),
        slices=LAMBDA_SLICES,
        objects=_objects(trial, partial(_s3_of_profile, endpoint) if endpoint.profile else None),
    )


def _objects(trial: Trial, connect: Callable[[str], tuple[Any, str]] | None = None) -> Any:
    from collectors.dated_objects import touching

    return partial(touching, folder=trial.folder, connect=connect)


def _s3_of_profile(endpoint: Any, url: str) -> tuple[Any, str]:
    """The bucket as the endpoint's profile sees it; Arrow itself knows only the default one."""
    import boto3
    from pyarrow import fs

    scheme, _, rest = url.partition("://")
    keys = boto3.Session(profile_name=endpoint.profile).get_credentials()
    if scheme != "s3" or keys is None:
        return fs.FileSystem.from_uri(url)
    path, _, query = rest.partition("?")
    found = keys.get_frozen_credentials()
    options = {name: value[0] for name, value in parse_qs(query).items()}
    region = options.pop("region", None) or (None if "endpoint_override" in options else fs.resolve_s3_region(path.split("/", 1)[0]))
    filesystem = fs.S3FileSystem(
        access_key=found.access_key, secret_key=found.secret_key, session_token=found.token, region=region, **options
    )
    return filesystem, path


def _sagemaker(endpoint: Any, trial: Trial, now: datetime, stack: contextlib.ExitStack) -> Any:
    from collectors.sagemaker.fetch import Clients

    return Clients(logs=_aws(endpoint, "logs", stack), metrics=_aws(endpoint, "cloudwatch", stack), pace=_aws_pace(endpoint, trial, now))


def _google(endpoint: Any, trial: Trial, now: datetime, stack: contextlib.ExitStack) -> Any:
    from google.auth.exceptions import GoogleAuthError

    from collectors.google_api import LOGGING_CALLS, MONITORING_CALLS, Pace, connect

    try:
        made = connect(endpoint.api_endpoint)
    except GoogleAuthError as exc:
        raise Denied(
            "no Google credentials found",
            where=f"endpoint {endpoint.name}",
            do="Run `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS",
        ) from exc
    stack.callback(made.logging.transport.close)
    stack.callback(made.monitoring.transport.close)
    return replace(
        made,
        logging_pace=_shared("entries.list", endpoint, trial, now, lambda parts: Pace(calls=max(1, LOGGING_CALLS // parts))),
        monitoring_pace=_shared("timeSeries.list", endpoint, trial, now, lambda parts: Pace(calls=max(1, MONITORING_CALLS // parts))),
        objects=_objects(trial),
    )


def _http(base_url: str, key: str, stack: contextlib.ExitStack) -> Any:
    import httpx

    return stack.enter_context(
        httpx.Client(base_url=base_url, headers={"Authorization": f"Bearer {key}"}, timeout=httpx.Timeout(30, connect=5))
    )


def _runpod(endpoint: Any, trial: Trial, now: datetime, stack: contextlib.ExitStack) -> Any:
    from collectors.files import open_lines
    from collectors.runpod.fetch import Clients

    key = secret(endpoint.api_key_env, endpoint=endpoint.name)
    return Clients(http=_http(endpoint.api_endpoint or RUNPOD, key, stack), files=partial(open_lines, folder=trial.folder), now=lambda: now)


def _replicate(endpoint: Any, trial: Trial, now: datetime, stack: contextlib.ExitStack) -> Any:
    from collectors.replicate.fetch import Clients

    key = secret(endpoint.api_key_env, endpoint=endpoint.name)
    return Clients(http=_http(endpoint.api_endpoint or REPLICATE, key, stack))


def _export(endpoint: Any, trial: Trial, now: datetime, stack: contextlib.ExitStack) -> Any:
    from collectors.export.fetch import Clients

    return Clients(folder=trial.folder)


_MAKE: dict[str, Callable[[Any, Trial, datetime, contextlib.ExitStack], Any]] = {
    "aws-lambda": _aws_lambda,
    "cloud-run": _google,
    "vertex-ai": _google,
    "runpod": _runpod,
    "sagemaker": _sagemaker,
    "replicate": _replicate,
    "export": _export,
}
