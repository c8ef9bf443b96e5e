"""One Cloud Run log entry, judged alone: a fact, something to pass over, or something broken."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from collectors.cloud_run.facts import Fact, HandlerLine, InstanceExit, InstanceReady, InstanceStart, Request
from collectors.google_entry import label, log_id, mapping, resource_label, text, trace_id, whole
from collectors.lines import handler_fields
from collectors.serving_lines import request_fields
from trial.records import Ignored, RawEvent, Rejected

REQUESTS, SYSTEM = "run.googleapis.com/requests", "run.googleapis.com/varlog/system"

# Reasons of Ignored that stand for a request which run.googleapis.com/request_count counts all the same: a comparison with
# that counter has to add them to the requests seen. It leaves out what reached no instance: refusals and aborted requests.
COUNTED_BY_PROVIDER = frozenset({"head", "options", "health_check"})

_LATENCY = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)s", re.ASCII)
# A request may take an hour at most; what claims to be longer than two is not a duration of one request.
LONGEST = timedelta(hours=2)
_PATH = re.compile(r"(?:[a-zA-Z][a-zA-Z0-9+.-]*://[^/?#]*)?([^?#]*)")
_HEALTH_PATH = re.compile(
    r"(?:/(?:v\d+|api|_ah|health|healthz))*/_?(?:health(?:z|[_-]?check)?|livez?|liveness|readyz?|readiness|startupz?|ping)/?"
)
_HEALTH_AGENT = re.compile(r"GoogleHC/|kube-probe/|GoogleStackdriverMonitoring-UptimeChecks")

_START = "Starting new instance."
_REASON = re.compile(r"Starting new instance\. Reason: ([A-Z_]+)")
_PROBE = re.compile(r"STARTUP (?:TCP|HTTP|GRPC) probe (succeeded|failed)")


def parse(event: RawEvent, endpoint: Any) -> Fact | Ignored | Rejected:
    """
    One entry of a Cloud Run service: request log, instance log (varlog/system), or what the application printed.

    Args:
        event: payload is the entry as `gcloud logging read --format=json` prints it.
        endpoint: a cloud-run or an export table; `service` and `region`, where it has them, must be the entry's own.
    """
    entry = event.payload
    if not isinstance(entry, Mapping):
        return Rejected(reason="not_an_entry", detail="expected a log entry as a JSON object")
    kind = text(mapping(entry.get("resource")).get("type"))
    if kind not in ("cloud_run_revision", ""):
        return Ignored(reason="other_resource")
    for name, wanted in (("service_name", getattr(endpoint, "service", None)), ("location", getattr(endpoint, "region", None))):
        given = resource_label(entry, name)
        if wanted is not None and given is not None and given != wanted:
            return Ignored(reason="other_service" if name == "service_name" else "other_region")
    log = log_id(entry)
    if log == REQUESTS:
        return _request(event, entry, endpoint)
    if log == SYSTEM:
        return _system(event, entry)
    if log.startswith("cloudaudit.googleapis.com/"):
        return Ignored(reason="other_log")
    return _application(event, entry, endpoint)


def _request(event: RawEvent, entry: Mapping[str, Any], endpoint: Any) -> Request | Ignored | Rejected:
    http = mapping(entry.get("httpRequest"))
    if not http:
        return Rejected(reason="request_without_http", detail="an entry of the request log has no httpRequest")
    try:
        status = whole(http.get("status")) or 0
        latency = _duration(http.get("latency"))
    except ValueError as exc:
        return Rejected(reason="request_malformed", detail=str(exc))
    url = _PATH.match(text(http.get("requestUrl")))
    path = (url and url[1]) or "/"
    pattern = endpoint.keep_warm.path if endpoint.keep_warm else None
    synthetic = pattern is not None and re.search(pattern, path) is not None
    instance_id = label(entry, "instanceId")
    passed_over = (None if synthetic else _not_inference(http, path)) or (None if instance_id else _refused(status))
    if passed_over is not None:
        return Ignored(reason=passed_over)
    trace = trace_id(entry.get("trace"))
    return Request(
        at=event.at,
        request_id=trace or text(entry.get("insertId")) or event.event_id,
        trace=trace,
        instance_id=instance_id,
        revision=resource_label(entry, "revision_name"),
        latency=latency,
        status=status,
        synthetic=synthetic,
    )


def _not_inference(http: Mapping[str, Any], path: str) -> str | None:
    method = text(http.get("requestMethod")).upper()
    if method in ("HEAD", "OPTIONS"):
        return method.lower()
    if _HEALTH_AGENT.search(text(http.get("userAgent"))) or (method == "GET" and _HEALTH_PATH.fullmatch(path)):
        return "health_check"
    return None


def _refused(status: int) -> str | None:
    """What the front end answered itself; 429, 408 and 499 there mean that no instance was to be had in time."""
    if status in (401, 403):
        return "forbidden"
    return "refused" if 300 <= status < 500 and status not in (408, 429, 499) else None


def _duration(value: Any) -> timedelta | None:
    if value is None:
        return None
    found = _LATENCY.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError(f"latency {value!r}, expected seconds such as '0.355516564s'")
    latency = timedelta(seconds=float(found[1]))
    if latency > LONGEST:
        raise ValueError(f"latency {value!r} is longer than any request may take")
    return latency


def _system(event: RawEvent, entry: Mapping[str, Any]) -> Fact | Ignored | Rejected:
    said = text(entry.get("textPayload")) or text(mapping(entry.get("jsonPayload")).get("message"))
    instance_id, revision = label(entry, "instanceId"), resource_label(entry, "revision_name")
    if said.startswith(_START):
        # The sentence behind the token has changed over the years; the token has not.
        reason = _REASON.match(said)
        if reason is None:
            return Rejected(reason="start_without_reason", detail=said[:200])
        return InstanceStart(at=event.at, instance_id=instance_id, revision=revision, reason=reason[1].rstrip("_"))
    probe = _PROBE.search(said)
    if probe is not None:
        if probe[1] == "failed":
            return Ignored(reason="startup_probe_failed")
        return InstanceReady(at=event.at, instance_id=instance_id, revision=revision)
    if said.startswith("Container called exit("):
        return InstanceExit(at=event.at, instance_id=instance_id, revision=revision)
    return Ignored(reason="system_message")


def _application(event: RawEvent, entry: Mapping[str, Any], endpoint: Any) -> HandlerLine | Ignored | Rejected:
    printed = entry.get("jsonPayload")
    if not isinstance(printed, Mapping):
        printed = text(entry.get("textPayload"))
    try:
        fields = handler_fields(printed, endpoint)
        served = request_fields(printed) if fields is None and isinstance(printed, str) else None
    except ValueError as exc:
        return Rejected(reason="handler_line", detail=str(exc))
    if isinstance(served, Ignored):
        return served
    if served is not None:
        # A framework's own id is no trace: the line finds its request by the entry's trace, or by instance and time.
        fields = {name: value for name, value in served.items() if name != "request_id"}
    if fields is None:
        return Ignored(reason="application_line")
    return HandlerLine(
        at=event.at,
        trace=trace_id(entry.get("trace")),
        instance_id=label(entry, "instanceId"),
        revision=resource_label(entry, "revision_name"),
        fields=fields,
    )
