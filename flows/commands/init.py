"""`fortnight init`: asks what it needs to know, or takes it from flags, and writes trial.toml and what to grant."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import typer

from flows import asking, exported, policies, wiring
from flows.asking import Asker
from flows.exported import Found
from trial import config
from trial.errors import ConfigError, NotFound, SourceError

# What each platform's table needs: key -> (question, default, why).
QUESTIONS: dict[str, dict[str, tuple[str, str, str]]] = {
    "aws-lambda": {
        "function": ("Lambda function", "summariser", "Its log group is taken to be /aws/lambda/<function>; `log_group` names another."),
        "region": ("AWS region", "us-east-1", ""),
    },
    "cloud-run": {
        "project": ("Google Cloud project", "acme", ""),
        "service": ("Cloud Run service", "summariser", ""),
        "region": ("Google Cloud region", "us-central1", ""),
    },
    "runpod": {
        "endpoint_id": ("RunPod endpoint id", "abc123", "The part of its URL after /v2/."),
        "handler_lines": (
            "Files of handler lines",
            "lines/*.jsonl",
            "RunPod keeps results for minutes, so the handler's lines are shipped to files: a glob, also s3:// or gs://.",
        ),
    },
    "sagemaker": {"endpoint_name": ("SageMaker endpoint", "summariser", ""), "region": ("AWS region", "us-east-1", "")},
    "vertex-ai": {
        "project": ("Google Cloud project", "acme", ""),
        "region": ("Google Cloud region", "us-central1", ""),
        "endpoint_id": ("Vertex AI endpoint id", "1234567890", ""),
    },
    "replicate": {"model_owner_name": ("Replicate model, owner/name", "acme/summariser", "")},
    "export": {},
}
SHORT = {"aws-lambda": "lambda", "cloud-run": "run", "vertex-ai": "vertex", "invocations": "export"}
PRICES = {
    "aws-lambda": ("aws-lambda-x86", "resources = { memory_mb = 10240 }"),
    "cloud-run": ("cloud-run-l4-no-zonal", "resources = { vcpu = 4, memory_gib = 16 }"),
    "runpod": ("runpod-flex-4090", None),
    "sagemaker": ("sagemaker-ml.g4dn.xlarge", None),
    "vertex-ai": ("vertex-n1-standard-4-t4", None),
    "replicate": ("replicate-t4", None),
}
DEDICATED = "sagemaker-ml.g4dn.xlarge"


def run(
    *,
    out: Path,
    name: str | None,
    platforms: list[str] | None,
    start: str | None,
    days: int | None,
    timezone: str | None,
    slo_ms: float | None,
    noticed_share: float | None,
    user_facing: bool | None,
    export_path: str | None,
    export_format: str | None,
    force: bool,
) -> None:
    if out.exists() and not force:
        raise ConfigError("exists already", where=str(out), do="Name another file with --out, or replace it with --force")
    ask, folder = Asker(), out.resolve().parent
    if platforms is None and export_path is not None:
        platforms = ["export"]
    name = ask("Name of the trial", "summariser", check=asking.is_name, flag="--name", given=name)
    chosen = _platforms(ask, platforms)
    found: list[Found] = []
    tables = [_table(p, ask, name, found, folder, export_path, export_format, chosen[:i].count(p)) for i, p in enumerate(chosen)]
    zone = ask(
        "Time zone",
        asking.machine_zone(),
        hint="Days begin and end at its midnight: the one your users live by, as an IANA name.",
        check=asking.is_zone,
        flag="--timezone",
        given=timezone,
    )
    first, length = _span(found, zone)
    text = _text(
        name=name,
        zone=zone,
        start=ask(
            "First day", first, hint="The first local day that counts, YYYY-MM-DD.", check=asking.is_day, flag="--start", given=start
        ),
        days=ask(
            "Days",
            str(length),
            hint="How long the trial lasts.",
            check=asking.is_days,
            flag="--days",
            given=None if days is None else str(days),
        ),
        **_tolerance(ask, slo_ms, noticed_share, user_facing),
        dedicated=ask(
            "Dedicated option",
            DEDICATED,
            hint="What you would move to: a row of `fortnight prices list`. More can be added to the file.",
            check=_is_price,
        ),
        tables=tables,
    )
    trial = config.parse(text, path=out)
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as exc:
        raise ConfigError(f"cannot be written: {exc.strerror}", where=str(out), do="Name another file with --out") from exc
    _say(ask, trial, out, found)


def _platforms(ask: Asker, given: list[str] | None) -> list[str]:
    def known(text: str) -> str:
        names = [part.strip() for part in text.split(",") if part.strip()]
        wrong = [n for n in names if n not in QUESTIONS]
        if wrong or not names:
            raise ValueError(f"no platform {(wrong or [text])[0]!r}; use one of {', '.join(QUESTIONS)}")
        return ",".join(names)

    return ask(
        "Platforms",
        "cloud-run",
        hint=f"Where the model runs: one or more of {', '.join(QUESTIONS)}, with commas. export is for log files you already have.",
        check=known,
        flag="--platform",
        given=None if given is None else ",".join(given),
    ).split(",")


def _table(
    platform: str, ask: Asker, trial: str, found: list[Found], folder: Path, export_path: str | None, export_format: str | None, twin: int
) -> str:
    rows, priced_as = [f"platform = {_quoted(platform)}"], platform
    if platform == "export":
        path, seen = _exported(ask, folder, export_path, export_format)
        priced_as = seen.format
        found.append(seen)
        rows += [f"format = {_quoted(seen.format)}", f"path = {_quoted(path)}  # a file or glob, relative to this file"]
    for key, (question, default, why) in QUESTIONS[platform].items():
        rows.append(f"{key} = {_quoted(ask(question, default, hint=why, check=asking.is_given))}")
    if platform in ("runpod", "replicate"):
        rows.append(f'api_key_env = "{"RUNPOD_API_KEY" if platform == "runpod" else "REPLICATE_API_TOKEN"}"  # the name, never the key')
    price, resources = PRICES.get(priced_as, (None, None))
    row = f'price = "{price}"  # check it; a row of `fortnight prices list`'
    rows.append(row if price else '# price = "..."  # a row of `fortnight prices list`; without it no cost is computed')
    if resources:
        rows.append(f"{resources}  # check it; as configured, the price depends on it")
    rows.append("# idle_timeout_s = 600  # how long an idle instance is kept, where you set it; else the price row's")
    named = f"{trial}-{SHORT.get(priced_as, priced_as)}"[:60] + (f"-{twin + 1}" if twin else "")
    return "\n".join(["[[endpoints]]", f"name = {_quoted(named)}", *rows])


def _exported(ask: Asker, folder: Path, given: str | None, format: str | None) -> tuple[str, Found]:
    """The files, and what they hold; files that are not there yet are no fault where nobody can be asked."""
    seen: dict[str, Found] = {}

    if format is not None and format not in config.EXPORT_FORMATS:
        raise ConfigError(f"no format {format!r}", where="--export-format", do=f"Use one of {', '.join(config.EXPORT_FORMATS)}")

    def readable(path: str) -> str:
        try:
            seen[path] = exported.look(path, folder=folder, format=format)
        except SourceError as exc:
            raise ValueError(str(exc)) from exc
        return path

    if given is not None or not ask.terminal:
        path = given or "exports/*.json"
        try:
            return path, exported.look(path, folder=folder, format=format)
        except NotFound as exc:
            typer.echo(f"fortnight: {exc}", err=True)
            return path, Found(format=format or "aws-lambda", events=0, first=None, last=None)
    path = ask("Log files", "exports/*.json", hint=f"A file or a glob, relative to {folder}; also s3:// or gs://.", check=readable)
    return path, seen[path]


def _span(found: list[Found], zone: str) -> tuple[str, int]:
    """The days that the files cover; today and two weeks where there are none."""
    first = [f.first for f in found if f.first is not None]
    last = [f.last for f in found if f.last is not None]
    if not first or not last:
        return wiring.now().astimezone(ZoneInfo(zone)).date().isoformat(), 14
    start, end = (at.astimezone(ZoneInfo(zone)).date() for at in (min(first), max(last)))
    return start.isoformat(), min((end - start).days + 1, 366)


def _tolerance(ask: Asker, slo_ms: float | None, noticed_share: float | None, user_facing: bool | None) -> dict[str, str]:
    waits = ask(
        "Somebody waits for the answers",
        "yes",
        hint="yes or no; no for a queue or a batch, where nobody notices a cold start.",
        check=asking.is_yes_or_no,
        flag="--user-facing",
        given=None if user_facing is None else ("yes" if user_facing else "no"),
    )
    slo = ask(
        "SLO in milliseconds",
        "500",
        hint="A caller who waits longer than this notices.",
        check=asking.is_milliseconds,
        flag="--slo-ms",
        given=None if slo_ms is None else f"{slo_ms:g}",
    )
    share = ask(
        "Noticed share",
        "0.01",
        hint="Users notice when a cold start makes more than this share of requests miss it; 0.01 is 1 %.",
        check=asking.is_share,
        flag="--noticed-share",
        given=None if noticed_share is None else f"{noticed_share:g}",
    )
    return {"user_facing": "true" if waits == "yes" else "false", "slo_ms": slo, "noticed_share": share}


def _is_price(text: str) -> str:
    from analysis import prices

    try:
        return prices.load("standard").row(text).name
    except ConfigError as exc:
        raise ValueError(str(exc)) from exc


def _text(
    *,
    name: str,
    start: str,
    days: str,
    zone: str,
    user_facing: str,
    slo_ms: str,
    noticed_share: str,
    dedicated: str,
    tables: list[str],
) -> str:
    joined = "\n\n".join(tables)
    return f"""# One file describes the trial. Every key: docs/configuration.md. Secrets are never in it.

