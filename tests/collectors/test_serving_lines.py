from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collectors.serving_lines import ServingLine, read_serving_line
from trial.records import Ignored


@pytest.mark.samples("serving")
def test_samples(sample: Any) -> None:
    if sample.error is not None:
        with pytest.raises(ValueError, match=sample.error):
            read_serving_line(sample.payload)
        return
    found = read_serving_line(sample.payload)
    wanted = sample.blocks
    if wanted is None:
        assert found is None
    elif "ignored" in wanted:
        assert found == Ignored(reason=wanted["ignored"])
    else:
        assert isinstance(found, ServingLine)
        ts = found.fields.get("ts")
        assert (found.kind, found.status) == (wanted["kind"], wanted.get("status", "ok"))
        assert {**found.fields, **({"ts": ts.isoformat()} if ts else {})} == sample.fields


LINES = [
    "2026-11-02T10:00:00,900 [INFO ] W-9000-summ_1.0-stdout MODEL_METRICS - HandlerTime.ms:12.5|#ModelName:summ,Level:Model|#hostname:h,requestID:4b-1,timestamp:1793613600",
    "2026-11-02T10:00:00+0900 [INFO] [service:Summ:1] 127.0.0.1:5 (scheme=http,method=POST,path=/g,type=,length=) (status=200,type=,length=) 13.5ms (trace=ab,span=c)",
]


@given(st.sampled_from(LINES), st.data())
def test_damaged_lines_never_fail_otherwise_than_by_valueerror(line, data):
    cut = line[: data.draw(st.integers(0, len(line)))]
    at = data.draw(st.integers(0, len(line) - 1))
    changed = line[:at] + data.draw(st.characters()) + line[at + 1 :]
    for text in (cut, changed, line + line, data.draw(st.text(max_size=50))):
        try:
            found = read_serving_line(text)
        except ValueError:
            continue
        assert found is None or isinstance(found, (ServingLine, Ignored))


@given(st.text(alphabet="()=,: scheme=status", max_size=300))
@settings(deadline=200)  # ms an input: a pattern that backtracks is what this is after
def test_no_text_makes_the_patterns_slow(text):
    assert read_serving_line("(scheme=" + text) is None
    assert read_serving_line(" MODEL_METRICS - " + text) is None
