"""Each case planted alone: it is there, and without it it is not."""

from __future__ import annotations

import itertools
import json
import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable

import pytest

from sandbox import cases
from sandbox.endpoints import Endpoint
from sandbox.instants import HOUR, SECOND, to_datetime
from sandbox.logs_runpod import Job
from trial import config


def texts(endpoint: Endpoint) -> list[str]:
    found = []
    for event in endpoint.events:
        if isinstance(event.payload, str):
            found.append(event.payload)
        else:
            found.append(event.payload.get("textPayload") or json.dumps(event.payload.get("jsonPayload") or event.payload["httpRequest"]))
    return found


def lines_with(*parts: str) -> Callable[[Endpoint], int]:
    return lambda endpoint: sum(all(part in text for part in parts) for text in texts(endpoint))


def reasons(name: str) -> Callable[[Endpoint], int]:
    return lambda endpoint: sum(r.reason == name for r in endpoint.history.requests)


def started(name: str) -> Callable[[Endpoint], int]:
    return lambda endpoint: sum(w.reason == name for w in endpoint.history.workers)


def pings(endpoint: Endpoint) -> int:
    return sum(day.synthetic for day in endpoint.truth.values())


def late(endpoint: Endpoint) -> int:
    return sum(e.readable_us - e.at_us > HOUR for e in endpoint.events)


def twice(endpoint: Endpoint) -> int:
    return sum(e.copies - 1 for e in endpoint.events)


def across_midnight(endpoint: Endpoint) -> int:
    def day(us):
        return to_datetime(us).date()  # November: London is on UTC

    return sum(day(r.taken_us) != day(r.ended_us) for r in endpoint.history.requests)


def cut_lines(endpoint: Endpoint) -> int:
    return sum(e.broken and str(e.payload).startswith('{"fortnight"') and '"ts"' not in str(e.payload) for e in endpoint.events)


def broken(endpoint: Endpoint) -> int:
    return sum(day.rejected for day in endpoint.truth.values())


def noise(endpoint: Endpoint) -> int:
    # A run of letters nobody types.
    return sum(sum(0xA0 < ord(c) < 0x300 for c in text) > 10 for text in texts(endpoint))


def retried(endpoint: Endpoint) -> int:
    return sum(r.arrival.attempt == 2 for r in endpoint.history.requests)


def unlabelled(endpoint: Endpoint) -> int:
    return sum("Starting new" in e.payload.get("textPayload", "") and "instanceId" not in e.payload["labels"] for e in endpoint.events)


def short_reasons(endpoint: Endpoint) -> int:
    return sum(text.endswith("Reason: AUTOSCALING") for text in texts(endpoint))


def failed_jobs(endpoint: Endpoint) -> int:
    jobs: list[Job] = [j for j in endpoint.jobs.values() if j.failed]
    said = {
        rid for lines in endpoint.console.values() for _, text in lines if "Finished." in text for rid in [json.loads(text)["requestId"]]
    }
    assert all(job.id in said for job in jobs), "the SDK says Finished. for failed jobs too"
    return len(jobs)


