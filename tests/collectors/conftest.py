"""
Sample events as data: tests/samples/<platform>.yml, read by a loader that refuses what it does not know.

A test asks for rows by marker and gets one row per test case, as the argument `sample`:

    @pytest.mark.samples("aws-lambda")
    def test_samples(sample, check_sample):
        check_sample(sample, collector=aws_lambda, endpoint=AwsLambdaEndpoint(**sample.endpoint), calendar=CALENDAR)

A file is a mapping:

    platform: aws-lambda                # for the reader
    day: "2026-11-02"                   # for times written as "HH:MM:SS.mmm"; they are UTC
    endpoint: {name: f, ...}            # keys of [[endpoints]]; a row's own `endpoint` is laid over it
    source: cloudwatch-logs             # defaults of every event
    stream: "2026/11/02/[$LATEST]00aa"
    rows:
      - name: warm_text                 # unique in the file
        why: free text                  # optional, as are all keys below
        endpoint: {memory_mb: 512}
        events:                         # -> RawEvent; event_id defaults to the position, so order within a ms is as written
          - {at: "10:00:00.000", payload: "START ...", stream: ..., event_id: ..., source: ..., ingested_at: ..., copies: 1}
        outcomes: [start, "ignored:application_line", "rejected:truncated"]    # one per event: a Fact's kind, or kind:reason
        invocations: [{request_id: a, cold: cold}]    # all of them, in order of yield; only the named columns are compared
        incomplete: [{...}]             # the same for Incomplete
        instances: [{...}]              # the same for Instance
      - name: handler_line_top_level    # rows of lines.yml have these instead of events
        payload: '{"fortnight":1}'      # text or object
        fields: {gpu_ms: 1.0}           # null: not a handler line
        error: "version"                # or: the ValueError's text contains this
        blocks: [...]                   # free for a platform's own extra checks (usage buckets, files); the test reads it

Where `invocations`, `incomplete` or `instances` is absent, that kind is not looked at; an empty list says there is none.
Times in expectations are written like those of events. Quote times: YAML would make numbers of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from trial.records import Ignored, Incomplete, Instance, Invocation, RawEvent, Rejected

SAMPLES = Path(__file__).resolve().parents[1] / "samples"
FILE_KEYS = {"platform", "day", "endpoint", "source", "stream", "rows"}
ROW_KEYS = {
    "name",
    "why",
    "endpoint",
    "events",
    "outcomes",
    "invocations",
    "incomplete",
    "instances",
    "payload",
    "fields",
    "error",
    "blocks",
}
EVENT_KEYS = {"at", "payload", "stream", "event_id", "source", "ingested_at", "copies"}
KINDS: dict[str, type] = {"invocations": Invocation, "incomplete": Incomplete, "instances": Instance}


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One row, with its events built and the endpoint keys of file and row merged."""

    name: str
    day: date | None = None
    endpoint: dict[str, Any] = field(default_factory=dict)
    events: tuple[RawEvent, ...] = ()
    outcomes: list[str] | None = None
    invocations: list[dict[str, Any]] | None = None
    incomplete: list[dict[str, Any]] | None = None
    instances: list[dict[str, Any]] | None = None
    payload: str | dict[str, Any] | None = None
    fields: dict[str, Any] | None = None
    error: str | None = None
    blocks: Any = None
    why: str = ""

    def time(self, text: str) -> datetime:
        return _time(text, self.day, self.name)


