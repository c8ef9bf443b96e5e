"""Exported events understood by the platform they came from: one small table, loaded as it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from typing import Any, NamedTuple

from trial.calendar import Calendar
from trial.records import Ignored, Incomplete, Instance, Invocation, RawEvent, Rejected


class _Reader(NamedTuple):
    parse: Callable[[RawEvent, Any], Any]
    assemble: Callable[[Iterable[Any], Any, Calendar], Iterator[Invocation | Incomplete | Instance]]
    region_of: Callable[[RawEvent, Any], str | None] | None


# Names of modules, so that reading Lambda's files loads nothing of Google's, and the other way round.
_PACKAGES = {
    "aws-lambda": "collectors.aws_lambda",
    "cloud-run": "collectors.cloud_run",
    "runpod": "collectors.runpod",
    "replicate": "collectors.replicate",
    "invocations": "collectors.export.row_facts",
}
_readers: dict[str, _Reader] = {}


def parse(event: RawEvent, endpoint: Any) -> Any | Ignored | Rejected:
    """As the platform that `endpoint.format` names parses its own events."""
    return _reader(endpoint.format).parse(event, endpoint)


def assemble(facts: Iterable[Any], endpoint: Any, calendar: Calendar) -> Iterator[Invocation | Incomplete | Instance]:
    """As the platform that `endpoint.format` names assembles its own facts."""
    return _reader(endpoint.format).assemble(facts, endpoint, calendar)


def region_of(event: RawEvent, endpoint: Any) -> str | None:
    """As the platform that `endpoint.format` names finds it; None where its logs name none."""
    find = _reader(endpoint.format).region_of
    return find(event, endpoint) if find else None


def _reader(format: str) -> _Reader:
    found = _readers.get(format)
    if found is None:
        package = import_module(_PACKAGES[format])
        found = _readers[format] = _Reader(parse=package.parse, assemble=package.assemble, region_of=getattr(package, "region_of", None))
    return found
