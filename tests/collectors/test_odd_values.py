"""
Every value of every sample, in turn, replaced by one that nobody expects there: judged, never an exception.

Every path of every JSON payload gets every odd value, and every number of every text every odd number; the row it stands in is assembled
with it.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from collectors import aws_lambda, cloud_run, replicate, runpod, sagemaker, vertex_ai
from collectors.aws_lambda.quick import parse_batch
from collectors.lines import handler_fields
from collectors.serving_lines import ServingLine, read_serving_line
from trial import handler_line, schema
from trial.calendar import Calendar
from trial.config import AwsLambdaEndpoint, CloudRunEndpoint, ReplicateEndpoint, RunpodEndpoint, SagemakerEndpoint, VertexEndpoint
from trial.records import Ignored, Invocation, Rejected

CALENDAR = Calendar(start=date(2026, 11, 2), days=14, zone=ZoneInfo("UTC"))
PLATFORMS = {
    "aws-lambda": (aws_lambda, AwsLambdaEndpoint),
    "cloud-run": (cloud_run, CloudRunEndpoint),
    "runpod": (runpod, RunpodEndpoint),
    "replicate": (replicate, ReplicateEndpoint),
    "sagemaker": (sagemaker, SagemakerEndpoint),
    "vertex-ai": (vertex_ai, VertexEndpoint),
}
TYPES = {**handler_line.FIELDS, "ts": (datetime,), "process_start": (datetime,), "input_tokens": (int,), "output_tokens": (int,)}
ODD_VALUES = (None, True, "", "x", "9999-12-31T23:59:59Z", 0, -1, 2**53, 2**70, 1e300, [], [[]], ["x", 1], {}, {"a": []})
ODD_NUMBERS = ("0", "-1", "99999999999999999999", "1e300", "nan", "", "0001", "9999")
_NUMBER = re.compile(r"\d+(?:\.\d+)?")


def odd_values(value: Any) -> Iterator[Any]:
    """The JSON value with one value in it, or all of it, replaced, in every way."""
    yield from ODD_VALUES
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        copy: Any = dict(value) if isinstance(value, dict) else list(value)
        for odd in odd_values(inner):
            copy[key] = odd
            yield copy.copy()


def odd_payloads(payload: Any) -> Iterator[Any]:
    if not isinstance(payload, str):
        yield from (odd for odd in odd_values(payload) if isinstance(odd, dict))
        return
    try:
        decoded = json.loads(payload)
    except ValueError:
        decoded = None
    if isinstance(decoded, dict | list):
        yield from (json.dumps(odd, separators=(",", ":")) for odd in odd_values(decoded))
    for match in _NUMBER.finditer(payload):
        yield from (payload[: match.start()] + odd + payload[match.end() :] for odd in ODD_NUMBERS)


@pytest.mark.parametrize("platform", PLATFORMS)
def test_any_value_in_place_of_any_other(platform, sample_rows):
    collector, kind = PLATFORMS[platform]
    tried = 0
    for sample in sample_rows(platform):
        endpoint = kind(**sample.endpoint)
        outcomes = [collector.parse(event, endpoint) for event in sample.events]
        for place, event in enumerate(sample.events):
            for payload in odd_payloads(event.payload):
                odd = replace(event, payload=payload)
                outcome = collector.parse(odd, endpoint)
                if collector is aws_lambda:
                    assert parse_batch([odd], endpoint) == [outcome]
                ordered = sorted(
                    zip(
                        [*sample.events[:place], odd, *sample.events[place + 1 :]],
                        [*outcomes[:place], outcome, *outcomes[place + 1 :]],
                        strict=True,
                    ),
                    key=lambda pair: (pair[0].at, pair[0].stream, pair[0].event_id),
                )
                facts = [o for _, o in ordered if not isinstance(o, (Ignored, Rejected))]
                records = list(collector.assemble(facts, endpoint, CALENDAR))
                schema.invocations_table([r for r in records if isinstance(r, Invocation)])
                tried += 1
    assert tried > 1000


def test_any_value_in_any_handler_line(sample_rows):
    outcomes = Counter[str]()
    for sample in sample_rows("lines"):
        endpoint = AwsLambdaEndpoint(**sample.endpoint)
        for payload in odd_payloads(sample.payload):
            try:
                found = handler_fields(payload, endpoint)
            except ValueError:
                outcomes["broken"] += 1
                continue
            outcomes["none" if found is None else "read"] += 1
            assert all(isinstance(value, TYPES[name]) for name, value in (found or {}).items()), (payload, found)
    assert min(outcomes[kind] for kind in ("broken", "none", "read")) > 100


def test_any_number_in_any_serving_line(sample_rows):
    outcomes = Counter[str]()
    for sample in sample_rows("serving"):
        for payload in odd_payloads(sample.payload):
            try:
                found = read_serving_line(payload)
            except ValueError:
                outcomes["broken"] += 1
                continue
            outcomes[type(found).__name__] += 1
            for name, value in found.fields.items() if isinstance(found, ServingLine) else ():
                assert isinstance(value, TYPES[name]) and (not isinstance(value, float) or 0 <= value < math.inf), (payload, found)
    assert min(outcomes[kind] for kind in ("broken", "ServingLine", "Ignored")) > 10
