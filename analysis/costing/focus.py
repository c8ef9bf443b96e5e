"""
A provider's bill out of a billing export with FOCUS columns: AWS Data Exports, Google Cloud's billing export, and others.

FOCUS (FinOps Open Cost and Usage Specification, focus.finops.org) gives every provider's charges the same column names:
ChargePeriodStart and ChargePeriodEnd (half-open, UTC), BilledCost, BillingCurrency, ServiceName, ResourceId, ChargeCategory, ...
"""

from __future__ import annotations

import io
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from trial.errors import Malformed
from trial.records import UsageBucket

SOURCE = "focus-export"
REQUIRED = ("BilledCost", "BillingCurrency", "ChargePeriodStart", "ChargePeriodEnd", "ServiceName")
OPTIONAL = ("ChargeCategory", "ChargeDescription", "ResourceId", "ResourceName", "SkuId", "SkuMeter")

# What each platform's charges are called, and the key of trial.toml that names the resource.
SERVICES: Mapping[str, tuple[tuple[str, ...], str]] = {
    "aws-lambda": (("aws lambda", "awslambda"), "function"),
    "sagemaker": (("amazon sagemaker", "amazonsagemaker"), "endpoint_name"),
    "cloud-run": (("cloud run",), "service"),
    "vertex-ai": (("vertex ai", "gemini enterprise agent platform"), "endpoint_id"),
}

# In order: the first word that a charge's own text holds names its kind.
_KINDS = (
    ("provisioned", "provisioned"),
    ("request", "requests"),
    ("gpu", "gpu"),
    ("accelerator", "gpu"),
    ("nvidia", "gpu"),
    ("memory", "memory"),
    ("cpu", "cpu"),
    ("gb-second", "duration"),
    ("duration", "duration"),
    ("storage", "storage"),
    ("data transfer", "network"),
    ("egress", "network"),
    ("hosting", "instance"),
    ("host:", "instance"),
    ("prediction", "instance"),
    ("instance", "instance"),
)
_FILE = b"file"  # key of a table's metadata


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """
    One endpoint's charges.

    Args:
        buckets: one per charge period, ascending.
        rows: what became of every row read: used, and passed over by reason; the counts add up to the export's rows.
    """

    buckets: tuple[UsageBucket, ...]
    rows: Mapping[str, int]


def table(raw: bytes, *, name: str) -> pa.Table:
    """
    A FOCUS export's bytes as a table of text and amounts, with the needed columns only.

    Args:
        name: its file name: .parquet, .csv or .csv.gz.

    Raises:
        Malformed: neither CSV nor Parquet, or a column of FOCUS is missing.
    """
    try:
        if name.endswith((".parquet", ".pq")):
            read = pq.read_table(io.BytesIO(raw), columns=_present(pq.read_schema(io.BytesIO(raw)).names, name))
        else:
            stream = pa.input_stream(io.BytesIO(raw), compression="gzip" if name.endswith(".gz") else None)
            read = _csv(stream, name)
    except (pa.ArrowException, UnicodeDecodeError) as exc:
        raise Malformed(f"not a billing export in CSV or Parquet: {' '.join(str(exc).split())}", where=name) from exc
    except OSError as exc:
        raise Malformed(f"cannot be unpacked: {exc}", where=name) from exc
    # The file goes with its rows, so that a row that will not do can be found.
    return read.replace_schema_metadata({_FILE: name})


