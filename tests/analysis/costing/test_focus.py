"""Billing exports with FOCUS columns, as CSV and as Parquet."""

from __future__ import annotations

import gzip
import io
from datetime import UTC, date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.costing import focus
from analysis.costing.reconcile import billed_by_day
from trial.calendar import Calendar
from trial.config import AwsLambdaEndpoint, CloudRunEndpoint
from trial.errors import Malformed

LAMBDA = AwsLambdaEndpoint(name="summariser", platform="aws-lambda", function="summarise", region="us-east-1")
RUN = CloudRunEndpoint(name="run", platform="cloud-run", project="p", service="summariser", region="us-central1")
ARN = "arn:aws:lambda:us-east-1:123456789012:function:"

HEADER = "BilledCost,BillingCurrency,ChargeCategory,ChargeDescription,ChargePeriodStart,ChargePeriodEnd,ResourceId,ServiceName,Tags"
ROWS = [
    f'0.0123456789,USD,Usage,"AWS Lambda - Total Compute, GB-Second",2026-11-02T00:00:00Z,2026-11-02T01:00:00Z,{ARN}summarise,AWS Lambda,"{{}}"',
    f"0.0002,USD,Usage,AWS Lambda - Total Requests,2026-11-02T00:00:00Z,2026-11-02T01:00:00Z,{ARN}summarise,AWS Lambda,",
    f"0.5,USD,Usage,AWS Lambda - Total Compute,2026-11-02T01:00:00Z,2026-11-02T02:00:00Z,{ARN}summarise-other,AWS Lambda,",
    f"-0.01,USD,Credit,Promotional credit,2026-11-02T01:00:00Z,2026-11-02T02:00:00Z,{ARN}summarise:live,AWS Lambda,",
    "3,USD,Usage,Nodes,2026-11-02T01:00:00Z,2026-11-02T02:00:00Z,i-1,Amazon EC2,",
]


def csv(rows=ROWS, header=HEADER) -> bytes:
    return "\n".join([header, *rows, ""]).encode()


def test_charges_of_one_function_by_period_and_kind():
    bill = focus.bill_of(LAMBDA, [focus.table(csv(), name="focus.csv")])
    assert [b.billed_usd for b in bill.buckets] == [
        {"duration": Decimal("0.0123456789"), "requests": Decimal("0.0002")},
        {"credit": Decimal("-0.01")},
    ]
    assert bill.buckets[0].start == datetime(2026, 11, 2, tzinfo=UTC)
    assert bill.rows == {"used": 3, "other_resource": 1, "other_service": 1}


def test_gzip_and_parquet_say_the_same():
    plain = focus.bill_of(LAMBDA, [focus.table(csv(), name="focus.csv")])
    assert focus.bill_of(LAMBDA, [focus.table(gzip.compress(csv()), name="focus-00001.csv.gz")]) == plain
    text = focus.table(csv(), name="focus.csv")
    at = pa.timestamp("ms", tz="UTC")
    typed = {
        "BilledCost": text.column("BilledCost").cast(pa.decimal128(30, 15)),
        "ChargePeriodStart": pa.array([datetime.fromisoformat(v) for v in text.column("ChargePeriodStart").to_pylist()], at),
        "ChargePeriodEnd": pa.array([datetime.fromisoformat(v) for v in text.column("ChargePeriodEnd").to_pylist()], at),
    }
    table = pa.table({name: typed.get(name, text.column(name)) for name in text.column_names})
    sink = io.BytesIO()
    pq.write_table(table, sink)
    assert focus.bill_of(LAMBDA, [focus.table(sink.getvalue(), name="focus.snappy.parquet")]) == plain


def test_doubles_in_parquet_keep_their_printed_digits():
    columns = {
        "BilledCost": [0.1, 0.2],
        "BillingCurrency": ["USD"] * 2,
        "ChargePeriodStart": ["2026-11-02 00:00:00 UTC"] * 2,
        "ChargePeriodEnd": ["2026-11-03 00:00:00 UTC"] * 2,
        "ServiceName": ["Cloud Run"] * 2,
        "ChargeDescription": ["NVIDIA L4 GPU (Instance-based billing)", "Services CPU (Instance-based billing)"],
    }
    bill = focus.bill_of(RUN, [pa.table(columns)])
    assert [b.billed_usd for b in bill.buckets] == [{"cpu": Decimal("0.2"), "gpu": Decimal("0.1")}]
    assert bill.rows == {"used_without_resource": 2}


