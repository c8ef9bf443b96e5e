"""`fortnight init`: asks what it needs to know, or takes it from flags, and writes trial.toml and what to grant."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import typer

from flows import policies, wiring
from trial import config
from trial.errors import ConfigError

# What each platform's table needs: key -> (question, default).
QUESTIONS: dict[str, dict[str, tuple[str, str]]] = {
    "aws-lambda": {"function": ("Lambda function", "summariser"), "region": ("AWS region", "us-east-1")},
    "cloud-run": {
        "project": ("Google Cloud project", "acme"),
        "service": ("Cloud Run service", "summariser"),
        "region": ("region", "us-central1"),
    },
    "runpod": {
        "endpoint_id": ("RunPod endpoint id", "abc123"),
        "handler_lines": ("files the handler's lines are shipped to", "lines/*.jsonl"),
    },
    "sagemaker": {"endpoint_name": ("SageMaker endpoint", "summariser"), "region": ("AWS region", "us-east-1")},
    "vertex-ai": {
        "project": ("Google Cloud project", "acme"),
        "region": ("region", "us-central1"),
        "endpoint_id": ("endpoint id", "1234567890"),
    },
    "replicate": {"model_owner_name": ("model, owner/name", "acme/summariser")},
    "export": {
        "format": (f"format ({', '.join(config.EXPORT_FORMATS)})", "aws-lambda"),
        "path": ("files, a glob", "exports/*.json"),
    },
}
PRICES = {
    "aws-lambda": ("aws-lambda-x86", "resources = { memory_mb = 10240 }"),
    "cloud-run": ("cloud-run-l4-no-zonal", "resources = { vcpu = 4, memory_gib = 16 }"),
    "runpod": ("runpod-flex-4090", None),
    "sagemaker": ("sagemaker-ml.g4dn.xlarge", None),
    "vertex-ai": ("vertex-n1-standard-4-t4", None),
    "replicate": ("replicate-t4", None),
}


def run(
    *,
    out: Path,
    name: str | None,
    platforms: list[str] | None,
    start: str | None,
    days: int,
    timezone: str | None,
    slo_ms: float | None,
    export_path: str | None,
    export_format: str | None,
    force: bool,
) -> None:
    if out.exists() and not force:
        raise ConfigError("exists already", where=str(out), do="Name another file with --out, or replace it with --force")
    ask = _asker()
    name = name or ask("Name of the trial", "summariser")
    platforms = platforms or [p.strip() for p in ask(f"Platforms, of {', '.join(QUESTIONS)}", "cloud-run").split(",")]
    given = {"path": export_path, "format": export_format}
    tables = [_table(platform, ask, given) for platform in platforms]
    text = _text(
        name=name,
        start=start or ask("First day of the trial", wiring.now().date().isoformat()),
        days=days,
        timezone=timezone or ask("Time zone whose days count", "UTC"),
        slo_ms=slo_ms if slo_ms is not None else float(ask("Milliseconds a caller waits before noticing", "500")),
        tables=tables,
    )
    trial = config.parse(text, path=out)
    out.write_text(text, encoding="utf-8")
    typer.echo(f"Wrote {out}. Next: `fortnight doctor`, then `fortnight collect`.")
    for endpoint in trial.endpoints:
        typer.echo(f"\nTo grant for {endpoint.name} ({endpoint.platform}):\n{_grant(endpoint)}")


def _asker() -> Any:
    if sys.stdin.isatty():
        return lambda question, default: typer.prompt(question, default=default)
    # Not asked where nobody can answer: the defaults stand and the comments in the file say what to change.
    return lambda _question, default: default


def _table(platform: str, ask: Any, given: dict[str, str | None]) -> str:
    if platform not in QUESTIONS:
        raise ConfigError(f"no platform {platform!r}", do=f"Use one of {', '.join(QUESTIONS)}")
    lines = ["[[endpoints]]", f'name = "{platform}"', f'platform = "{platform}"']
    for key, (question, default) in QUESTIONS[platform].items():
        lines.append(f'{key} = "{given.get(key) or ask(f"{platform}: {question}", default)}"')
    if platform in ("runpod", "replicate"):
        lines.append(f'api_key_env = "{"RUNPOD_API_KEY" if platform == "runpod" else "REPLICATE_API_TOKEN"}"  # the name, never the key')
    price, resources = PRICES.get(platform, (None, None))
    lines.append(
        f'price = "{price}"  # a row of `fortnight prices list`' if price else '# price = "..."  # a row of `fortnight prices list`'
    )
    if resources:
        lines.append(f"{resources}  # as configured: the price depends on it")
    lines.append("# idle_timeout_s = 600  # how long an idle instance is kept, where you set it; else the price row's")
    return "\n".join(lines)


def _text(*, name: str, start: str, days: int, timezone: str, slo_ms: float, tables: list[str]) -> str:
    joined = "\n\n".join(tables)
    return f"""# One file describes the trial. Every key: docs/configuration.md. Secrets are never in it.

[trial]
name = "{name}"
start = {start}
days = {days}
timezone = "{timezone}"
cold_hit_threshold = 0.20  # registered at the first collection; a later change is printed in the report
confidence = 0.95
user_facing = true         # false: nobody waits for an answer, so nobody notices a cold start
latency_slo_ms = {slo_ms:g}       # a caller who waits longer notices
noticed_share = 0.01       # users notice when more than this share misses the SLO because of a cold start

[store]
url = "fortnight-data"     # or s3://bucket/prefix, gs://bucket/prefix

{joined}

[[dedicated]]              # what serverless is compared with; repeat for several
name = "g4dn.xlarge"
price = "sagemaker-ml.g4dn.xlarge"
instances = 1
service_ms_scale = 1.0     # how much slower or faster the same request is on that GPU
"""


def _grant(endpoint: Any) -> str:
    match endpoint.platform:
        case "aws-lambda":
            group = endpoint.log_group or f"/aws/lambda/{endpoint.function}"
            return policies.aws_policy(platform="aws-lambda", region=endpoint.region, log_group=group)
        case "sagemaker":
            group = f"/aws/sagemaker/Endpoints/{endpoint.endpoint_name}"
            return policies.aws_policy(platform="sagemaker", region=endpoint.region, log_group=group)
        case "cloud-run" | "vertex-ai":
            return policies.gcp_commands(platform=endpoint.platform, project=endpoint.project)
        case "export":
            return "nothing: the files are read where they lie"
        case _:
            return policies.KEYS[endpoint.platform]
