"""The columns of an invocation: the contract of the store and of `fortnight export`, in one Arrow schema."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa

from trial.records import Instance, Invocation

# name, type, nullable, meaning. docs/metrics.md is generated from this table.
COLUMNS: tuple[tuple[str, pa.DataType, bool, str], ...] = (
    ("platform", pa.string(), False, "aws-lambda, cloud-run, runpod, ..."),
    ("endpoint", pa.string(), False, "the endpoint's name in trial.toml"),
    ("day", pa.date32(), False, "local calendar day of started_at, in the trial's time zone"),
    ("request_id", pa.string(), True, "the platform's id; a retried Lambda id appears once per attempt"),
    ("instance_id", pa.string(), True, "the worker or execution environment that served it"),
    (
        "started_at",
        pa.timestamp("us", tz="UTC"),
        False,
        "when the platform took the request: on Lambda at INIT_START where its caller waited for the initialisation",
    ),
    ("queue_ms", pa.float64(), True, "waited before a worker took it"),
    ("init_ms", pa.float64(), True, "start-up the platform reports for the instance that served it"),
    ("load_ms", pa.float64(), True, "model loading the handler reports"),
    ("handler_ms", pa.float64(), True, "wall time in the handler"),
    ("gpu_ms", pa.float64(), True, "GPU time of the request, of the kind gpu_ms_source says"),
    ("gpu_ms_source", pa.string(), False, "cuda_event, handler_wall, platform_wall or none: never mixed up silently"),
    ("billed_ms", pa.float64(), True, "what the platform bills for this request, where it does bill per request"),
    ("latency_ms", pa.float64(), True, "what the caller waited, as far as the platform can tell"),
    ("cold", pa.string(), False, "cold, warm or unknown: did this request meet an instance that was not ready?"),
    ("cold_reason", pa.string(), True, "why it is judged cold or unknown"),
    ("waited", pa.bool_(), True, "did a caller wait for that start? false for provisioned, proactive and keep-warm starts"),
    ("status", pa.string(), False, "ok, error, timeout, throttled or aborted"),
    ("model", pa.string(), True, "which model served it"),
    ("input_tokens", pa.int64(), True, "tokens in, where the handler logs them"),
    ("output_tokens", pa.int64(), True, "tokens out, where the handler logs them"),
    ("ttft_ms", pa.float64(), True, "time to first token, where the handler logs it"),
    ("synthetic", pa.bool_(), False, "a keep-warm ping or health check: counted apart, in no rate"),
)

INVOCATIONS = pa.schema([pa.field(name, kind, nullable=nullable) for name, kind, nullable, _ in COLUMNS])

INSTANCES = pa.schema(
    [
        pa.field("endpoint", pa.string(), nullable=False),
        pa.field("id", pa.string(), nullable=False),
        pa.field("started_at", pa.timestamp("us", tz="UTC")),
        pa.field("ready_at", pa.timestamp("us", tz="UTC")),
        pa.field("first_seen_at", pa.timestamp("us", tz="UTC"), nullable=False),
        pa.field("last_seen_at", pa.timestamp("us", tz="UTC"), nullable=False),
        pa.field("start_reason", pa.string()),
        pa.field("init_ms", pa.float64()),
    ]
)

# A quarantined row keeps its columns as far as they could be cast, the rules it broke, and the raw text it came from.
QUARANTINE = pa.schema(
    [*[f.with_nullable(True) for f in INVOCATIONS], pa.field("rules", pa.list_(pa.string())), pa.field("raw", pa.string())]
)


def invocations_table(rows: Iterable[Invocation]) -> pa.Table:
    """Invocations as one Arrow table: the plural of the record."""
    return _table(rows, INVOCATIONS)


def instances_table(rows: Iterable[Instance]) -> pa.Table:
    """Instances as one Arrow table."""
    return _table(rows, INSTANCES)


def _table(rows: Iterable[object], schema: pa.Schema) -> pa.Table:
    rows = list(rows)
    # Column by column from the slots: about three times faster than a dict per row.
    return pa.Table.from_arrays([_array([getattr(row, f.name) for row in rows], f.type) for f in schema], schema=schema)


def _array(values: list[object], kind: pa.DataType) -> pa.Array:
    try:
        return pa.array(values, type=kind)
    except UnicodeEncodeError:
        # A lone surrogate, which JSON can carry and UTF-8 cannot: shown escaped, as it stood in the line.
        return pa.array([v.encode("utf-8", "backslashreplace").decode() if isinstance(v, str) else v for v in values], type=kind)
