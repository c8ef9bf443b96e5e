"""AWS Lambda, read from CloudWatch Logs; its own counters from CloudWatch metrics."""

from __future__ import annotations

from collectors.aws_lambda.assemble import assemble
from collectors.aws_lambda.parse import parse

SOURCES = ("cloudwatch-logs",)

__all__ = ["SOURCES", "assemble", "parse"]
