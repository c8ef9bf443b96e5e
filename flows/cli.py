"""The command line. Commands import what they need when they run: `fortnight --help` and `status` answer at once."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Optional

import typer

from flows import quiet

app = typer.Typer(
    name="fortnight",
    help="The experiment tracker for a two-week trial of serverless GPU inference: stay, or move to a dedicated endpoint?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
prices_app = typer.Typer(help="The price book: provenance, age, checks, refresh.", no_args_is_help=True)
app.add_typer(prices_app, name="prices")

Config = Annotated[Path, typer.Option("--config", "-c", help="The trial's configuration.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on standard output, and nothing else there.")]
EndpointName = Annotated[Optional[str], typer.Option("--endpoint", "-e", help="Only this endpoint.")]
Day = Annotated[Optional[str], typer.Option(metavar="DAY", help="A local day, YYYY-MM-DD.")]

DEFAULT = Path("trial.toml")


@app.callback()
def root(debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks and every log line.")] = False) -> None:
    if debug:
        os.environ["FORTNIGHT_DEBUG"] = "1"
        os.environ["PREFECT_LOGGING_LEVEL"] = "DEBUG"


@app.command()
def init(
    out: Annotated[Path, typer.Option("--out", help="Where to write it.")] = DEFAULT,
    name: Annotated[Optional[str], typer.Option(help="The trial's name.")] = None,
    platform: Annotated[Optional[list[str]], typer.Option(help="A platform to try; repeat for several.")] = None,
    start: Annotated[Optional[str], typer.Option(help="First local day, YYYY-MM-DD; default: the files' first, or today.")] = None,
    days: Annotated[Optional[int], typer.Option(help="Length in days; default: the files', or 14.")] = None,
    timezone: Annotated[Optional[str], typer.Option(help="IANA time zone of the days; default: this machine's.")] = None,
    slo_ms: Annotated[Optional[float], typer.Option("--slo-ms", help="A caller who waits longer notices.")] = None,
    noticed_share: Annotated[Optional[float], typer.Option(help="Share of slow cold requests that users notice.")] = None,
    user_facing: Annotated[Optional[bool], typer.Option("--user-facing/--background", help="Whether somebody waits.")] = None,
    export_path: Annotated[Optional[str], typer.Option(help="Log files on disk, a glob; implies platform export.")] = None,
    export_format: Annotated[Optional[str], typer.Option(help="Their format; default: found out from the files.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
) -> None:
    """Ask, or take flags, and write trial.toml and the least-privilege policies to grant."""
    from flows.commands import init as command

    command.run(
        out=out,
        name=name,
        platforms=platform,
        start=start,
        days=days,
        timezone=timezone,
        slo_ms=slo_ms,
        noticed_share=noticed_share,
        user_facing=user_facing,
        export_path=export_path,
        export_format=export_format,
        force=force,
    )


@app.command()
def doctor(config: Config = DEFAULT, endpoint: EndpointName = None, json: Json = False) -> None:
    """Try every source: reachable, permitted, a handler line seen, retention long enough; say what to mend."""
    from flows.commands import doctor as command

    command.run(config, endpoint=endpoint, as_json=json)


@app.command()
def collect(
    config: Config = DEFAULT,
    day: Day = None,
    from_: Annotated[Optional[str], typer.Option("--from", metavar="DAY", help="First day of a span.")] = None,
    to: Annotated[Optional[str], typer.Option("--to", metavar="DAY", help="Last day of a span.")] = None,
    endpoint: EndpointName = None,
    publish: Annotated[bool, typer.Option("--publish/--no-publish", help="Log to MLflow and refresh the report afterwards.")] = True,
    json: Json = False,
) -> None:
    """Collect; without days: every complete day that is missing, or inside the look-back."""
    from flows.commands import collect as command

    command.run(config, day=day, from_day=from_, to_day=to, endpoint=endpoint, publish=publish, as_json=json)


@app.command()
def serve(config: Config = DEFAULT) -> None:
    """Run the schedules: daily collection, and the end of the trial."""
    from flows.commands import serve as command

    command.run(config)


@app.command()
def status(
    config: Config = DEFAULT,
    endpoint: EndpointName = None,
    rejected: Annotated[bool, typer.Option("--rejected", help="List the rejected and quarantined lines, verbatim.")] = False,
    json: Json = False,
) -> None:
    """Days by endpoints: collected, completeness, cold-hit rate so far, what is missing."""
    from flows.commands import status as command

    command.run(config, endpoint=endpoint, rejected=rejected, as_json=json)


@app.command()
def verdict(
    config: Config = DEFAULT,
    endpoint: EndpointName = None,
    plan: Annotated[bool, typer.Option("--plan", help="What the rest of the trial can still decide.")] = False,
    json: Json = False,
) -> None:
    """The verdict now. Exit 10: an endpoint says evaluate-dedicated; else 20: one is not-decided; else 0."""
    from flows.commands import verdict as command

    raise typer.Exit(command.run(config, endpoint=endpoint, plan=plan, as_json=json))


@app.command()
def whatif(
    config: Config = DEFAULT,
    endpoint: EndpointName = None,
    arrivals: Annotated[Optional[Path], typer.Option(help="Replay this CSV (arrival_ms, service_ms) instead of the trial.")] = None,
    idle_timeout: Annotated[Optional[float], typer.Option(help="Seconds an idle worker is kept.")] = None,
    cold_start_ms: Annotated[Optional[float], typer.Option(help="What a cold start adds; default: as measured.")] = None,
    min_workers: Annotated[Optional[int], typer.Option(help="Workers kept ready.")] = None,
    shift: Annotated[Optional[list[str]], typer.Option(help="Workers kept ready by the local hour: 8-18=2; may be repeated.")] = None,
    max_workers: Annotated[Optional[int], typer.Option(help="At most this many workers.")] = None,
    ping_every: Annotated[Optional[float], typer.Option(help="Seconds between keep-warm pings.")] = None,
    ping_ms: Annotated[Optional[float], typer.Option(help="How long a ping keeps its worker busy.")] = None,
    concurrency: Annotated[Optional[int], typer.Option(help="Requests one worker serves at once.")] = None,
    dedicated: Annotated[Optional[int], typer.Option(help="This many instances that never stop, with one queue.")] = None,
    reject: Annotated[Optional[bool], typer.Option("--reject/--queue", help="What happens above --max-workers.")] = None,
    provisioned: Annotated[Optional[int], typer.Option(help="Workers that never stop and are asked first.")] = None,
    routing: Annotated[Optional[str], typer.Option(help="newest-idle, newest-created, least-recently-used or random.")] = None,
    queue_delay: Annotated[Optional[float], typer.Option(help="RunPod's scaler: another worker after this many seconds.")] = None,
    requests_per_worker: Annotated[Optional[int], typer.Option(help="RunPod's scaler: a worker for so many requests.")] = None,
    load_queueing: Annotated[
        Optional[bool], typer.Option("--load-queueing/--no-load-queueing", help="Requests wait for a starting worker, or start their own.")
    ] = None,
    seed: Annotated[Optional[int], typer.Option(help="Of the random routing.")] = None,
    allow_simultaneous: Annotated[bool, typer.Option("--allow-simultaneous", help="Two rows may share one arrival_ms.")] = False,
    json: Json = False,
) -> None:
    """Replay the observed arrivals under other settings; without policy flags: the table of standard settings."""
    from flows.commands import whatif as command

    flags = command.Flags(
        arrivals=arrivals,
        idle_timeout=idle_timeout,
        cold_start_ms=cold_start_ms,
        min_workers=min_workers,
        shift=shift,
        max_workers=max_workers,
        ping_every=ping_every,
        ping_ms=ping_ms,
        concurrency=concurrency,
        dedicated=dedicated,
        reject=reject,
        provisioned=provisioned,
        routing=routing,
        queue_delay=queue_delay,
        requests_per_worker=requests_per_worker,
        load_queueing=load_queueing,
        seed=seed,
        allow_simultaneous=allow_simultaneous,
    )
    command.run(config, endpoint=endpoint, flags=flags, as_json=json)


@app.command()
def report(
    config: Config = DEFAULT,
    out: Annotated[Optional[Path], typer.Option("--out", help="Folder to write to; default: beside the store.")] = None,
    json: Json = False,
) -> None:
    """The report, on any day of the trial: HTML, PDF and JSON."""
    from flows.commands import report as command

    command.run(config, out=out, as_json=json)


@app.command()
def export(
    config: Config = DEFAULT,
    out: Annotated[Path, typer.Option("--out", help="File to write; its ending says parquet, csv or json.")] = Path("invocations.parquet"),
    endpoint: EndpointName = None,
) -> None:
    """The stored invocations as Parquet, CSV or JSON."""
    from flows.commands import export as command

    command.run(config, out=out, endpoint=endpoint)


@app.command()
def ui(config: Config = DEFAULT, port: Annotated[int, typer.Option(help="Port on 127.0.0.1.")] = 5000) -> None:
    """Open MLflow on this trial's store."""
    from flows.commands import ui as command

    command.run(config, port=port)


