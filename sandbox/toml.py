"""The trial.toml that describes a served world."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from sandbox import focus
from sandbox.endpoints import LAMBDA_MEMORY_MB, Endpoint
from sandbox.logs_cloud_run import PROJECT, REGION, SERVICE
from sandbox.logs_replicate import DEPLOYMENT
from sandbox.logs_runpod import ENDPOINT_ID
from sandbox.serving import FUNCTION, log_group
from trial.calendar import Calendar

AWS_REGION = "us-east-1"


class _Addresses(Protocol):
    def of(self, platform: str) -> str | None: ...


def trial_toml(endpoints: Iterable[Endpoint], addresses: _Addresses, folder: Path, *, calendar: Calendar, timezone: str, name: str) -> str:
    parts = [
        f"""[trial]
name = {_quoted(name)}
start = {calendar.start.isoformat()}
days = {calendar.days}
timezone = {_quoted(timezone)}
cold_hit_threshold = 0.20
confidence = 0.95
user_facing = true
latency_slo_ms = 4000
noticed_share = 0.01

[store]
url = {_quoted(str(folder / "store"))}

[tracking]
uri = {_quoted(f"sqlite:///{(folder / 'mlflow.db').resolve()}")}
"""
    ]
    parts += [_endpoint(endpoint, addresses, folder) for endpoint in endpoints]
    parts.append(
        """[[dedicated]]
name = "ml.g4dn.xlarge"
price = "sagemaker-ml.g4dn.xlarge"

[[dedicated]]
name = "ml.g5.xlarge"
price = "sagemaker-ml.g5.xlarge"
service_ms_scale = 0.7
"""
    )
    return "\n".join(parts)


def _endpoint(endpoint: Endpoint, addresses: _Addresses, folder: Path) -> str:
    plan, cases = endpoint.plan, endpoint.cases
    common = [
        "[[endpoints]]",
        f"name = {_quoted(plan.name)}",
        f"platform = {_quoted(plan.platform)}",
        f"api_endpoint = {_quoted(str(addresses.of(plan.platform)))}",
        f"model = {_quoted(plan.model)}",
        f"idle_timeout_s = {plan.idle_timeout_s:g}",
    ]
    if plan.concurrency > 1:
        common.append(f"concurrency = {plan.concurrency}")
    if "silent-pings" in cases:
        common.append('keep_warm = { path = "^/warmup" }' if plan.platform == "cloud-run" else "keep_warm = { payload = 'keep-warm' }")
    if "own-json" in cases:
        common.append('fields = { request_id = "ctx.id", gpu_ms = "timings.gpu_s|s" }')
    if focus.exported(endpoint):
        common.append(f"bill = {_quoted(str(focus.path_of(endpoint, folder)))}")
    if "shared-group" in cases:
        common.append(f"log_group = {_quoted(log_group(cases))}")
    if "triton-statistics" in cases:
        stats = folder / "triton" / plan.name / "*.jsonl"
        common.append(f"triton = {{ stats = {_quoted(str(stats))}, model = {_quoted(plan.model)} }}")
    if plan.platform == "runpod" and "harvest-only" not in cases:
        common.append(f"handler_lines = {_quoted(str(folder / 'handler-lines' / plan.name / '*.jsonl'))}")
    own = {
        "aws-lambda": [
            f"function = {_quoted(FUNCTION)}",
            f"region = {_quoted(AWS_REGION)}",
            'price = "aws-lambda-managed-g5.xlarge"' if "managed-instances" in cases else 'price = "aws-lambda-x86"',
            f"resources = {{ memory_mb = {LAMBDA_MEMORY_MB} }}",
        ],
        "cloud-run": [
            f"project = {_quoted(PROJECT)}",
            f"service = {_quoted(SERVICE)}",
            f"region = {_quoted(REGION)}",
            'price = "cloud-run-l4-no-zonal"',
            'gpu = "NVIDIA L4"',
            "resources = { vcpu = 4, memory_gib = 16 }",
        ],
        "runpod": [
            f"endpoint_id = {_quoted(ENDPOINT_ID)}",
            'api_key_env = "RUNPOD_API_KEY"',
            'price = "runpod-flex-4090"',
            'gpu = "NVIDIA GeForce RTX 4090"',
        ],
        "replicate": [
            f"deployment = {_quoted(DEPLOYMENT)}",
            'api_key_env = "REPLICATE_API_TOKEN"',
            'price = "replicate-t4"',
        ],
    }[plan.platform]
    return "\n".join([*common, *own]) + "\n"


def _quoted(text: str) -> str:
    # A JSON string is a TOML basic string.
    return json.dumps(text, ensure_ascii=False)
