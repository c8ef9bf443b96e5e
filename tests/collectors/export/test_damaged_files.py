"""A packed export that breaks off or is damaged anywhere is one clear line, whatever reads it first."""

from __future__ import annotations

import gzip
import json
import random

import pytest
import zstandard

from trial.errors import Malformed

ID = "b70435cc-261c-4438-a1b6-0000000000a1"
EVENT = {
    "logStreamName": "2026/11/02/[1]a",
    "timestamp": 1793613600000,
    "message": f"REPORT RequestId: {ID}\tDuration: 9 ms\tBilled Duration: 9 ms\tMemory Size: 128 MB\tMax Memory Used: 33 MB",
    "eventId": "1",
}
ENTRY = {
    "insertId": "a1",
    "logName": "projects/p/logs/run.googleapis.com%2Fstdout",
    "timestamp": "2026-11-02T10:00:00Z",
    "textPayload": "x",
    "resource": {"type": "cloud_run_revision", "labels": {"service_name": "s"}},
}
ROW = {"request_id": "a1", "started_at": "2026-11-02T10:00:00Z", "cold": "cold"}
KINDS = (
    "aws-lambda events",
    "aws-lambda text",
    "cloud-run",
    "runpod lines",
    "runpod jobs",
    "replicate",
    "invocations json",
    "invocations csv",
)
A_FRAME_THAT_GIVES_BYTES_AND_BREAKS_OFF = bytes.fromhex("28b52ffd6475530020000000000000")


def written(kind: str, *, items: int) -> tuple[str, bytes]:
    """An export of that kind, each item with a hundred characters that do not pack."""
    rng = random.Random(kind)
    salts = [f"{rng.getrandbits(400):0100x}" for _ in range(items)]
    match kind:
        case "aws-lambda events":
            return "aws-lambda", json.dumps({"events": [{**EVENT, "eventId": s} for s in salts]}).encode()
        case "aws-lambda text":
            return "aws-lambda", "".join(f"2026-11-02T10:00:00.000Z {s}\n" for s in salts).encode()
        case "cloud-run":
            return "cloud-run", json.dumps([{**ENTRY, "insertId": s} for s in salts]).encode()
        case "runpod lines":
            return "runpod", "".join(f"2026-11-02T10:00:01Z {s}\n" for s in salts).encode()
        case "runpod jobs":
            return "runpod", json.dumps([{"id": s, "status": "COMPLETED", "ts": "2026-11-02T10:00:00Z"} for s in salts]).encode()
        case "replicate":
            return "replicate", json.dumps([{"id": s, "created_at": "2026-11-02T10:00:00Z"} for s in salts]).encode()
        case "invocations json":
            return "invocations", json.dumps([{**ROW, "request_id": s} for s in salts]).encode()
        case _:
            return "invocations", "\n".join([",".join(ROW), *(",".join({**ROW, "request_id": s}.values()) for s in salts)]).encode()


@pytest.mark.parametrize("items", [30, 20_000])  # less than a chunk, and several
@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress, lambda data: gzip.compress(gzip.compress(data))])
@pytest.mark.parametrize("kind", KINDS)
def test_a_packed_file_cut_anywhere(read, kind, pack, items):
    format, plain = written(kind, items=items)
    packed = pack(plain)
    for size in sorted({8, 12, len(packed) - 1} if items < 100 else {len(packed) * 2 // 3}):
        with pytest.raises(Malformed, match=r"exports/a\.log: compressed data is damaged or ends early") as caught:
            read(format, {"a.log": packed[:size]})
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", KINDS)
def test_a_packed_file_with_other_bytes_in_the_middle(read, kind):
    format, plain = written(kind, items=20_000)
    packed = gzip.compress(plain)
    middle = len(packed) * 2 // 3
    # What unpacks to other bytes shows where those are read, before the checksum at the end does.
    with pytest.raises(Malformed, match=r"exports/a\.log: "):
        read(format, {"a.log": packed[:middle] + b"\xff" * 64 + packed[middle + 64 :]})


@pytest.mark.parametrize("format", ["aws-lambda", "cloud-run", "runpod", "replicate", "invocations"])
def test_a_frame_that_gives_bytes_and_breaks_off(read, format):
    with pytest.raises(Malformed, match="compressed data is damaged or ends early"):
        read(format, {"a.log": A_FRAME_THAT_GIVES_BYTES_AND_BREAKS_OFF})
