"""What a CloudWatch log group's own settings do to a trial: its retention and its class."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from collectors.aws_errors import mapped
from trial.config import Trial
from trial.errors import Denied
from trial.finding import Finding

# How the console names them. What the last two offer of the API is not in AWS's model of it: what was read decides.
_CLASSES = {"INFREQUENT_ACCESS": "Infrequent Access", "ESSENTIALS": "Essentials"}


def probe_log_group(client: Any, group: str, endpoint: Any, trial: Trial, *, lines: int) -> Iterator[Finding]:
    """
    Args:
        client: boto3 client of `logs`.
        lines: how many lines were read from the group just now.

    Raises:
        Throttled, Unreachable, Malformed: mapped from what the client raised. A missing permission is a finding, not an error:
            collecting does without.
    """
    try:
        found = _described(client, group, endpoint)
    except Denied as exc:
        yield Finding(
            endpoint=endpoint.name, check="log group", state="warn", detail=f"its retention cannot be looked at: {exc.what}", do=exc.do
        )
        return
    if found is None:
        yield Finding(
            endpoint=endpoint.name,
            check="log group",
            state="warn",
            detail=f"{group} is not there yet: it appears with the first line",
            do="Send a request and look again; or check the names in trial.toml",
        )
        return
    yield retention(endpoint.name, group, found.get("retentionInDays"), trial)
    yield from log_class(endpoint.name, group, found.get("logGroupClass", "STANDARD"), lines=lines)


def retention(endpoint: str, group: str, days: int | None, trial: Trial) -> Finding:
    """The whole trial should still be readable at its end, should it have to be collected again."""
    needed = trial.trial.days + -(-trial.collect.lookback_hours // 24)
    short = days is not None and days < needed
    kept = "for ever" if days is None else f"{days} days"
    return Finding(
        endpoint=endpoint,
        check="retention",
        state="warn" if short else "ok",
        detail=f"{group} keeps lines {kept}, the trial and its look-back take {needed} days",
        do=f"Lengthen it: `aws logs put-retention-policy --log-group-name {group} --retention-in-days {_offered(needed)}`"
        if short
        else None,
    )


def log_class(endpoint: str, group: str, name: str, *, lines: int) -> Iterator[Finding]:
    """Nothing for the Standard class."""
    if name == "DELIVERY":
        yield Finding(
            endpoint=endpoint,
            check="log class",
            state="fail",
            detail=f"{group} is of the Delivery class: lines are kept for a day and only passed on to S3 or Firehose",
            do='Let the function log to a Standard group; or collect what it delivers with platform = "export"',
        )
    elif name != "STANDARD":
        shown = _CLASSES.get(name, name)
        yield Finding(
            endpoint=endpoint,
            check="log class",
            state="ok" if lines else "warn",
            detail=f"{group} is of the {shown} class, and {'its lines can be read' if lines else 'no line could be read'}",
            do=None if lines else "Let the function log to a Standard group: a group's class cannot be changed",
        )


def _described(client: Any, group: str, endpoint: Any) -> dict[str, Any] | None:
    where = f"log group {group} in {endpoint.region}"
    with mapped(where=where, grant="Grant logs:DescribeLogGroups", find="Check `region`"):
        # Sorted by name, so the group itself comes before all whose names go on.
        page = client.describe_log_groups(logGroupNamePrefix=group)
    return next((g for g in page.get("logGroups", ()) if g.get("logGroupName") == group), None)


def _offered(days: int) -> int:
    """The shortest retention on offer that is long enough."""
    return next((d for d in (30, 60, 90, 120, 150, 180, 365, 400) if d >= days), 545)
