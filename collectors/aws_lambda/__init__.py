"""AWS Lambda, read from CloudWatch Logs; its own counters from CloudWatch metrics."""

from __future__ import annotations

from collectors.aws_lambda.assemble import assemble
from collectors.aws_lambda.fetch import Clients, fetch, fetch_usage
from collectors.aws_lambda.parse import parse
from collectors.aws_lambda.probe import probe
from collectors.aws_lambda.quick import parse_batch
from collectors.aws_lambda.region import region_of

SOURCES = ("cloudwatch-logs",)
# Every invocation that CloudWatch counts is a request of the trial: nothing ignored is among them.
COUNTED_BY_PROVIDER: frozenset[str] = frozenset()
# One stream is one execution environment.
STREAMS_APART = True

__all__ = [
    "COUNTED_BY_PROVIDER",
    "SOURCES",
    "STREAMS_APART",
    "Clients",
    "assemble",
    "fetch",
    "fetch_usage",
    "parse",
    "parse_batch",
    "probe",
    "region_of",
]