def bill_of(endpoint: Any, tables: Iterable[pa.Table], *, cost_column: str = "BilledCost") -> Bill:
    """
    The charges of one endpoint (trial.config) out of any number of exports.

    A row counts when its ServiceName is the platform's and its ResourceId or ResourceName ends with the endpoint's own name;
    where an export names no resources at all, every row of the service counts, and "used_without_resource" says so.

    Raises:
        Malformed: a currency other than USD, an amount that is no number, or a period that does not end after it starts.
    """
    services, key = SERVICES.get(endpoint.platform, ((), "name"))
    resource = str(getattr(endpoint, key, endpoint.name)).lower()
    counts: Counter[str] = Counter()
    sums: dict[tuple[datetime, datetime], dict[str, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
    for part in tables:
        columns = {name: part.column(name).to_pylist() for name in part.column_names}
        named = any(columns.get("ResourceId", [])) or any(columns.get("ResourceName", []))
        for i in range(part.num_rows):
            row = {name: values[i] for name, values in columns.items()}
            verdict = _judge(row, services, resource, named)
            counts[verdict] += 1
            if verdict.startswith("used"):
                try:
                    start, end, usd = _charge(row, cost_column)
                except Malformed as exc:
                    file = (part.schema.metadata or {}).get(_FILE, b"the bill").decode()
                    raise Malformed(exc.what, where=f"{file}, row {i + 1}, {exc.where}", do=exc.do) from exc
                sums[start, end][_kind(row)] += usd
    buckets = tuple(
        UsageBucket(endpoint=endpoint.name, source=SOURCE, start=start, end=end, billed_usd=dict(sorted(kinds.items())))
        for (start, end), kinds in sorted(sums.items())
    )
    return Bill(buckets=buckets, rows=dict(sorted(counts.items())))


def _csv(stream: Any, name: str) -> pa.Table:
    # Everything as text first: amounts must not pass through floats, and providers write periods in several ISO forms.
    reader = pacsv.read_csv(stream, convert_options=pacsv.ConvertOptions(column_types=dict.fromkeys((*REQUIRED, *OPTIONAL), pa.string())))
    return reader.select(_present(reader.column_names, name))


def _present(names: Iterable[str], where: str) -> list[str]:
    names = set(names)
    missing = [column for column in REQUIRED if column not in names]
    if missing:
        raise Malformed(f"has no column {missing[0]}", where=where, do="Export with FOCUS columns (AWS: Data Exports, FOCUS 1.0 or later)")
    return [column for column in (*REQUIRED, *OPTIONAL) if column in names]


def _judge(row: Mapping[str, Any], services: tuple[str, ...], resource: str, named: bool) -> str:
    if str(row["ServiceName"] or "").lower() not in services:
        return "other_service"
    if not named:
        return "used_without_resource"
    ids = [str(row.get(column) or "").lower() for column in ("ResourceId", "ResourceName")]
    # An ARN or path ends with the name; a version or alias may follow it.
    mine = any(part == resource for text in ids for part in text.replace("/", ":").split(":"))
    return "used" if mine else "other_resource"


def _charge(row: Mapping[str, Any], cost_column: str) -> tuple[datetime, datetime, Decimal]:
    if str(row["BillingCurrency"] or "USD").upper() != "USD":
        raise Malformed(f"bills in {row['BillingCurrency']}; prices are in USD", where="BillingCurrency", do="Export the bill in USD")
    start, end = _instant(row["ChargePeriodStart"], "ChargePeriodStart"), _instant(row["ChargePeriodEnd"], "ChargePeriodEnd")
    if end <= start:
        raise Malformed(f"a charge period ends at {end}, not after its start {start}", where="ChargePeriodEnd")
    value = row.get(cost_column)
    try:
        usd = Decimal(str(value))
    except InvalidOperation as exc:
        raise Malformed(f"{value!r} is not an amount", where=cost_column) from exc
    if not usd.is_finite():
        raise Malformed(f"{value!r} is not an amount", where=cost_column)
    return start, end, usd


def _instant(value: Any, column: str) -> datetime:
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    try:
        at = datetime.fromisoformat(str(value).strip().replace(" UTC", "+00:00"))
    except ValueError as exc:
        raise Malformed(f"{value!r} is not an instant", where=column) from exc
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)


def _kind(row: Mapping[str, Any]) -> str:
    category = str(row.get("ChargeCategory") or "Usage").lower()
    if category != "usage":
        return category
    text = " ".join(str(row.get(column) or "") for column in ("ChargeDescription", "SkuMeter", "SkuId")).lower()
    return next((kind for word, kind in _KINDS if word in text), "other")