EVIDENCE: dict[tuple[str, str], Callable[[Endpoint], int]] = {
    ("aws-lambda", "init-timeout"): lines_with("INIT_REPORT", "Status: timeout"),
    ("aws-lambda", "init-error"): lines_with("INIT_REPORT", "Phase: invoke", "Status: error"),
    ("aws-lambda", "proactive-init"): started("proactive"),
    ("aws-lambda", "provisioned-init"): started("provisioned"),
    ("aws-lambda", "crash"): lines_with("REPORT RequestId", "Error Type: Runtime.ExitError"),
    ("aws-lambda", "out-of-memory"): lines_with("REPORT RequestId", "Error Type: Runtime.OutOfMemory"),
    ("aws-lambda", "timeout"): lines_with("REPORT RequestId", "Duration: 30000.00 ms", "Status: timeout"),
    ("aws-lambda", "async-retry"): retried,
    ("aws-lambda", "lazy-load"): lines_with('"load_ms"'),
    ("aws-lambda", "xray"): lines_with("REPORT RequestId", "\nXRAY TraceId"),
    ("aws-lambda", "json-format"): lines_with('"type":"platform.report"'),
    ("aws-lambda", "snapstart"): lines_with("REPORT RequestId", "Billed Restore Duration"),
    ("aws-lambda", "user-report-line"): lines_with("REPORT on ticket"),
    ("aws-lambda", "extension-report"): lines_with("REPORT RequestId", "Post Runtime Duration"),
    ("aws-lambda", "extension-line"): lines_with("EXTENSION\tName"),
    ("aws-lambda", "traceback"): lines_with("Traceback (most recent call last)"),
    ("aws-lambda", "cut-line"): cut_lines,
    ("aws-lambda", "cut-report"): broken,
    ("aws-lambda", "missing-report"): lambda e: sum(day.incomplete for day in e.truth.values()),
    ("aws-lambda", "half-json"): broken,
    ("aws-lambda", "garbage"): noise,
    ("aws-lambda", "mid-stream"): lambda e: sum(day.unknown for day in e.truth.values()),
    ("aws-lambda", "keep-warm"): pings,
    ("aws-lambda", "late"): late,
    ("aws-lambda", "duplicate"): twice,
    ("aws-lambda", "across-midnight"): across_midnight,
    ("cloud-run", "rollout"): lines_with("Reason: DEPLOYMENT_ROLLOUT"),
    ("cloud-run", "min-instance"): lines_with("Reason: MANUAL_OR_CUSTOMER_MIN_INSTANCE"),
    ("cloud-run", "lazy-load"): reasons("lazy_load"),
    ("cloud-run", "aborted"): lines_with("no available instance"),
    ("cloud-run", "forbidden"): lines_with("not authenticated"),
    ("cloud-run", "health-check"): lambda e: sum(day.health for day in e.truth.values()),
    ("cloud-run", "labels-missing"): unlabelled,
    ("cloud-run", "short-reason"): short_reasons,
    ("cloud-run", "probe-failed"): lines_with("probe failed 1 time"),
    ("cloud-run", "exit"): lines_with("Container called exit"),
    ("cloud-run", "stderr"): lines_with("UserWarning"),
    ("cloud-run", "half-json"): broken,
    ("cloud-run", "garbage"): noise,
    ("cloud-run", "keep-warm"): pings,
    ("cloud-run", "late"): late,
    ("cloud-run", "stored-twice"): twice,
    ("cloud-run", "across-midnight"): across_midnight,
    ("runpod", "flashboot"): reasons("flashboot_resume"),
    ("runpod", "lazy-load"): lines_with('"load_ms"'),
    ("runpod", "failed"): failed_jobs,
    ("runpod", "half-json"): broken,
    ("runpod", "garbage"): noise,
    ("runpod", "keep-warm"): pings,
    ("runpod", "late"): late,
    ("runpod", "duplicate"): twice,
    ("runpod", "across-midnight"): across_midnight,
}
# What the JSON format alone can show.
TOGETHER = {
    **dict.fromkeys(("wrapped-line", "pretty-json", "logs-dropped"), ("json-format",)),
    "json-snapstart": ("snapstart",),
    "webhook-again": ("job-objects",),
}
EVIDENCE |= {
    ("aws-lambda", "wrapped-line"): lines_with('"message":"{\\"fortnight\\"'),
    ("aws-lambda", "pretty-json"): lines_with('{\n  "time"', '"platform.report"'),
    ("aws-lambda", "logs-dropped"): lines_with('"type":"platform.logsDropped"'),
    ("aws-lambda", "powertools-line"): lines_with('"function_request_id"', '"message":"inference done"', '"gpu_ms"'),
    ("aws-lambda", "dict-message"): lines_with('"function_request_id"', '"message":{'),
    ("aws-lambda", "emf-line"): lines_with('"_aws"', '"GpuMs":['),
    ("aws-lambda", "otel-line"): lines_with('"faas.invocation_id"'),
    ("runpod", "sdk-lines"): lines_with('"message": "Started."'),
    ("runpod", "plain-sdk-lines"): lines_with("INFO   | ", " | Started."),
    ("runpod", "truncated"): lines_with("...TRUNCATED 6120 CHARACTERS..."),
}


def predictions_with(**wanted: object) -> Callable[[Endpoint], int]:
    return lambda endpoint: sum(all(e.payload[k] == v for k, v in wanted.items()) for e in endpoint.events)


EVIDENCE |= {
    ("replicate", "failed"): predictions_with(status="failed"),
    ("replicate", "canceled"): lambda e: sum(
        ev.payload["status"] == "canceled" and ev.payload["started_at"] is not None for ev in e.events
    ),
    ("replicate", "aborted"): predictions_with(status="canceled", started_at=None),
    ("replicate", "odd-times"): lambda e: sum((ev.payload["started_at"] or "9") < ev.payload["created_at"] for ev in e.events),
    ("replicate", "negative-time"): lambda e: sum(ev.payload["metrics"].get("predict_time", 0) < 0 for ev in e.events),
    ("replicate", "other-model"): predictions_with(model="acme/captions"),
    ("replicate", "across-midnight"): across_midnight,
}


def managed(endpoint: Endpoint) -> int:
    """Overlapping requests in one stream, reports of durationMs alone, no cold hit."""
    reports = [json.loads(t)["record"]["metrics"] for t in texts(endpoint) if '"platform.report"' in t]
    assert all(set(metrics) == {"durationMs"} for metrics in reports)
    assert not any(day.cold_hits + day.unknown for day in endpoint.truth.values())
    served = sorted((r.worker, r.taken_us, r.ended_us) for r in endpoint.history.requests)
    assert any(a[0] == b[0] and b[1] < a[2] for a, b in itertools.pairwise(served))
    return len(reports)


