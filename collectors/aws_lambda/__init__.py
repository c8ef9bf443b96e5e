"""AWS Lambda, read from CloudWatch Logs; its own counters from CloudWatch metrics."""

from __future__ import annotations

from collectors.aws_lambda.assemble import assemble
from collectors.aws_lambda.fetch import Clients, fetch, fetch_usage
from collectors.aws_lambda.parse import parse

SOURCES = ("cloudwatch-logs",)
# Every invocation that CloudWatch counts is a request of the trial: nothing ignored is among them.
COUNTED_BY_PROVIDER: frozenset[str] = frozenset()

__all__ = ["COUNTED_BY_PROVIDER", "SOURCES", "Clients", "assemble", "fetch", "fetch_usage", "parse"]