@app.command("handler-line")
def handler_line() -> None:
    """Print the file to copy into the image."""
    source = Path(__file__).resolve().parent.parent / "trial" / "handler_line.py"
    sys.stdout.write(source.read_text(encoding="utf-8"))


@app.command()
def demo(
    days: Annotated[int, typer.Option(min=1, max=28, help="Length of the trial.")] = 14,
    seed: Annotated[int, typer.Option(help="Seed of the traffic.")] = 7,
    out: Annotated[Path, typer.Option("--out", help="Folder for its store, MLflow and report.")] = Path("fortnight-demo"),
    json: Json = False,
) -> None:
    """A whole trial against the sandbox, through the real clients, to the verdict and the report."""
    from flows.commands import demo as command

    command.run(days=days, seed=seed, out=out, as_json=json)


@app.command()
def calibrate(
    config: Config = DEFAULT,
    scenario: Annotated[
        Optional[list[str]], typer.Option(help="Only this traffic: A, B, W, C, D, E+, or R, which is real. Repeat for several.")
    ] = None,
    own: Annotated[bool, typer.Option("--own", help="Draw from this trial's own days instead.")] = False,
    trials: Annotated[int, typer.Option(min=10, max=100_000, help="Simulated trials per scenario.")] = 2000,
    seed: Annotated[int, typer.Option(help="Seed of the simulation.")] = 1,
    json: Json = False,
) -> None:
    """How often the verdict is wrong: false alarms, contradictions and power, on simulated and on real traffic."""
    from flows.commands import calibrate as command

    command.run(config, scenarios=scenario, own=own, trials=trials, seed=seed, as_json=json)


