import io
import json
import sys
from contextlib import redirect_stdout
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trial import handler_line

LINE = {
    "fortnight": 1,
    "request_id": "r",
    "gpu_ms": 231.7,
    "gpu_ms_source": "cuda_event",
    "handler_ms": 251.0,
    "load_ms": 0.0,
    "cold_start": False,
    "process_start": "2026-11-24T02:56:40.001Z",
    "ts": "2026-11-24T02:56:48.397Z",
    "instance": "i",
    "model": "m",
    "synthetic": False,
}


def printed(run):
    out = io.StringIO()
    with redirect_stdout(out):
        run()
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_the_documented_line_reads_back_typed():
    line = handler_line.read({**LINE, "unknown": {"deep": 1}, "input_tokens": 5.0})
    assert line["ts"] == datetime(2026, 11, 24, 2, 56, 48, 397000, tzinfo=UTC)
    assert line["input_tokens"] == 5 and isinstance(line["input_tokens"], int)
    assert "unknown" not in line and "fortnight" not in line


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"fortnight": 2}, "version 2"),
        ({"gpu_ms": "12"}, "gpu_ms is str"),
        ({"gpu_ms": True}, "gpu_ms is bool"),
        ({"gpu_ms": -1}, "gpu_ms is -1"),
        ({"gpu_ms": float("nan")}, "finite"),
        ({"cold_start": 1}, "cold_start is int"),
        ({"ts": "2026-11-24T02:56:48"}, "without a time zone"),
        ({"ts": "yesterday"}, "Invalid isoformat"),
        ({"input_tokens": 1.5}, "whole number"),
        ({"gpu_ms_source": "guess"}, "expected one of cuda_event, handler_wall"),
    ],
)
def test_a_broken_line_says_which_field(change, says):
    with pytest.raises(ValueError, match=says):
        handler_line.read({**LINE, **change})


@given(
    st.dictionaries(
        st.sampled_from(list(handler_line.FIELDS)), st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5)
    )
)
def test_any_values_are_read_or_refused(fields):
    try:
        line = handler_line.read({"fortnight": 1, **fields})
    except ValueError:
        return
    assert set(line) <= set(handler_line.FIELDS)


def test_what_the_writer_prints_the_reader_reads():
    def run():
        with handler_line.record("r1", model="m") as line:
            line["gpu_ms"], line["gpu_ms_source"] = 1.25, "cuda_event"
        with handler_line.record("r2"):
            pass

    first, second = (handler_line.read(line) for line in printed(run))
    assert (first["gpu_ms"], first["gpu_ms_source"], first["model"]) == (1.25, "cuda_event", "m")
    assert second["cold_start"] is False
    assert second["gpu_ms_source"] == "handler_wall" and second["gpu_ms"] == second["handler_ms"]


def test_a_handler_that_raises_still_prints_its_line():
    def run():
        with pytest.raises(RuntimeError), handler_line.record("r"):
            raise RuntimeError("out of memory")

    assert printed(run)[0]["request_id"] == "r"


def test_the_decorator_serves_lambda_and_runpod():
    class Context:
        aws_request_id = "lambda-1"

    @handler_line.timed
    def on_lambda(event, context):
        return event, context.aws_request_id

    @handler_line.timed
    def on_runpod(job):
        return job["input"]

    results = []
    lines = printed(lambda: results.extend([on_lambda({"a": 1}, Context()), on_runpod({"id": "job-1", "input": 2})]))
    assert results == [({"a": 1}, "lambda-1"), 2]
    assert [line["request_id"] for line in lines] == ["lambda-1", "job-1"]


def test_the_file_needs_only_the_standard_library():
    import ast
    from pathlib import Path

    tree = ast.parse(Path(handler_line.__file__).read_text())
    modules = {
        n.names[0].name if isinstance(n, ast.Import) else n.module for n in ast.walk(tree) if isinstance(n, (ast.Import, ast.ImportFrom))
    }
    assert {m.split(".")[0] for m in modules} <= set(sys.stdlib_module_names)
