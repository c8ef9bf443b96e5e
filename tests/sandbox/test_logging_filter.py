from __future__ import annotations

import pytest

from sandbox.logging_filter import FilterError, compile_filter

ENTRY = {
    "logName": "projects/acme/logs/run.googleapis.com%2Frequests",
    "resource": {"type": "cloud_run_revision", "labels": {"service_name": "summariser"}},
    "severity": "WARNING",
    "httpRequest": {"status": 503},
    "textPayload": "Starting new instance. Reason: AUTOSCALING",
    "labels": {"instanceId": "00ab", "k8s-pod/app": "x"},
    "timestampUs": 1_793_577_600_000_000,  # 2026-11-02T00:00:00Z
    "receiveTimestampUs": 1_793_577_700_000_000,
}


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("", True),
        ('resource.type="cloud_run_revision"', True),
        ('resource.labels.service_name="other"', False),
        ("severity>=WARNING", True),
        ("severity>WARNING", False),
        ("httpRequest.status>=500 AND httpRequest.status<504", True),
        ('logName=("projects/acme/logs/run.googleapis.com%2Frequests" OR "projects/acme/logs/x")', True),
        ('log_id("run.googleapis.com/requests")', True),
        ('log_id("run.googleapis.com/stdout")', False),
        ('textPayload:"autoscaling"', True),
        ('textPayload=~"Reason: [A-Z]+$"', True),
        ("jsonPayload.gpu_ms:*", False),
        ("labels.instanceId:*", True),
        ('labels."k8s-pod/app"="x"', True),
        ('NOT severity="WARNING"', False),
        ('severity="ERROR" OR httpRequest.status=503', True),
        ('(severity="ERROR" OR severity="WARNING") resource.type="cloud_run_revision"', True),
        ('timestamp>="2026-11-02T00:00:00Z" timestamp<"2026-11-02T01:00:00+01:00"', False),
        ('timestamp>="2026-11-02T00:00:00Z" AND timestamp<"2026-11-02T00:00:01.5Z"', True),
        ('receiveTimestamp>"2026-11-02T00:01:00Z"', True),
        ('severity="WARNING" -- a comment\nAND resource.type="cloud_run_revision"', True),
    ],
)
def test_what_a_filter_matches(text, matches):
    assert compile_filter(text).test(ENTRY) is matches


def test_the_bounds_on_timestamp_narrow_the_search_only_where_they_may():
    both = compile_filter('timestamp>="2026-11-02T00:00:00Z" AND timestamp<"2026-11-03T00:00:00Z" AND severity="INFO"')
    assert both.end_us - both.begin_us == 86_400_000_000 - 1
    for text in (
        'timestamp>="2026-11-02T00:00:00Z" OR severity="INFO"',
        'NOT timestamp>="2026-11-02T00:00:00Z"',
        '(timestamp>="2026-11-02T00:00:00Z" OR severity="INFO")',
    ):
        assert (compile_filter(text).begin_us, compile_filter(text).end_us) == (0, 1 << 62)


@pytest.mark.parametrize(
    "text",
    [
        "severity=",
        "just words",
        "severity ~ 3",
        '(severity="INFO"',
        'severity="INFO")',
        'timestamp>="yesterday"',
        'timestamp>="2026-11-02T00:00:00"',
        'timestamp:"2026"',
        'textPayload=~"("',
        'severity=("INFO" INFO)',
        '"unterminated',
        "(" * 60 + "a=1" + ")" * 60,
    ],
)
def test_what_cannot_be_understood_is_refused_and_never_ignored(text):
    with pytest.raises(FilterError):
        compile_filter(text)
