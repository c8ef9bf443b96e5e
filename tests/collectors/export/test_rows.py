from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collectors.export.cells import CellError, typed_row
from trial.errors import Malformed
from trial.records import Invocation
from trial.schema import INVOCATIONS, invocations_table

DAY = datetime(2026, 11, 2, tzinfo=UTC)


def invocation(number: int, **columns: object) -> Invocation:
    return Invocation(
        **{
            "platform": "runpod",
            "endpoint": "summ",
            "day": date(2026, 11, 2),
            "request_id": f"r{number}",
            "instance_id": "podA" if number % 2 else None,
            "started_at": DAY + timedelta(seconds=number, microseconds=250),
            "gpu_ms": 1.5 * number,
            "gpu_ms_source": "cuda_event",
            "cold": "cold" if number == 0 else "warm",
            "waited": number == 0,
            "input_tokens": 3 if number else None,
            **columns,
        }
    )


ROWS = [invocation(n) for n in range(5)]


def parquet(rows=ROWS) -> bytes:
    out = io.BytesIO()
    pq.write_table(invocations_table(rows), out)
    return out.getvalue()


def plain(rows=ROWS) -> list[dict[str, object]]:
    return [{k: v.isoformat() if hasattr(v, "isoformat") else v for k, v in row.items()} for row in invocations_table(rows).to_pylist()]


def csv_text(rows=ROWS) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, INVOCATIONS.names)
    writer.writeheader()
    writer.writerows(plain(rows))
    return out.getvalue()


def arrow_csv() -> bytes:
    out = io.BytesIO()
    pyarrow.csv.write_csv(invocations_table(ROWS), out)
    return out.getvalue()


