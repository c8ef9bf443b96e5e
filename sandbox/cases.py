"""Every case the sandbox can plant, by name: a test plants one at a time, the demo plants them all."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One planted peculiarity of a platform's logs, and what a reader must make of it."""

    name: str
    platform: str  # aws-lambda, cloud-run, runpod, replicate
    what: str


_LAMBDA = {
    "init-timeout": "an INIT over 10 s: INIT_REPORT says timeout, REPORT has no Init Duration, the request is cold and waited",
    "init-error": "an INIT that fails and is retried inside the invocation: two INIT_REPORT lines, no Init Duration, cold",
    "proactive-init": "an environment initialised minutes before its first request: cold flag, nobody waited",
    "provisioned-init": "the same by provisioned concurrency, which the JSON format names",
    "crash": "the runtime exits; the environment re-initialises inside its next request, which is cold and unreported",
    "out-of-memory": "a crash whose REPORT says Runtime.OutOfMemory",
    "timeout": "a request hits the function's time-out; the environment is reset as after a crash",
    "async-retry": "an asynchronous request fails and is retried a minute later under the same RequestId",
    "lazy-load": "the model is loaded by the first request, on an environment that was initialised ahead: cold and waited all the same",
    "xray": "REPORT carries a second physical line with the X-Ray trace",
    "json-format": "a function version with JSON system logs",
    "wrapped-line": "the handler line inside the message of a JSON application log",
    "pretty-json": "a platform event printed over several lines",
    "logs-dropped": "platform.logsDropped in place of a request's end and report: the request stays incomplete",
    "powertools-line": "a handler that logs its figures through Powertools' logger",
    "dict-message": "the same with a dict as the message",
    "emf-line": "a handler that reports its figures as embedded metrics, in milliseconds and seconds",
    "otel-line": "a handler that logs OpenTelemetry's faas attributes: a cold flag and no GPU ms",
    "snapstart": "a function version that restores snapshots: RESTORE_REPORT and Restore Duration",
    "user-report-line": "the user's own lines that contain the word REPORT",
    "extension-report": "an extension's look-alike REPORT line with a Runtime Duration",
    "extension-line": "EXTENSION lines between INIT_START and START",
    "traceback": "a multi-line event of the runtime",
    "cut-line": "a handler line cut in two events: neither half parses, the request loses its GPU ms",
    "cut-report": "a REPORT cut in the middle: the request stays incomplete",
    "missing-report": "an environment killed in the middle of a request: START without END and REPORT",
    "half-json": "half a JSON line printed by the handler beside its whole line",
    "garbage": "binary noise on standard output",
    "mid-stream": "an environment whose INIT is older than the log group: its first request cannot be judged",
    "keep-warm": "synthetic pings at exact intervals, as the article's CloudWatch event sends them",
    "late": "events that become readable hours later, up to a day and a half",
    "duplicate": "events returned twice with one event id",
    "across-midnight": "a request that starts on one local day and ends on the next",
}
_CLOUD_RUN = {
    "rollout": "an instance started by DEPLOYMENT_ROLLOUT with a new revision: its first request is warm",
    "min-instance": "an instance started by MANUAL_OR_CUSTOMER_MIN_INSTANCE, kept for hours",
    "lazy-load": "the first request of a rolled-out instance loads the model: cold, by the handler line alone",
    "aborted": "429, 500 and 503 without an instance: no capacity, counted apart",
    "forbidden": "403 before any instance",
    "health-check": "health checks, HEAD and OPTIONS",
    "labels-missing": "a system entry without its instanceId label: inferred from revision and time",
    "short-reason": "the short form of the start sentence",
    "probe-failed": "a start-up probe that fails once before it succeeds",
    "exit": "an instance whose container exits after a request",
    "stderr": "the application's warnings on standard error",
    "half-json": "half a JSON line on standard output (Cloud Logging keeps it as text)",
    "garbage": "noise on standard output",
    "keep-warm": "synthetic pings that say so in their handler line",
    "late": "entries received hours later, up to a day and a half",
    "stored-twice": "entries stored twice: one query returns them once",
    "across-midnight": "a request that starts on one local day and ends on the next",
}
_RUNPOD = {
    "flashboot": "a resumed worker keeps its process: the caller waited, and no line says so",
    "lazy-load": "the first request of a worker loads the model inside the handler",
    "sdk-lines": "the SDK's own JSON lines shipped around the handler's, each behind a time in whole seconds",
    "plain-sdk-lines": "the same in the SDK's plain mode",
    "truncated": "an SDK line that was cut in the middle, with its mark",
    "failed": "a job that raises; the SDK says Finished. all the same",
    "half-json": "a shipper that died in the middle of a line and sent it again whole",
    "garbage": "noise between the lines",
    "keep-warm": "synthetic pings that say so in their handler line",
    "late": "lines shipped hours later, up to a day and a half",
    "duplicate": "lines shipped twice",
    "across-midnight": "a request that starts on one local day and ends on the next",
}

_REPLICATE = {
    "failed": "a prediction that fails",
    "canceled": "a prediction cancelled while it runs",
    "aborted": "a prediction cancelled before any worker took it",
    "odd-times": "started_at a few milliseconds before created_at, and predict_time above total_time: two clocks",
    "negative-time": "a negative predict_time",
    "other-model": "predictions of another model of the same account",
    "across-midnight": "a prediction that starts on one local day and ends on the next",
}