def over_midnight(endpoint: Endpoint) -> int:
    """A caller who waits from one day on, each counted on the day on which the wait began."""
    workers = {w.number: w for w in endpoint.history.workers}
    waits = [r for r in endpoint.history.requests if "init-across-midnight" in r.arrival.cases]
    assert all(r.cold and r.waited for r in waits)
    days = [(to_datetime(workers[r.worker].started_us).date(), to_datetime(r.taken_us).date()) for r in waits]
    assert all(begun < taken for begun, taken in days)
    for begun, _ in days:
        started = [r for r in endpoint.history.requests if to_datetime(r.taken_us).date() == begun]
        assert endpoint.truth[begun].requests == len(started) + 1
    return len(waits)


def restarts(endpoint: Endpoint) -> int:
    """How often a model's counters begin again at zero in a host's file."""
    counts: dict[str, list[int]] = defaultdict(list)
    for event in sorted(endpoint.statistics, key=lambda e: e.at_us):
        for model in json.loads(str(event.payload)).get("model_stats", ()):
            if model["name"] == endpoint.plan.model:
                counts[event.stream].append(model["inference_stats"]["success"]["count"])
    return sum(b < a for read in counts.values() for a, b in itertools.pairwise(read))


def restarts_and_losses(endpoint: Endpoint) -> int:
    told = sum(n for day in endpoint.truth.values() for n, _ in day.triton.values())
    assert restarts(endpoint) and told
    return sum(r.worker is not None for r in endpoint.history.requests) - told


def of_yesterday(endpoint: Endpoint) -> int:
    """Warm requests in streams of the day before."""
    marked = [r for r in endpoint.history.requests if "yesterdays-stream" in r.arrival.cases]
    streams = {ev.payload.split()[2]: ev.stream for ev in endpoint.events if str(ev.payload).startswith("START")}
    return sum(not r.cold and not streams[r.request_id].startswith(f"{to_datetime(r.taken_us):%Y/%m/%d}") for r in marked)


def at_midnight(endpoint: Endpoint) -> int:
    marked = [r for r in endpoint.history.requests if "at-midnight" in r.arrival.cases]
    assert all(r.arrival.at_us % (24 * HOUR) == 0 for r in marked)
    assert endpoint.plan.platform == "replicate" or all(r.taken_us == r.arrival.at_us and not r.cold for r in marked)
    return len(marked)


def billed_without_init(endpoint: Endpoint) -> int:
    figures = [re.search(r"\tDuration: ([\d.]+) ms\tBilled Duration: (\d+) ms.*\tInit Duration", text) for text in texts(endpoint)]
    return sum(math.ceil(float(found[1])) == int(found[2]) for found in figures if found)


def waiting_together(endpoint: Endpoint) -> int:
    ready = {w.number: w.ready_us for w in endpoint.history.workers}
    waited = Counter(r.worker for r in endpoint.history.requests if r.worker is not None and r.arrival.at_us < ready[r.worker])
    return sum(n >= 4 for n in waited.values())


def over_before_its_probe(endpoint: Endpoint) -> int:
    ends, probes = defaultdict(list), {}
    for event in endpoint.events:
        worker = event.payload.get("labels", {}).get("instanceId")
        if event.stream.endswith("requests"):
            ends[worker].append(event.at_us + float(event.payload["httpRequest"]["latency"][:-1]) * SECOND)
        elif "probe succeeded" in event.payload.get("textPayload", ""):
            probes[worker] = event.at_us
    return sum(min(ends[worker]) < at for worker, at in probes.items() if ends[worker])


def job_objects(endpoint: Endpoint) -> Counter[str]:
    return Counter(json.loads(text)["id"] for text in texts(endpoint) if '"delayTime"' in text)


def harvested(endpoint: Endpoint) -> int:
    """Some requests were seen, and of some nothing is left."""
    days = endpoint.truth.values()
    seen, begun = sum(day.requests for day in days), sum(day.incomplete for day in days)
    assert seen
    return len(endpoint.history.requests) - seen - begun


