"""
Coverage-guided fuzzing of kept readings of Triton's statistics; run by `make fuzz`, or alone:

    python -m fuzz.triton -max_total_time=60 [corpus folder]

A file of readings gives buckets that can be stored, or Malformed; the same readings in another order or twice give the same.
"""

from __future__ import annotations

import contextlib
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson

from collectors.triton import fetch_usage
from fuzz._running import fuzz
from trial.calendar import Window
from trial.config import Triton
from trial.errors import Malformed
from trial.meter import Meter
from trial.records import UsageBucket

DAY = datetime(2026, 11, 2, tzinfo=UTC)
WINDOW = Window(start=DAY, end=DAY + timedelta(days=1))
MODELS: tuple[str | None, ...] = (None, "m", "n")
_folder = tempfile.TemporaryDirectory()


def one_input(data: bytes) -> None:
    """The first byte chooses: a file as it is, or built from the rest; and the model asked for."""
    if not data:
        return
    model = MODELS[data[0] // 2 % 3]
    lines = _built(data[1:]) if data[0] % 2 else data[1:].split(b"\n")
    found = _read(lines, model)
    if found is None:
        return
    for bucket in found:
        assert bucket.gpu_utilisation is not None and 0 <= bucket.gpu_utilisation <= 1
        assert bucket.requests is not None and bucket.errors is not None and 0 <= bucket.errors <= bucket.requests < 2**63
    whole = [line for line in lines if _is_object(line)]
    # Of two readings of one instant the first in the file stands.
    if len({_instant(orjson.loads(line).get("ts")) for line in whole}) == len(whole):
        assert _read([*reversed(whole), *whole], model) == found


def _read(lines: list[bytes], model: str | None) -> list[UsageBucket] | None:
    (Path(_folder.name) / "t.jsonl").write_bytes(b"\n".join(lines))
    endpoint = SimpleNamespace(name="t", triton=Triton(stats="t.jsonl", model=model))
    with contextlib.suppress(Malformed):
        return list(fetch_usage(endpoint, WINDOW, folder=Path(_folder.name), meter=Meter()))
    return None


def _is_object(line: bytes) -> bool:
    with contextlib.suppress(orjson.JSONDecodeError):
        return isinstance(orjson.loads(line), dict)
    return False


def _instant(ts: Any) -> object:
    with contextlib.suppress(ValueError, OverflowError, OSError):
        return datetime.fromtimestamp(ts, UTC) if isinstance(ts, int | float) else datetime.fromisoformat(str(ts)).astimezone(UTC)
    return repr(ts)


def _built(data: bytes) -> list[bytes]:
    """Five bytes a reading: when, its counts, its models, and where it is cut."""
    lines = []
    for number in range(0, min(len(data), 100) - 4, 5):
        when, success, busy, models, cut = data[number : number + 5]
        stats: list[Any] = [
            {
                "name": name,
                "version": "1",
                "inference_stats": {"success": {"count": success * 9, "ns": success * 10**7}, "fail": {"count": busy % 3, "ns": 0}},
                "batch_stats": [{"batch_size": 1, "compute_infer": {"count": success, "ns": busy * 10**9}}] if models % 3 else None,
            }
            for name in ("m", "n")[: models % 2 + 1]
        ]
        line = orjson.dumps({"ts": f"2026-11-02T{when % 24:02d}:{when // 5:02d}:00Z", "model_stats": stats if models < 250 else []})
        lines.append(line[:cut] if cut < 16 else line)
    return lines


def seeds() -> list[bytes]:
    """A start for the corpus: a day of readings, one of an error, and one cut."""
    built = bytes(b for n in range(20) for b in (n, n * 2, n, n % 2 * 0 + 1, 200))
    text = b"\n".join([*_built(built), b'{"ts":1793613600.5,"error":"not ready"}', b'{"ts":"2026-11-02T23'])
    return [b"\1" + built, b"\3" + bytes(range(100)), b"\0" + text, b"\2" + text]


if __name__ == "__main__":
    fuzz(one_input, seeds())