class _StrictLoader(yaml.SafeLoader):
    """YAML without dates and with duplicate keys refused."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value]
        twice = {key for key in keys if keys.count(key) > 1}
        if twice:
            raise ValueError(f"duplicate key {sorted(twice)} {node.start_mark}")
        return super().construct_mapping(node, deep)


_StrictLoader.yaml_implicit_resolvers = {
    first: [(tag, regexp) for tag, regexp in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def read_samples(name: str) -> list[Sample]:
    """
    The rows of tests/samples/<name>.yml.

    Raises:
        ValueError: an unknown or duplicate key, a row without or with a taken name, outcomes that do not match events.
    """
    path = SAMPLES / f"{name}.yml"
    file = yaml.load(path.read_text(encoding="utf-8"), _StrictLoader)
    _refuse_unknown(file, FILE_KEYS, path.name)
    day = date.fromisoformat(file["day"]) if "day" in file else None
    samples: list[Sample] = []
    for row in file["rows"]:
        where = f"{path.name}: {row.get('name')}"
        _refuse_unknown(row, ROW_KEYS, where)
        if row["name"] in {sample.name for sample in samples}:
            raise ValueError(f"{where}: the name is taken")
        events = tuple(_event(position, event, file, day, where) for position, event in enumerate(row.get("events", [])))
        if "outcomes" in row and len(row["outcomes"]) != len(events):
            raise ValueError(f"{where}: {len(row['outcomes'])} outcomes for {len(events)} events")
        for key, record in KINDS.items():
            for expected in row.get(key) or []:
                _refuse_unknown(expected, {f.name for f in fields(record)}, f"{where}: {key}")
        samples.append(Sample(**{**row, "day": day, "endpoint": {**file.get("endpoint", {}), **row.get("endpoint", {})}, "events": events}))
    return samples


def _event(position: int, event: dict[str, Any], file: dict[str, Any], day: date | None, where: str) -> RawEvent:
    _refuse_unknown(event, EVENT_KEYS, where)
    return RawEvent(
        source=event.get("source", file.get("source", "")),
        stream=event.get("stream", file.get("stream", "")),
        event_id=str(event.get("event_id", f"{position:056d}")),
        at=_time(event["at"], day, where),
        ingested_at=_time(event["ingested_at"], day, where) if "ingested_at" in event else None,
        payload=event["payload"],
        copies=event.get("copies", 1),
    )


def _time(text: Any, day: date | None, where: str) -> datetime:
    if not isinstance(text, str):
        raise TypeError(f"{where}: quote the time {text!r}")
    at = datetime.fromisoformat(text if "T" in text or " " in text else f"{day}T{text}")
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def _refuse_unknown(data: dict[str, Any], known: set[str], where: str) -> None:
    unknown = sorted(set(data) - known)
    if unknown:
        raise ValueError(f"{where}: unknown key {', '.join(unknown)}")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "samples(name): run once per row of tests/samples/<name>.yml, as argument `sample`")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    marker = metafunc.definition.get_closest_marker("samples")
    if marker is not None:
        metafunc.parametrize("sample", [pytest.param(sample, id=sample.name) for sample in read_samples(*marker.args)])


@pytest.fixture
def sample_rows() -> Callable[[str], list[Sample]]:
    """`sample_rows("aws-lambda")` where all rows are wanted at once, as for permutations."""
    return read_samples


@pytest.fixture
def check_sample() -> Callable[..., None]:
    """Runs a row through a collector's parse and assemble and compares with what it expects."""
    return _check_sample


def _check_sample(sample: Sample, *, collector: Any, endpoint: Any, calendar: Any) -> None:
    outcomes = [collector.parse(event, endpoint) for event in sample.events]
    if sample.outcomes is not None:
        assert [_label(outcome) for outcome in outcomes] == sample.outcomes
    ordered = sorted(zip(sample.events, outcomes, strict=True), key=lambda pair: (pair[0].at, pair[0].stream, pair[0].event_id))
    facts = [outcome for _, outcome in ordered if not isinstance(outcome, (Ignored, Rejected))]
    found = list(collector.assemble(facts, endpoint, calendar))
    for key, record in KINDS.items():
        wanted = getattr(sample, key)
        if wanted is not None:
            records = [r for r in found if isinstance(r, record)]
            assert len(records) == len(wanted), f"{key}: {records}"
            for got, expected in zip(records, wanted, strict=True):
                _compare(sample, got, expected)


def _label(outcome: Any) -> str:
    if isinstance(outcome, Ignored):
        return f"ignored:{outcome.reason}"
    if isinstance(outcome, Rejected):
        return f"rejected:{outcome.reason}"
    return outcome.kind


def _compare(sample: Sample, got: Any, expected: dict[str, Any]) -> None:
    for name, wanted in expected.items():
        value = getattr(got, name)
        if isinstance(value, datetime) and isinstance(wanted, str):
            wanted = sample.time(wanted)
        elif isinstance(value, date) and isinstance(wanted, str):
            wanted = date.fromisoformat(wanted)
        elif isinstance(wanted, float):
            wanted = pytest.approx(wanted, rel=1e-9, abs=1e-6)
        assert value == wanted and isinstance(value, bool) == isinstance(wanted, bool), f"{name}: {value!r}, expected {wanted!r} in {got}"
