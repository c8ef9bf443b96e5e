"""Which region a Lambda log comes from: its stream and lines name none, but the runtime's ARN does, once an initialisation."""

from __future__ import annotations

import re
from typing import Any

from trial.records import RawEvent

# INIT_START and RESTORE_START as text, initStart and restoreStart as JSON.
_RUNTIME = re.compile(r"Runtime Version ARN: arn:[\w-]+:lambda:([a-z0-9-]+)::")
_ARN = re.compile(r"arn:[\w-]+:lambda:([a-z0-9-]+):")


def region_of(event: RawEvent, endpoint: Any) -> str | None:  # noqa: ARG001 - one signature for every platform
    """
    The region in the ARN of an initialisation's line; None on all others.

    Images bring their own runtime, and their lines carry no ARN.
    """
    payload = event.payload
    if isinstance(payload, str):
        if payload.startswith(("INIT_START", "RESTORE_START")):
            found = _RUNTIME.search(payload)
        elif payload.startswith("{") and '"runtimeVersionArn"' in payload:
            found = _ARN.search(payload, payload.index('"runtimeVersionArn"'))
        else:
            return None
    else:
        record = payload.get("record") if isinstance(payload, dict) else None
        arn = record.get("runtimeVersionArn") if isinstance(record, dict) else None
        found = _ARN.match(arn) if isinstance(arn, str) else None
    return found[1] if found else None