[trial]
name = {_quoted(name)}
start = {start}
days = {days}
timezone = {_quoted(zone)}  # its midnights cut the days
# Registered at the first collection; a later change is printed in the report.
cold_hit_threshold = 0.20  # more cold hits than this share: look at dedicated endpoints
confidence = 0.95
user_facing = {user_facing}  # false: nobody waits for an answer, so nobody notices a cold start
latency_slo_ms = {slo_ms}  # a caller who waits longer notices
noticed_share = {noticed_share}  # users notice when more than this share misses the SLO because of a cold start

[store]
url = "fortnight-data"  # or s3://bucket/prefix, gs://bucket/prefix

{joined}

[[dedicated]]  # what serverless is compared with; repeat for several
name = {_quoted(dedicated)}
price = {_quoted(dedicated)}
instances = 1
service_ms_scale = 1.0  # how many times as long the same request takes on that GPU
"""


def _quoted(text: str) -> str:
    """As a TOML string: its escapes are JSON's."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _say(ask: Asker, trial: Any, out: Path, found: list[Found]) -> None:
    typer.echo(f"Wrote {out}.")
    if ask.assumed:
        typer.echo("Not asked, so these stand until you change them there:")
        for item in ask.assumed:
            typer.echo(f"  {item}")
    for seen in found:
        if seen.events == 0:
            typer.echo("\nThere are no events in the files yet: `start` and `days` are a guess.")
        if seen.first is not None and seen.last is not None:
            zone = ZoneInfo(trial.trial.timezone)
            typer.echo(
                f"\nThe files hold {seen.events:,} events ({seen.format}), from {_local(seen.first, zone)} to {_local(seen.last, zone)}."
            )
            typer.echo("Every day counts as a whole one: where they begin or end inside a day, change `start` or `days`.")
    for endpoint in trial.endpoints:
        if endpoint.platform != "export":
            typer.echo(f"\nTo grant for {endpoint.name} ({endpoint.platform}):\n{_grant(endpoint)}")
    option = "" if out == Path("trial.toml") else f" --config {out}"
    typer.echo(f"\nNext: `fortnight doctor{option}`, then `fortnight collect{option}`.")


def _local(at: datetime, zone: ZoneInfo) -> str:
    return f"{at.astimezone(zone):%Y-%m-%d %H:%M}"


def _grant(endpoint: Any) -> str:
    match endpoint.platform:
        case "aws-lambda":
            group = endpoint.log_group or f"/aws/lambda/{endpoint.function}"
            return policies.aws_policy(platform="aws-lambda", region=endpoint.region, log_group=group, logs=endpoint.logs)
        case "sagemaker":
            group = f"/aws/sagemaker/Endpoints/{endpoint.endpoint_name}"
            return policies.aws_policy(platform="sagemaker", region=endpoint.region, log_group=group)
        case "cloud-run" | "vertex-ai":
            return policies.gcp_commands(platform=endpoint.platform, project=endpoint.project)
        case _:
            return policies.KEYS[endpoint.platform]