# What changes an endpoint as a whole, or what no daily reading can make whole again: never planted unless asked for.
_ON_REQUEST = (
    ("aws-lambda", "managed-instances", "Lambda Managed Instances: JSON only, durationMs alone, overlapping requests, never cold"),
    ("aws-lambda", "shared-group", "a log group shared with a function whose name begins with ours"),
    ("aws-lambda", "short-retention", "a log group that keeps seven days"),
    ("aws-lambda", "delivery-class", "a log group of the Delivery class"),
    ("aws-lambda", "warn-level", "JSON logs at SystemLogLevel WARN: no platform.start, no platform.report"),
    ("aws-lambda", "spaced-report", "REPORT with spaces where the tabs were, as consoles copy it"),
    (
        "aws-lambda",
        "init-timeout-twice",
        "an INIT over 10 s that, begun again inside the invocation, takes all of its time: INIT_REPORT twice",
    ),
    ("aws-lambda", "init-across-midnight", "a caller who waits for an INIT over midnight: a request of the day on which it began"),
    ("aws-lambda", "yesterdays-stream", "an environment that serves on after midnight: its stream bears yesterday's date"),
    *(
        (platform, "at-midnight", "a request at the very instant of midnight, which two days' readings may both return")
        for platform in ("aws-lambda", "cloud-run", "runpod", "replicate")
    ),
    ("aws-lambda", "json-only", "JSON system logs from the first day on: every other case in JSON"),
    ("aws-lambda", "billed-without-init", "a Billed Duration by the older rule, without the INIT: read as it is"),
    ("aws-lambda", "json-snapstart", "the version that restores snapshots has JSON system logs; with `snapstart`"),
    ("cloud-run", "waiting-together", "four requests that wait for one instance"),
    ("cloud-run", "probe-lags", "a request that is over before the probe's line of its instance is written"),
    ("runpod", "truncated-line", "a handler line that went through the SDK's logger and was cut in the middle"),
    ("runpod", "webhook-again", "a job object that RunPod posts again ten seconds later; with `job-objects`"),
    ("runpod", "webhook-only", "a handler that prints nothing: job objects alone, and a cold start is inferred from the wait"),
    ("runpod", "harvest-only", "nothing is shipped: a harvest every ten minutes, and workers that end before it"),
    ("aws-lambda", "own-json", "a handler with a JSON format of its own, mapped by `fields`"),
    ("cloud-run", "own-json", "a handler with a JSON format of its own, mapped by `fields`"),
    *(
        (platform, name, what)
        for platform in ("aws-lambda", "cloud-run", "runpod")
        for name, what in (
            ("torchserve-line", "TorchServe's metrics in place of a handler line: two measurements and an echo"),
            ("bentoml-line", "BentoML's access line in place of a handler line"),
        )
    ),
    ("runpod", "job-objects", "what the webhook was sent is shipped too: a resumed worker shows by its wait"),
    ("runpod", "failed-sdk-lines", "a job that raises, with the SDK's lines: the exception over several lines, and Finished."),
    ("runpod", "failed-plain-lines", "the same in the SDK's plain mode"),
    (
        "cloud-run",
        "triton-statistics",
        "Triton serves the model, and its statistics are read into files: GPU time by the hour, restarts that reset the counters",
    ),
    (
        "runpod",
        "triton-statistics",
        "Triton serves the model: GPU time by the hour, and its count of requests as the yardstick, since RunPod counts none",
    ),
    ("aws-lambda", "very-late", "events that arrive up to 13 days later"),
    ("cloud-run", "very-late", "entries that arrive up to 13 days later"),
    ("runpod", "very-late", "lines that are shipped up to 13 days later"),
    ("aws-lambda", "silent-pings", "keep-warm pings that do not say so; their lines carry a note"),
    ("cloud-run", "silent-pings", "keep-warm pings that do not say so; their path is /warmup"),
    ("runpod", "silent-pings", "keep-warm pings that do not say so; their lines carry a note"),
)

CATALOGUE: tuple[Case, ...] = tuple(
    Case(name=name, platform=platform, what=what)
    for platform, table in (("aws-lambda", _LAMBDA), ("cloud-run", _CLOUD_RUN), ("runpod", _RUNPOD), ("replicate", _REPLICATE))
    for name, what in table.items()
)
ON_REQUEST: tuple[Case, ...] = tuple(Case(name=name, platform=platform, what=what) for platform, name, what in _ON_REQUEST)
ALL: frozenset[str] = frozenset(case.name for case in CATALOGUE)
NONE: frozenset[str] = frozenset()


def checked(names: Iterable[str]) -> frozenset[str]:
    """
    Raises:
        ValueError: a name that no case has.
    """
    chosen = frozenset(names)
    known = {case.name for case in (*CATALOGUE, *ON_REQUEST)}
    unknown = sorted(chosen - known)
    if unknown:
        raise ValueError(f"no such case: {', '.join(unknown)}; known: {', '.join(sorted(known))}")
    return chosen


def of_platform(platform: str) -> frozenset[str]:
    """The names of one platform's cases."""
    return frozenset(case.name for case in (*CATALOGUE, *ON_REQUEST) if case.platform == platform)
