from __future__ import annotations

import contextlib
from datetime import datetime

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.lines import handler_fields, own_line
from trial import handler_line
from trial.config import AwsLambdaEndpoint

PLAIN = AwsLambdaEndpoint(name="fn", platform="aws-lambda", function="fn", region="eu-west-1")
MAPPED = AwsLambdaEndpoint(
    name="fn",
    platform="aws-lambda",
    function="fn",
    region="eu-west-1",
    fields={"gpu_ms": "a.b|s", "request_id": "c", "cold_start": "a.0"},
    keep_warm={"payload": "ping"},
)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [*handler_line.FIELDS, "fortnight", "_aws", "message", "attributes", "function_request_id", "a", "b", "c", "0"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@pytest.mark.samples("lines")
def test_samples(sample):
    endpoint = AwsLambdaEndpoint(**sample.endpoint)
    if sample.error is not None:
        with pytest.raises(ValueError, match=sample.error):
            handler_fields(sample.payload, endpoint)
        return
    found = handler_fields(sample.payload, endpoint)
    wanted = sample.fields
    if wanted is not None:
        wanted = {k: datetime.fromisoformat(v) if k in ("ts", "process_start") else v for k, v in wanted.items()}
    assert found == wanted


@given(json_values, st.sampled_from([PLAIN, MAPPED]))
def test_any_json_is_fields_none_or_a_value_error(data, endpoint):
    for payload in (data, orjson.dumps(data).decode()) if isinstance(data, dict) else (orjson.dumps(data).decode(),):
        try:
            found = handler_fields(payload, endpoint)
        except ValueError:
            continue
        assert found is None or (found and set(found) <= set(handler_line.FIELDS))


@given(st.text(), st.sampled_from([PLAIN, MAPPED]))
def test_any_text_is_fields_none_or_a_value_error(text, endpoint):
    for payload in (text, "{" + text, '{"fortnight":1,' + text):
        with contextlib.suppress(ValueError):
            assert handler_fields(payload, endpoint) != {}


def test_what_the_writer_prints_is_read_back(capsys):
    with handler_line.record("a1", model="m") as line:
        line["output_tokens"] = 12
    found = handler_fields(capsys.readouterr().out, PLAIN)
    assert (found["request_id"], found["model"], found["output_tokens"], found["gpu_ms_source"]) == ("a1", "m", 12, "handler_wall")
    assert found["gpu_ms"] == found["handler_ms"] >= 0


def test_what_our_writer_prints_is_read_at_once(capsys):
    with handler_line.record("a1", model="m", synthetic=True) as line:
        line["gpu_ms"], line["gpu_ms_source"], line["ttft_ms"] = 12, "cuda_event", 3.5
    text = capsys.readouterr().out
    at_once = own_line(text)
    assert at_once is not None
    assert at_once.fields == handler_fields(text, PLAIN)
    assert at_once.fields.keys() >= {"request_id", "cold_start", "gpu_ms", "ts", "process_start", "instance", "model", "synthetic"}