ON_REQUEST: dict[tuple[str, str], Callable[[Endpoint], int]] = {
    ("aws-lambda", "spaced-report"): lines_with("REPORT RequestId", "    Duration: "),
    ("aws-lambda", "init-timeout-twice"): lines_with("INIT_REPORT Init Duration: 30000.00 ms", "Phase: invoke", "Status: timeout"),
    ("aws-lambda", "init-across-midnight"): over_midnight,
    ("aws-lambda", "yesterdays-stream"): of_yesterday,
    **{(platform, "at-midnight"): at_midnight for platform in ("aws-lambda", "cloud-run", "runpod", "replicate")},
    ("aws-lambda", "json-only"): lambda e: lines_with('"type":"platform.report"')(e) * (not lines_with("REPORT RequestId")(e)),
    ("aws-lambda", "billed-without-init"): billed_without_init,
    ("aws-lambda", "json-snapstart"): lines_with('"type":"platform.restoreReport"'),
    ("aws-lambda", "own-json"): lines_with('"timings":{"gpu_s":'),
    **{
        (platform, name): evidence
        for platform in ("aws-lambda", "cloud-run", "runpod")
        for name, evidence in (
            ("torchserve-line", lines_with("MODEL_METRICS - HandlerTime.ms:")),
            ("bentoml-line", lines_with("[entry_service:summariser-")),
        )
    },
    ("cloud-run", "own-json"): lines_with('"timings": {"gpu_s":'),
    ("cloud-run", "waiting-together"): waiting_together,
    ("cloud-run", "probe-lags"): over_before_its_probe,
    ("runpod", "truncated-line"): lambda e: lines_with("...TRUNCATED ", "fortnight")(e) * broken(e),
    ("runpod", "webhook-again"): lambda e: sum(n > 1 for n in job_objects(e).values()),
    ("runpod", "webhook-only"): lambda e: len(job_objects(e)) * (sum(job_objects(e).values()) == len(e.events)),
    ("runpod", "harvest-only"): harvested,
    ("runpod", "job-objects"): lines_with('"delayTime"', '"received_at"'),
    ("runpod", "failed-sdk-lines"): lines_with("Captured Handler Exception"),
    ("runpod", "failed-plain-lines"): lines_with('    "error_message": "prompt too long"'),
    ("aws-lambda", "managed-instances"): managed,
    ("aws-lambda", "shared-group"): lambda e: len({ev.stream.split("/")[3].partition("[")[0] for ev in e.events}) - 1,
    ("aws-lambda", "short-retention"): lambda e: len(e.events),
    ("aws-lambda", "delivery-class"): lambda e: len(e.events),
    ("aws-lambda", "warn-level"): lambda e: len(e.events) * (not lines_with("platform.")(e)),
    **{
        (platform, "very-late"): lambda e: sum(ev.readable_us - ev.at_us > 48 * HOUR for ev in e.events)
        for platform in ("aws-lambda", "cloud-run", "runpod")
    },
    ("cloud-run", "triton-statistics"): restarts,
    ("runpod", "triton-statistics"): restarts_and_losses,
    ("aws-lambda", "silent-pings"): lines_with('"note":"keep-warm"'),
    ("runpod", "silent-pings"): lines_with('"note":"keep-warm"'),
    ("cloud-run", "silent-pings"): lines_with("/warmup"),
}


def test_every_case_has_its_evidence():
    assert {(c.platform, c.name) for c in cases.CATALOGUE} == set(EVIDENCE)
    assert {(c.platform, c.name) for c in cases.ON_REQUEST} == set(ON_REQUEST)
    assert not {c.name for c in cases.ON_REQUEST} & cases.ALL


@pytest.mark.parametrize(("platform", "name"), sorted(EVIDENCE))
def test_planted_alone(one_platform, platform, name):
    chosen = [name, *TOGETHER.get(name, ())]
    (endpoint,) = one_platform(platform, days=4, scale=0.4, cases=chosen).endpoints.values()
    assert EVIDENCE[(platform, name)](endpoint) > 0


@pytest.mark.parametrize(("platform", "name"), sorted(ON_REQUEST))
def test_on_request(one_platform, platform, name, tmp_path):
    world = one_platform(platform, days=2, scale=0.5, cases=[name, *TOGETHER.get(name, ())])
    (endpoint,) = world.endpoints.values()
    assert ON_REQUEST[(platform, name)](endpoint) > 0
    with world.serve(tmp_path) as addresses:
        table = config.parse(world.trial_toml(addresses, tmp_path), path=tmp_path / "trial.toml").endpoints[0]
    assert bool(table.fields) == (name == "own-json")
    assert (table.keep_warm is not None) == (name == "silent-pings")
    assert (table.triton is not None) == (name == "triton-statistics")
    assert (getattr(table, "log_group", None) == "/acme/inference") == (name == "shared-group")


@pytest.mark.parametrize("platform", ["aws-lambda", "cloud-run", "runpod", "replicate"])
def test_plain_traffic_shows_none(one_platform, platform):
    (endpoint,) = one_platform(platform, days=4, scale=0.4).endpoints.values()
    seen = {name: find(endpoint) for (where, name), find in EVIDENCE.items() if where == platform}
    assert {name: n for name, n in seen.items() if n} == {}
