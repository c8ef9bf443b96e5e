from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pyarrow as pa
import pytest

from expectations import invocations
from trial import schema
from trial.errors import CheckError
from trial.records import Invocation

NOON = datetime(2026, 11, 3, 12, tzinfo=UTC)
GOOD = Invocation(
    platform="aws-lambda",
    endpoint="e",
    day=date(2026, 11, 3),
    request_id="r0",
    instance_id="i",
    started_at=NOON,
    handler_ms=100.4,
    billed_ms=100.0,
    gpu_ms=80.0,
    gpu_ms_source="cuda_event",
    cold="cold",
    cold_reason="init",
    waited=True,
    latency_ms=105.0,
)


def check(*rows):
    return invocations.check(schema.invocations_table(rows))


def broken(result):
    return {i: list(names) for i, names in result.broken_rows.items()}


def test_good_rows_pass_every_rule():
    result = check(GOOD, replace(GOOD, request_id="r1"), replace(GOOD, request_id=None), replace(GOOD, request_id=None))
    assert result.success
    assert broken(result) == {}


@pytest.mark.parametrize(
    ("bad", "rule"),
    [
        (replace(GOOD, latency_ms=-1.0), "latency_ms is between 0 and one day"),
        (replace(GOOD, handler_ms=9e9), "handler_ms is between 0 and one day"),
        (replace(GOOD, input_tokens=-5), "input_tokens is not negative"),
        (replace(GOOD, handler_ms=250.0), "billed_ms covers handler_ms"),
    ],
)
def test_a_broken_row_is_named_with_its_rule_and_only_it(bad, rule):
    result = check(replace(GOOD, request_id="ok"), bad)
    assert rule in broken(result)[1]
    assert 0 not in result.broken_rows
    assert not result.success


def test_an_attempt_seen_twice_is_quarantined_whole():
    assert set(check(GOOD, GOOD, replace(GOOD, started_at=NOON + timedelta(seconds=1))).broken_rows) == {0, 1}


def test_warnings_do_not_quarantine():
    result = check(replace(GOOD, cold_reason=None), replace(GOOD, request_id="r2", gpu_ms=500.0))
    assert broken(result) == {}
    assert {r.name for r in result.rules if r.broken} == {"a cold request has a reason", "gpu_ms is within handler_ms"}


def test_billing_rules_apply_only_where_the_platform_bills_per_request():
    result = check(replace(GOOD, platform="cloud-run", handler_ms=250.0))
    assert broken(result) == {}


def test_values_of_a_foreign_table_are_caught():
    table = schema.invocations_table([GOOD])
    table = table.set_column(table.schema.get_field_index("cold"), "cold", pa.array(["maybe"]))
    assert broken(invocations.check(table)) == {0: ["cold is one of cold, warm, unknown"]}


def test_an_empty_batch_passes():
    assert check().success


def test_what_cannot_be_evaluated_is_an_error_and_not_bad_data():
    from expectations import engine

    frame = schema.invocations_table([GOOD]).to_pandas()
    import great_expectations.expectations as gxe

    rule = gxe.ExpectColumnValuesToBeBetween(column="no_such_column", min_value=0, meta={"rule": "impossible"}, severity="critical")
    with pytest.raises(CheckError, match="impossible"):
        engine.run(frame, suite="s", expectations=[rule])