LAYOUTS = {
    "parquet": parquet(),
    "csv": csv_text(),
    "csv_crlf_bom": "\ufeff" + csv_text().replace("\n", "\r\n").replace("\r\r", "\r"),
    "csv_of_arrow": arrow_csv(),
    "json": json.dumps(plain()),
    "json_wrapped": json.dumps({"invocations": plain()}),
    "json_of_pandas": invocations_table(ROWS).to_pandas().to_json(orient="records", lines=True, date_format="iso", date_unit="us"),
    "json_lines": "\n".join(json.dumps(r) for r in plain()),
    "csv_few_columns_reordered": "cold,started_at,request_id\n"
    + "\n".join(f"{r.cold},{r.started_at.isoformat()},{r.request_id}" for r in ROWS),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_rows_are_the_invocations_they_say(read, layout):
    events, outcomes, records = read("invocations", {"a.x": LAYOUTS[layout]})
    assert {o.kind for o in outcomes} == {"row"} and len(events) == 5
    if layout == "csv_few_columns_reordered":
        assert [(r.request_id, r.cold, r.started_at, r.platform) for r in records] == [
            (r.request_id, r.cold, r.started_at, "export") for r in ROWS
        ]
    else:
        assert records == [invocation(n, endpoint="old") for n in range(5)]


def test_what_fortnight_export_writes_comes_back_as_it_was(read, tmp_path):
    from flows.commands import export as command
    from trial.schema import INVOCATIONS

    rows = [*ROWS, invocation(5, request_id="=cmd()", model="-v2")]
    for ending in (".parquet", ".csv", ".json"):
        command._write(invocations_table(rows).cast(INVOCATIONS), tmp_path / f"out{ending}", ending)
        (tmp_path / "exports").mkdir(exist_ok=True)
        content = (tmp_path / f"out{ending}").read_bytes()
        records = read("invocations", {f"a{ending}": content}, path=f"a{ending}")[2]
        assert records == [invocation(n, endpoint="old") for n in range(5)] + [replace(rows[5], endpoint="old")], ending


def test_the_same_rows_in_two_files_are_one(read):
    _, _, records = read("invocations", {"a.json": LAYOUTS["json"], "b.jsonl": LAYOUTS["json_lines"]})
    assert len(records) == 5


def test_rows_without_an_id_stand_at_their_place(read):
    text = "started_at,cold\n2026-11-02T10:00:00Z,warm\n2026-11-02T10:00:00Z,warm\n"
    assert len(read("invocations", {"a.csv": text})[2]) == 2


def test_the_day_is_counted_in_this_trials_zone(read):
    text = "started_at,day\n2026-11-02T23:30:00-02:00,2026-11-02\n"
    assert read("invocations", {"a.csv": text})[2][0].day == date(2026, 11, 3)


def cell(column: str, value: str, rest: str = "") -> str:
    name, _, other = rest.partition("=")
    return f"started_at,{column}{',' + name if rest else ''}\n2026-11-02T10:00:00Z,{value}{',' + other if rest else ''}\n"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (cell("cold", "hot"), "row 1: column `cold` is 'hot', expected one of cold, unknown, warm"),
        (cell("gpu_ms", "fast", "gpu_ms_source=cuda_event"), "column `gpu_ms` is 'fast', expected a number"),
        (cell("gpu_ms", "nan", "gpu_ms_source=cuda_event"), "column `gpu_ms` is 'nan'"),
        (cell("gpu_ms", "5"), "column `gpu_ms_source` is empty beside a gpu_ms"),
        (cell("input_tokens", "2.5"), "column `input_tokens` is '2.5', expected a whole number"),
        (cell("synthetic", "maybe"), "column `synthetic` is 'maybe', expected true or false"),
        (cell("day", "Monday"), "column `day`"),
        (cell("gpu_msec", "5"), "unknown column `gpu_msec`. Did you mean `gpu_ms`?"),
        (cell("xyzzy", "5"), "Known columns: platform, endpoint"),
        ("started_at\n2026-11-02T10:00:00\n", "column `started_at` is '2026-11-02T10:00:00', expected a time with its zone"),
        ("started_at,cold\n,warm\n", "column `started_at` is empty"),
        ("started_at,cold\n2026-11-02T10:00:00Z\n", "row 1 has 1 cells, its header 2"),
        ("started_at,endpoint\n2026-11-02T10:00:00Z,a\n2026-11-02T10:00:00Z,b\n", "row 2: rows of several endpoints (a, b)"),
        ("a,b\n1,2\n", "no header with `started_at`"),
        ("", "no header with `started_at`"),
        (b"started_at\n\xff\xfe\n", "not CSV in UTF-8"),
        ('started_at,cold\n2026-11-02T10:00:00Z,"warm\n', "not CSV"),
        ('[{"started_at": 5}]', "column `started_at` is '5'"),
        ('[{"started_at": "2026-11-02T10:00:00Z", "model": 7}]', "column `model` is '7', expected text"),
        ('[{"started_at": "2026-11-02T10:00:00Z", "queue_ms": true}]', "column `queue_ms`"),
        ("[3]", "row 1 is a int, expected an object"),
        ('[{"started_at": "2026-', "half-written"),
        (parquet()[:200], "not a whole Parquet file"),
        (b"PAR1" + b"x" * 40, "not a whole Parquet file"),
        # Names and texts that are no UTF-8, which pyarrow finds out when it hands them over.
        (parquet().replace(b"request_id", b"\xf2equest_id"), "not a whole Parquet file"),
        (parquet().replace(b"warm", b"\xf2arm"), "not a whole Parquet file"),
    ],
)
def test_one_clear_error_names_file_row_and_column(read, content, says):
    with pytest.raises(Malformed) as caught:
        read("invocations", {"a.dat": content})
    assert says in str(caught.value) and str(caught.value).startswith("exports/a.dat") and "\n" not in str(caught.value)


def test_a_parquet_file_of_something_else(read):
    out = io.BytesIO()
    pq.write_table(pa.table({"started_at": [1], "other": [2]}), out)
    with pytest.raises(Malformed, match="unknown column `other`"):
        read("invocations", {"a.parquet": out.getvalue()})


JSON_CELLS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.lists(st.integers(), max_size=1))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.sampled_from(INVOCATIONS.names), JSON_CELLS))
def test_any_cells_are_a_row_or_one_named_cell(cells):
    filled = {k: v for k, v in cells.items() if v is not None and v != ""}
    row, named = {"started_at": DAY}, "started_at"
    try:
        row = typed_row({"started_at": "2026-11-02T10:00:00Z", **filled})
    except CellError as exc:
        named = exc.column
    assert named in INVOCATIONS.names
    defaults = {"platform": "export", "endpoint": "old", "day": date(2026, 11, 2), "request_id": None, "instance_id": None}
    invocations_table([Invocation(**{**defaults, **row})])
