"""The platforms there are: one explicit table, no discovery. Packages load when asked for, since each brings its SDK."""

from __future__ import annotations

from importlib import import_module
from typing import cast

from collectors.protocol import Collector

COLLECTORS = {
    "aws-lambda": "collectors.aws_lambda",
    "cloud-run": "collectors.cloud_run",
    "runpod": "collectors.runpod",
    "sagemaker": "collectors.sagemaker",
    "vertex-ai": "collectors.vertex_ai",
    "replicate": "collectors.replicate",
    "export": "collectors.export",
}

# Their sources have no time filter (files, and a list that only pages back from now): one pull for all days, not one a day.
READ_WHOLE = frozenset({"export", "runpod", "replicate"})


def collector(platform: str) -> Collector:
    """The package of a platform; its module satisfies the Protocol."""
    return cast(Collector, import_module(COLLECTORS[platform]))
