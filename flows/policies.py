"""The least each platform must be granted for Fortnight to read it: written by `fortnight init`, shown by `doctor`."""

from __future__ import annotations

import json
from typing import Any

# Read-only, and only what the collectors call; the tests hold this list to the calls they make.
AWS_ACTIONS = {
    "aws-lambda": ["logs:FilterLogEvents", "logs:DescribeLogGroups", "cloudwatch:GetMetricData"],
    "sagemaker": ["logs:FilterLogEvents", "logs:DescribeLogGroups", "cloudwatch:GetMetricData"],
}
READ_BUCKET = ("s3:ListBucket", "s3:GetObject")
KEEP_BUCKET = (*READ_BUCKET, "s3:PutObject", "s3:DeleteObject")
GCP_ROLES = {
    "cloud-run": ["roles/logging.viewer", "roles/monitoring.viewer"],
    "vertex-ai": ["roles/logging.viewer", "roles/monitoring.viewer"],
}
# What the clients call, the permission that Google's reference asks for it, and the role of ours that holds it.
GCP_CALLS = {
    "/google.logging.v2.LoggingServiceV2/ListLogEntries": ("logging.logEntries.list", "roles/logging.viewer"),
    "/google.monitoring.v3.MetricService/ListTimeSeries": ("monitoring.timeSeries.list", "roles/monitoring.viewer"),
}
KEYS = {
    "runpod": "a RunPod API key with read access to this endpoint (Settings, API keys, restricted, read) in RUNPOD_API_KEY",
    "replicate": "a Replicate API token in REPLICATE_API_TOKEN; it reads the account's own predictions",
}


def aws_policy(*, platform: str, region: str, log_group: str, logs: str | None = None) -> str:
    """
    The IAM policy document, as JSON text.

    Args:
        logs: s3:// address the lines are read from instead of the log group.
    """
    metrics = {"Effect": "Allow", "Action": ["cloudwatch:GetMetricData"], "Resource": "*"}
    if logs is not None:
        return _document([*_bucket(logs, READ_BUCKET), metrics])
    group = f"arn:aws:logs:{region}:*:log-group:{log_group}"
    return _document(
        [
            {"Effect": "Allow", "Action": ["logs:FilterLogEvents"], "Resource": [group, f"{group}:*"]},
            # Neither of these can be restricted to a resource.
            {"Effect": "Allow", "Action": [a for a in AWS_ACTIONS[platform] if a != "logs:FilterLogEvents"], "Resource": "*"},
        ]
    )


def store_policy(url: str) -> str:
    """The IAM policy document for a store in a bucket, as JSON text."""
    return _document(_bucket(url, KEEP_BUCKET))


def _bucket(url: str, actions: tuple[str, ...]) -> list[dict[str, Any]]:
    bucket, _, prefix = url.removeprefix("s3://").partition("?")[0].strip("/").partition("/")
    arn, objects = f"arn:aws:s3:::{bucket}", f"{prefix}/*" if prefix else "*"
    return [
        {"Effect": "Allow", "Action": ["s3:ListBucket"], "Resource": arn},
        {"Effect": "Allow", "Action": [a for a in actions if a != "s3:ListBucket"], "Resource": f"{arn}/{objects}"},
    ]


def _document(statements: list[dict[str, Any]]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements}, indent=2)


def gcp_commands(*, platform: str, project: str) -> str:
    """The gcloud lines that grant the roles to a service account of its own."""
    account = f"fortnight@{project}.iam.gserviceaccount.com"
    lines = [f"gcloud iam service-accounts create fortnight --project {project}"]
    lines += [
        f"gcloud projects add-iam-policy-binding {project} --member serviceAccount:{account} --role {role} --condition None"
        for role in GCP_ROLES[platform]
    ]
    return "\n".join(lines)
