"""
Coverage-guided fuzzing of handler lines in all their wrappings; run by `make fuzz`, or alone:

    python -m fuzz.lines -max_total_time=60 [corpus folder]

Any payload gives known fields of the right types, None, or a ValueError; our own lines give at once what they give field by field.
"""

from __future__ import annotations

import contextlib
from datetime import datetime
from typing import Any

import orjson

from collectors.lines import handler_fields, own_line
from fuzz._running import fuzz, text_of
from trial import handler_line
from trial.config import KeepWarm, RunpodEndpoint

PLAIN = RunpodEndpoint(platform="runpod", name="s", endpoint_id="x")
MAPPED = PLAIN.model_copy(
    update={
        "keep_warm": KeepWarm(payload="warm me"),
        "fields": {"gpu_ms": "t.0.gpu|s", "request_id": "id", "cold_start": "c.d", "gpu_ms_source": "=cuda_event", "model": "m"},
    }
)
TYPES = {**handler_line.FIELDS, "ts": (datetime,), "process_start": (datetime,), "input_tokens": (int,), "output_tokens": (int,)}


def one_input(data: bytes) -> None:
    """The payload as text, and as an object where it is one."""
    text = text_of(data)
    payloads: list[Any] = [text]
    with contextlib.suppress(orjson.JSONDecodeError):
        decoded = orjson.loads(data)
        payloads += [decoded] if isinstance(decoded, dict) else []
    for payload in payloads:
        for endpoint in (PLAIN, MAPPED):
            with contextlib.suppress(ValueError):
                _check(handler_fields(payload, endpoint))
    at_once = own_line(text)
    assert at_once is None or at_once.fields == handler_fields(text, PLAIN)


def _check(fields: dict[str, Any] | None) -> None:
    if fields is None:
        return
    assert fields
    for name, value in fields.items():
        assert isinstance(value, TYPES[name]), (name, value)
    assert "gpu_ms" not in fields or fields["gpu_ms_source"] in handler_line.GPU_MS_SOURCES


def seeds() -> list[bytes]:
    """A start for the corpus: one line of every format."""
    return [
        b'{"fortnight":1,"request_id":"a","gpu_ms":2.5,"gpu_ms_source":"cuda_event","cold_start":true,"ts":"2026-11-02T10:00:00Z"}',
        b'[INFO]\t{"fortnight":1,"gpu_ms":2,"input_tokens":3.0,"model":"m","synthetic":false,"ttft_ms":null}',
        b'{"requestId":"a","message":"{\\"fortnight\\":1,\\"handler_ms\\":4}"}',
        b'{"message":{"gpu_ms":1},"cold_start":true,"function_request_id":"a","timestamp":"2026-11-24 02:56:48,397+0000"}',
        b'{"_aws":{"Timestamp":1795489008398,"CloudWatchMetrics":[{"Metrics":[{"Name":"ColdStart","Unit":"Count"}]}]},"ColdStart":[1.0]}',
        b'{"_aws":{"CloudWatchMetrics":[{"Metrics":[{"Name":"GpuMs","Unit":"Microseconds"}]}]},"GpuMs":[1,2]}',
        b'{"attributes":[{"key":"faas.coldstart","value":{"boolValue":true}}],"resource":{"attributes":{"faas.instance":"i"}}}',
        b'{"id":"a","t":[{"gpu":"0.5"}],"c":{"d":"true"},"x":"warm me"}',
    ]


if __name__ == "__main__":
    fuzz(one_input, seeds())
