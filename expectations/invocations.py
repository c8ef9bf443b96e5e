"""What must hold for a batch of invocations; rows that break a critical rule go to quarantine with the rule's name."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from expectations import engine
from expectations.result import SuiteResult
from trial import records

SUITE = "invocations"
DAY_MS = 24 * 3600 * 1000.0
# Lambda rounds the billed duration up to the millisecond, and the handler's own clock starts inside it.
BILLED_PER_REQUEST = ("aws-lambda",)
_ROUNDING_MS = 1.0

_DURATIONS = ("queue_ms", "init_ms", "load_ms", "handler_ms", "gpu_ms", "billed_ms", "latency_ms", "ttft_ms")
_COUNTS = ("input_tokens", "output_tokens")
_REQUIRED = ("platform", "endpoint", "day", "started_at", "cold", "status", "gpu_ms_source", "synthetic")


def check(table: pa.Table) -> SuiteResult:
    """
    Args:
        table: rows of trial.schema.INVOCATIONS of one endpoint.

    Raises:
        CheckError: an expectation could not be evaluated.
    """
    frame = table.to_pandas()
    # Billing rounds up, so the handler's wall time may exceed the billed time by less than the rounding.
    frame["billed_ms_up"] = frame["billed_ms"] + _ROUNDING_MS
    frame["handler_ms_up"] = frame["handler_ms"] + _ROUNDING_MS
    return engine.run(frame, suite=SUITE, expectations=_suite(set(table["platform"].unique().to_pylist())))


def _suite(platforms: set[str]) -> list[Any]:
    import great_expectations.expectations as gxe
    from great_expectations.expectations.row_conditions import Column

    def rule(name: str, kind: Any, severity: str = "critical", **kwargs: Any) -> Any:
        return kind(meta={"rule": name}, severity=severity, **kwargs)

    suite = [rule(f"{column} is known", gxe.ExpectColumnValuesToNotBeNull, column=column) for column in _REQUIRED]
    suite += [
        rule(f"{column} is between 0 and one day", gxe.ExpectColumnValuesToBeBetween, column=column, min_value=0, max_value=DAY_MS)
        for column in _DURATIONS
    ]
    suite += [rule(f"{column} is not negative", gxe.ExpectColumnValuesToBeBetween, column=column, min_value=0) for column in _COUNTS]
    suite += [
        rule("cold is one of cold, warm, unknown", gxe.ExpectColumnValuesToBeInSet, column="cold", value_set=sorted(records.COLD)),
        rule("status is one of the known ones", gxe.ExpectColumnValuesToBeInSet, column="status", value_set=sorted(records.STATUSES)),
        rule(
            "gpu_ms_source is one of the known ones",
            gxe.ExpectColumnValuesToBeInSet,
            column="gpu_ms_source",
            value_set=sorted(records.GPU_MS_SOURCES),
        ),
        rule(
            "an attempt appears once",
            gxe.ExpectCompoundColumnsToBeUnique,
            column_list=["request_id", "instance_id", "started_at"],
            ignore_row_if="any_value_is_missing",
        ),
        rule(
            "a cold request has a reason",
            gxe.ExpectColumnValuesToNotBeNull,
            "warning",
            column="cold_reason",
            row_condition=Column("cold") == "cold",
        ),
        rule(
            "gpu_ms is within handler_ms",
            gxe.ExpectColumnPairValuesAToBeGreaterThanB,
            "warning",
            column_A="handler_ms_up",
            column_B="gpu_ms",
            or_equal=True,
            ignore_row_if="either_value_is_missing",
        ),
    ]
    if platforms & set(BILLED_PER_REQUEST):
        suite.append(
            rule(
                "billed_ms covers handler_ms",
                gxe.ExpectColumnPairValuesAToBeGreaterThanB,
                column_A="billed_ms_up",
                column_B="handler_ms",
                or_equal=True,
                ignore_row_if="either_value_is_missing",
            )
        )
    return suite
