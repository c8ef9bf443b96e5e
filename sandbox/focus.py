"""
The planted bills as AWS and Google export them: CSV with FOCUS columns, among charges that are somebody else's.

RunPod's bill is in its API; the other two platforms write exports to a bucket a day later. Here they lie in the folder from the
start, for the whole trial, and are dated after its end.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from sandbox.endpoints import Endpoint
from sandbox.logs_cloud_run import PROJECT, REGION, SERVICE
from sandbox.serving import FUNCTION
from trial.calendar import Calendar

COLUMNS = (
    "BilledCost",
    "BillingCurrency",
    "ChargeCategory",
    "ChargePeriodStart",
    "ChargePeriodEnd",
    "ServiceName",
    "ResourceId",
    "SkuMeter",
)
_LAMBDA = "arn:aws:lambda:us-east-1:123456789012:function:"
_RUN = f"//run.googleapis.com/projects/{PROJECT}/locations/{REGION}/services/"
# By platform: service, resource, meter of the endpoint's own charge; then charges beside it that are not its own.
_CHARGES = {
    "aws-lambda": (
        ("AWS Lambda", f"{_LAMBDA}{FUNCTION}", "Lambda-GB-Second"),
        (
            ("AWS Lambda", f"{_LAMBDA}{FUNCTION}-thumbnails", "Lambda-GB-Second", "0.31"),
            ("Amazon Simple Storage Service", "", "Storage", "1.27"),
        ),
    ),
    "cloud-run": (
        ("Cloud Run", f"{_RUN}{SERVICE}", "GPU and its vCPU and memory"),
        (("Cloud Run", f"{_RUN}web", "CPU", "0.44"), ("BigQuery", "", "Analysis", "2.05")),
    ),
}


def exported(endpoint: Endpoint) -> bool:
    """Whether this endpoint's bill comes as an export."""
    return endpoint.plan.platform in _CHARGES and "managed-instances" not in endpoint.cases


def path_of(endpoint: Endpoint, folder: Path) -> Path:
    return folder / "bills" / f"{endpoint.plan.name}.csv"


def write(endpoints: Iterable[Endpoint], folder: Path, *, calendar: Calendar) -> None:
    """One file per exported endpoint, last changed a day after the trial's end."""
    written = (calendar.window(calendar.all_days()[-1]).end + timedelta(days=1)).timestamp()
    for endpoint in endpoints:
        if exported(endpoint):
            target = path_of(endpoint, folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("w", encoding="utf-8", newline="") as out:
                rows = csv.writer(out)
                rows.writerow(COLUMNS)
                rows.writerows(_rows(endpoint, calendar))
            os.utime(target, (written, written))


def _rows(endpoint: Endpoint, calendar: Calendar) -> Iterator[tuple[str, ...]]:
    own, others = _CHARGES[endpoint.plan.platform]
    for day in calendar:
        window = calendar.window(day)
        charges = ((*own, str(endpoint.bill.get(day, Decimal(0)))), *others)
        for service, resource, meter, usd in charges:
            yield usd, "USD", "Usage", _text(window.start), _text(window.end), service, resource, meter


def _text(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