@app.command()
def verify(
    config: Config = DEFAULT,
    quick: Annotated[bool, typer.Option("--quick", help="Bytes and chain only: recompute nothing.")] = False,
    json: Json = False,
) -> None:
    """Recompute everything from the raw bytes and check the hash chain. Exit 1: something is not as it was left."""
    from flows.commands import verify as command

    raise typer.Exit(command.run(config, quick=quick, as_json=json))


@prices_app.command("list")
def prices_list(
    config: Config = DEFAULT,
    book: Annotated[str | None, typer.Option("--prices", help="standard, article or a file.")] = None,
    json: Json = False,
) -> None:
    """Every row with its provenance and age."""
    from flows.commands import prices as command

    command.list_rows(config, book=book, as_json=json)


@prices_app.command("check")
def prices_check(
    config: Config = DEFAULT,
    book: Annotated[str | None, typer.Option("--prices", help="standard, article or a file.")] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Every note on its own line, not counted by kind.")] = False,
    json: Json = False,
) -> None:
    """Exit 1 on stale, contradictory or incomplete rows."""
    from flows.commands import prices as command

    raise typer.Exit(command.check(config, book=book, verbose=verbose, as_json=json))


@prices_app.command("refresh")
def prices_refresh(
    config: Config = DEFAULT,
    book: Annotated[str | None, typer.Option("--prices", help="standard, article or a file.")] = None,
    only: Annotated[str | None, typer.Option(metavar="aws|gcp|runpod", help="Ask this price API alone.")] = None,
    to: Annotated[Path | None, typer.Option("--to", help="A new file for the changed book; default: the trial's own book.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the difference and write nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Write without asking.")] = False,
    json: Json = False,
) -> None:
    """Read prices again from the providers' APIs, show what differs, and write it after you agree."""
    from flows.commands import prices_refresh as command

    raise typer.Exit(command.run(config, book=book, only=only, to=to, dry_run=dry_run, yes=yes, as_json=json))


def main() -> None:
    """Runs a command; a failure is one line on standard error with the way out, and its exit code."""
    quiet.settle()
    quiet.speak()
    from trial.errors import FortnightError, on_one_line

    try:
        app(standalone_mode=True)
    except FortnightError as exc:
        if os.environ.get("FORTNIGHT_DEBUG"):
            raise
        typer.echo(f"fortnight: {exc}", err=True)
        sys.exit(exc.exit_code)
    except Exception as exc:
        if os.environ.get("FORTNIGHT_DEBUG"):
            raise
        what = f"unexpected {type(exc).__name__}: {on_one_line(str(exc))}"
        typer.echo(f"fortnight: {what}. Run it again with `fortnight --debug ...` and report what it prints.", err=True)
        sys.exit(1)
