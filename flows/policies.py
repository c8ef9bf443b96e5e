"""The least each platform must be granted for Fortnight to read it: written by `fortnight init`, shown by `doctor`."""

from __future__ import annotations

import json

# Read-only, and only what the collectors call; the tests hold this list to the calls they make.
AWS_ACTIONS = {
    "aws-lambda": ["logs:FilterLogEvents", "logs:DescribeLogGroups", "cloudwatch:GetMetricData"],
    "sagemaker": ["logs:FilterLogEvents", "logs:DescribeLogGroups", "cloudwatch:GetMetricData"],
}
GCP_ROLES = {
    "cloud-run": ["roles/logging.viewer", "roles/monitoring.viewer"],
    "vertex-ai": ["roles/logging.viewer", "roles/monitoring.viewer"],
}
KEYS = {
    "runpod": "a RunPod API key with read access to this endpoint (Settings, API keys, restricted, read) in RUNPOD_API_KEY",
    "replicate": "a Replicate API token in REPLICATE_API_TOKEN; it reads the account's own predictions",
}


def aws_policy(*, platform: str, region: str, log_group: str) -> str:
    """The IAM policy document, as JSON text."""
    logs = f"arn:aws:logs:{region}:*:log-group:{log_group}"
    statements = [
        {"Effect": "Allow", "Action": ["logs:FilterLogEvents"], "Resource": [logs, f"{logs}:*"]},
        # Neither of these can be restricted to a resource.
        {"Effect": "Allow", "Action": [a for a in AWS_ACTIONS[platform] if a != "logs:FilterLogEvents"], "Resource": "*"},
    ]
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
