"""What running an endpoint took, as far as the store knows it: deployments, pulls that failed, what doctor last found."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from trial import pulls
from trial.finding import Finding
from trial.store import Manifest, Store

DOCTOR = "doctor.json"
# A rollout starts its instances within minutes of each other.
ROLLOUT = timedelta(minutes=15)
_VERSION = re.compile(r"\[(\d+)\]")


def of(store: Store, endpoint: Any, manifests: Sequence[Manifest]) -> dict[str, Any]:
    """A key for each thing that is known; see ReportExtras."""
    requests = sum(m.summary.requests for m in manifests)
    with_line = sum(m.summary.sketches["handler_ms"].count for m in manifests if "handler_ms" in m.summary.sketches)
    doctor = _doctor(store).get(endpoint.name)
    made = [p for p in pulls.read(store.files, endpoint=endpoint.name) if p.what == "days"]
    found = {
        "handler_line_share": with_line / requests if requests else None,
        "deployments": deployments(store, endpoint) if manifests else None,
        "failed_collections": sum(p.failed for p in made) if made else None,
        "doctor_warnings": doctor["warnings"] if doctor else None,
    }
    return {key: value for key, value in found.items() if value is not None}


def deployments(store: Store, endpoint: Any) -> int | None:
    """
    Deployments that the instances show: rollouts of Cloud Run, and versions of a Lambda function after its first.

    Returns:
        None where the logs do not tell: other platforms, and functions that run as $LATEST.
    """
    kind = getattr(endpoint, "format", endpoint.platform)
    rows = [row for batch in store.batches("instances", endpoint.name) for row in batch.to_pylist()]
    if kind == "aws-lambda":
        versions = {found[1] for row in rows if (found := _VERSION.search(row["id"]))}
        return len(versions) - 1 if versions else None
    if kind == "cloud-run":
        starts = sorted({row["started_at"] for row in rows if row["start_reason"] == "deployment_rollout" and row["started_at"]})
        return sum(n == 0 or at - starts[n - 1] > ROLLOUT for n, at in enumerate(starts))
    return None


def note_doctor(store: Store, findings: Iterable[Finding], *, names: Iterable[str], now: datetime) -> None:
    """
    Keeps how many warnings doctor had for these endpoints.

    Raises:
        StoreError: the store cannot be written.
    """
    noted = _doctor(store)
    states = [(f.endpoint, f.state) for f in findings]
    for name in names:
        noted[name] = {"at": now.isoformat(), "warnings": states.count((name, "warn")) + states.count((name, "fail"))}
    store.files.write(DOCTOR, json.dumps(noted, indent=1, sort_keys=True).encode() + b"\n")


def _doctor(store: Store) -> dict[str, Any]:
    try:
        return dict(json.loads(store.files.read(DOCTOR)))
    except (FileNotFoundError, ValueError):
        return {}  # no result rests on it