def test_hours_become_local_days():
    rows = [f"1,USD,Usage,x,2026-11-02T{h:02}:00:00Z,2026-11-02T{h + 1:02}:00:00Z,{ARN}summarise,AWS Lambda," for h in range(23)]
    rows.append(f"1,USD,Usage,x,2026-11-02T23:00:00Z,2026-11-03T00:00:00Z,{ARN}summarise,AWS Lambda,")
    buckets = focus.bill_of(LAMBDA, [focus.table(csv(rows), name="f.csv")]).buckets
    utc = Calendar(start=date(2026, 11, 2), days=1, zone=ZoneInfo("UTC"))
    assert billed_by_day(buckets, utc) == {date(2026, 11, 2): {"other": Decimal(24)}}
    # Seen from Berlin the first local day begins an hour before the export, so it is not claimed to be known.
    assert billed_by_day(buckets, Calendar(start=date(2026, 11, 2), days=1, zone=ZoneInfo("Europe/Berlin"))) == {}


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (csv(header=HEADER.replace("BilledCost", "Cost")), "has no column BilledCost"),
        (b"", "not a billing export"),
        (b"\x00\x01", "has no column|not a billing export"),
    ],
)
def test_what_is_no_export_is_refused(raw, says):
    with pytest.raises(Malformed, match=says):
        focus.table(raw, name="bill.csv")


def test_broken_files_are_refused():
    with pytest.raises(Malformed, match="not a billing export"):
        focus.table(b"PAR1 but not really", name="bill.parquet")
    with pytest.raises(Malformed, match="unpacked|not a billing export"):
        focus.table(b"no gzip", name="bill.csv.gz")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("USD", "EUR"), "bills in EUR"),
        (("0.0123456789", "a lot"), "'a lot' is not an amount"),
        (("0.0123456789", "NaN"), "is not an amount"),
        (("2026-11-02T00:00:00Z", "yesterday"), "'yesterday' is not an instant"),
        (("2026-11-02T01:00:00Z", "2026-11-02T00:00:00Z"), "not after its start"),
    ],
)
def test_a_broken_charge_says_which_column(change, says):
    with pytest.raises(Malformed, match=says):
        focus.bill_of(LAMBDA, [focus.table(csv([ROWS[0].replace(*change)]), name="f.csv")])


@given(
    st.lists(
        st.tuples(st.integers(-(10**9), 10**9), st.sampled_from(["summarise", "x", ""]), st.sampled_from(["AWS Lambda", "S3"])), max_size=30
    )
)
def test_every_row_is_accounted_for_and_every_cent(rows):
    lines = [
        f"{Decimal(nano).scaleb(-9):f},USD,Usage,x,2026-11-02T00:00:00Z,2026-11-03T00:00:00Z,{ARN + r if r else ''},{s},"
        for nano, r, s in rows
    ]
    # A row that names a resource, so that an export of nameless rows is not taken for one of a single endpoint.
    lines.append(f"0,USD,Usage,x,2026-11-02T00:00:00Z,2026-11-03T00:00:00Z,{ARN}x,AWS Lambda,")
    bill = focus.bill_of(LAMBDA, [focus.table(csv(lines), name="f.csv")])
    assert sum(bill.rows.values()) == len(lines)
    mine = sum((Decimal(nano).scaleb(-9) for nano, r, s in rows if r == "summarise" and s == "AWS Lambda"), Decimal(0))
    assert sum((b.total_usd or Decimal(0) for b in bill.buckets), Decimal(0)) == mine


@given(st.binary(max_size=200), st.sampled_from(["bill.csv", "bill.csv.gz", "bill.parquet"]))
def test_a_file_is_a_table_or_one_line_that_names_it(raw, name):
    try:
        assert isinstance(focus.table(raw, name=name), pa.Table)
    except Malformed as exc:
        assert str(exc).startswith(name) and "\n" not in str(exc)


@given(st.integers(0, len(csv())), st.binary(max_size=4))
def test_a_damaged_export_is_a_bill_or_one_line_that_names_it(at, put):
    try:
        bill = focus.bill_of(LAMBDA, [focus.table(csv()[:at] + put + csv()[at + 1 :], name="bill.csv")])
    except Malformed as exc:
        assert str(exc).startswith("bill.csv") and "\n" not in str(exc)
    else:
        assert all(bucket.end > bucket.start for bucket in bill.buckets)
