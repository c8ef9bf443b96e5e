"""The region a Lambda log comes from, read off its initialisations."""

from datetime import UTC, datetime

import pytest

from collectors.aws_lambda import region_of
from trial.records import RawEvent

ARN = "arn:aws:lambda:ap-southeast-2::runtime:81e4ff5669ca00936ae2ebcd7e3ee4b820d9f1dec101bbabbb706dc9e1481298"


def event(payload):
    at = datetime(2026, 11, 3, tzinfo=UTC)
    return RawEvent(source="cloudwatch-logs", stream="2026/11/03/[1]a", event_id="1", at=at, payload=payload)


@pytest.mark.parametrize(
    ("payload", "region"),
    [
        (f"INIT_START Runtime Version: python:3.11.v39\tRuntime Version ARN: {ARN}\n", "ap-southeast-2"),
        (f"RESTORE_START Runtime Version: java:21.v38 Runtime Version ARN: {ARN.replace('aws', 'aws-us-gov', 1)}", "ap-southeast-2"),
        ({"type": "platform.initStart", "record": {"runtimeVersionArn": ARN}}, "ap-southeast-2"),
        ('{"time":"2026-11-03T00:00:00Z","type":"platform.initStart","record":{"runtimeVersionArn":"' + ARN + '"}}', "ap-southeast-2"),
        ("INIT_START \n", None),
        ("START RequestId: 8f5a3b0e-1c1c-4f0e-9a43-2b8a8a1d2c3d Version: 1\n", None),
        (f"a user's own line that names {ARN}", None),
        ({"type": "platform.initStart", "record": "odd"}, None),
        ({"record": {"runtimeVersionArn": 7}}, None),
        (["odd"], None),
    ],
)
def test_only_an_initialisation_names_it(payload, region):
    assert region_of(event(payload), None) == region
