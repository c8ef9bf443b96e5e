"""
Coverage-guided fuzzing of TorchServe's and BentoML's own lines; run by `make fuzz`, or alone:

    python -m fuzz.serving_lines -max_total_time=60 [corpus folder]

Any text gives a line with fields of the right types, Ignored, None, or a ValueError; the views of it agree with each other.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from collectors.serving_lines import ServingLine, is_serving_line, read_serving_line, request_fields
from fuzz._running import fuzz, text_of
from trial import handler_line
from trial.records import STATUSES, Ignored

TYPES = {**handler_line.FIELDS, "ts": (datetime,)}
LONGEST_MS = 30 * 86_400_000


def one_input(data: bytes) -> None:
    """The data as one line."""
    text = text_of(data)
    try:
        line = read_serving_line(text)
    except ValueError:
        assert is_serving_line(text)
        return
    assert is_serving_line(text) == (line is not None)
    fields = request_fields(text)
    assert (fields is None) == (line is None)
    if isinstance(line, ServingLine):
        assert line.status in STATUSES
        _check(line.fields)
    if isinstance(line, Ignored):
        assert fields == line
    if isinstance(fields, dict):
        _check(fields)
        assert fields["gpu_ms_source"] != "none" and "handler_ms" in fields


def _check(fields: dict[str, Any]) -> None:
    for name, value in fields.items():
        assert isinstance(value, TYPES[name]), (name, value)
        if name.endswith("_ms"):
            assert 0 <= value <= LONGEST_MS
        if name == "ts":
            assert value.utcoffset() is not None


def seeds() -> list[bytes]:
    """A start for the corpus: one line of every kind."""
    torchserve = b"2026-11-02T10:00:00,000 [INFO ] W-9000-m_1.0-stdout MODEL_METRICS - "
    return [
        torchserve + b"HandlerTime.ms:7.5|#ModelName:m,Level:Model|#hostname:h,requestID:a,timestamp:1793613600",
        torchserve + b"PredictionTime.Milliseconds:7.5|#ModelName:m|#hostname:h,requestID:a,timestamp:1793613600123",
        b"W-9000-m TS_METRICS - ts_handler_inference.Microseconds:7.5|ModelName:m|#hostname:h,requestID:a,timestamp:1793613600",
        b"W-9000-m TS_METRICS - WorkerLoadTime.Milliseconds:6000|#WorkerName:W-9000,Level:Host|#hostname:h,timestamp:1793613600",
        b"WorkerLifeCycle - result=[METRICS]HandlerTime.Milliseconds:7|#ModelName:m|#requestID:a,timestamp:1793613600",
        b'2026-11-02T10:00:00,000 [INFO ] epollEventLoopGroup-3-1 ACCESS_LOG - /1.2.3.4:5 "POST /predictions/m HTTP/1.1" 200 8',
        b"2026-11-02T10:00:00+0000 [INFO] [entry_service:Acme:1] 127.0.0.1:5 (scheme=http,path=/g) (status=200) 7.9ms (trace=5f,span=1)",
        b"2026-11-02 10:00:00,5 [INFO] [runner:m:1] _ (scheme=http,method=POST,path=/g) (status=503) 7.9ms (trace=0,span=0)",
    ]


if __name__ == "__main__":
    fuzz(one_input, seeds())
