"""`logs = ...`: what Firehose, an export task or a sink wrote comes to the same invocations as what the API returns."""

from __future__ import annotations

import base64
import gzip
import json
from collections import defaultdict
from dataclasses import replace
from datetime import date, timedelta

import pyarrow.fs as pafs
import pytest

from flows import collecting, results
from sandbox.cloudwatch_logs import event_id
from sandbox.faults import NO_FAULTS
from sandbox.instants import MS, iso_us, to_datetime
from sandbox.plans import default_plans
from sandbox.serving import log_group
from sandbox.world import build_world
from trial import config
from trial.errors import SourceError
from trial.store import Store

GROUP = log_group(frozenset())
LOST = timedelta(hours=40)


@pytest.fixture(scope="module")
def world():
    plans = [p for p in default_plans() if p.platform in ("aws-lambda", "cloud-run")]
    built = build_world(seed=5, start=date(2026, 11, 2), days=2, scale=0.15, plans=plans)
    built.set_now(built.clock.now + LOST)
    return built


@pytest.fixture(scope="module")
def served(world, tmp_path_factory):
    """The world's APIs, and what a collection through them leaves."""
    folder = tmp_path_factory.mktemp("api")
    with pytest.MonkeyPatch.context() as patch, world.serve(folder, faults=NO_FAULTS) as addresses:
        for name, value in world.environment().items():
            patch.setenv(name, value)
        text = world.trial_toml(addresses, folder)
        (folder / "trial.toml").write_text(text)
        yield text, collect(folder, world)


def collect(folder, world, *, only=None):
    trial = config.load(folder / "trial.toml")
    store = Store.at(trial.store_url)
    results.register(trial, store, now=world.clock.now)
    for endpoint in trial.endpoints:
        if only is None or endpoint.name == only:
            for span in collecting.plan(trial, store, endpoint, now=world.clock.now):
                pulled = collecting.pull_days(trial, endpoint, span, now=world.clock.now)
                for day in span:
                    collecting.compute_day(trial, endpoint, day, pulled.usage[day], now=world.clock.now)
    return store


def elsewhere(served, folder, world, name, logs):
    """The store of a collection that reads `name`'s lines from `logs`, and all else from the same APIs."""
    folder.mkdir(exist_ok=True)
    before, after = served[0].split(f'name = "{name}"\n')
    text = f'{before}name = "{name}"\nlogs = {json.dumps(logs)}\n{after}'
    lines = [f'url = "{folder / "store"}"' if line.startswith("url = ") else line for line in text.splitlines()]
    (folder / "trial.toml").write_text("\n".join(lines))
    return collect(folder, world, only=name)


def batches(events, key):
    found = defaultdict(list)
    for event in events:
        for _ in range(event.copies):
            found[key(event)].append(event)
    return found


def record(stream, events, group=GROUP):
    """What CloudWatch Logs hands to a subscription."""
    return {
        "messageType": "DATA_MESSAGE",
        "owner": "123456789012",
        "logGroup": group,
        "logStream": stream,
        "subscriptionFilters": ["to-firehose"],
        "logEvents": [{"id": event_id(e), "timestamp": e.at_us // MS, "message": e.payload} for e in events],
    }


def firehose(endpoint, wrap):
    """Objects by key: a file for each hour of arrival, its records end to end, one of them of another group and one of none."""
    objects = {}
    for hour, events in batches(endpoint.events, lambda e: f"{to_datetime(e.readable_us):%Y/%m/%d/%H}").items():
        records = [record(stream, some) for stream, some in batches([one(e) for e in events], lambda e: e.stream).items()]
        records.append(record("2026/11/02/[$LATEST]other", [one(e) for e in events], group="/aws/lambda/another"))
        records.insert(
            0,
            {
                "messageType": "CONTROL_MESSAGE",
                "logGroup": "",
                "logStream": "",
                "logEvents": [{"id": "", "timestamp": 1, "message": "CWL CONTROL MESSAGE: Checking health of destination Firehose."}],
            },
        )
        objects[f"{hour}/summ-1-{hour.replace('/', '-')}-05-12-0a.gz"] = gzip.compress(wrap(records))
    return objects


def one(event):
    return replace(event, copies=1)


def end_to_end(records):
    return "".join(map(json.dumps, records)).encode()


def packed(record):
    return base64.b64encode(gzip.compress(json.dumps(record).encode())).decode()


WRAPS = {
    "end to end": end_to_end,
    "a record a line": lambda records: "\n".join(map(json.dumps, records)).encode(),
    "gzip in gzip": lambda records: b"".join(gzip.compress(json.dumps(r).encode()) for r in records),
    "base64 records": lambda records: "\n".join(map(packed, records)).encode(),
    "base64 in JSON": lambda records: "".join(json.dumps({"recordId": str(n), "data": packed(r)}) for n, r in enumerate(records)).encode(),
    "a batch": lambda records: json.dumps({"records": [{"recordId": str(n), "data": packed(r)} for n, r in enumerate(records)]}).encode(),
    "kinesis": lambda records: json.dumps({"Records": [{"kinesis": {"data": packed(r)}} for r in records]}).encode(),
    "awslogs": lambda records: "\n".join(json.dumps({"awslogs": {"data": packed(r)}}) for r in records).encode(),
}


def export_task(endpoint):
    """Objects by key: the mark of a task's first try, and two objects a stream."""
    objects = {"aws-logs-write-test": b"Permission Check Successful"}
    for stream, events in batches([one(e) for e in endpoint.events], lambda e: e.stream).items():
        events.sort(key=lambda e: (e.at_us, e.order))
        half = len(events) // 2
        for number, some in enumerate((events[:half], events[half:])):
            text = "".join(f"{to_datetime(e.at_us):%Y-%m-%dT%H:%M:%S}.{e.at_us // MS % 1000:03d}Z {e.payload}\n" for e in some)
            if some:
                objects[f"6f3b1a20-task/{stream.replace('/', '-')}/{number:06d}.gz"] = gzip.compress(text.encode())
    return objects


def put(url, prefix, objects):
    """Objects below a store's URL; the address of their folder."""
    bucket, root = pafs.FileSystem.from_uri(url)
    for key, body in objects.items():
        with bucket.open_output_stream(f"{root}/{prefix}/{key}") as out:
            out.write(body)
    return url.replace("/t?", f"/t/{prefix}?")


def same_requests(found, expected, name):
    assert found.table("invocations", name).num_rows > 100
    for table in ("invocations", "instances"):
        here, there = (store.table(table, name).to_pylist() for store in (found, expected))
        assert [row for row in here if row not in there] == [row for row in there if row not in here] == []
        assert len(here) == len(there)
    for here, there in zip(found.manifests(name), expected.manifests(name), strict=True):
        assert here.summary.completeness == there.summary.completeness is not None
        assert here.summary.provider_requests == there.summary.provider_requests


def test_firehose_objects_on_s3(world, served, s3, tmp_path):
    name = "summariser-lambda"
    objects = firehose(world.endpoints[name], end_to_end)
    old = {f"2026/{month:02d}/{day:02d}/10/summ.gz": gzip.compress(b"{}") for month in range(1, 11) for day in range(1, 29)}
    logs = put(s3.url, "hose", {**objects, **old})
    s3.calls.clear()
    found = elsewhere(served, tmp_path / "t", world, name, logs)
    same_requests(found, served[1], name)
    assert [m.summary.ledger_totals() for m in found.manifests(name)] == [m.summary.ledger_totals() for m in served[1].manifests(name)]
    # One list for the prefix, the year, each of the days (and the one before) and each hour of them: none for another month.
    assert s3.calls["LIST"] <= 4 + 5 + len(objects)


def lay_out(folder, objects):
    for key, body in objects.items():
        path = folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)


@pytest.mark.parametrize("wrap", WRAPS)
def test_every_envelope_holds_the_same_events(wrap, world, served, tmp_path):
    name = "summariser-lambda"
    lay_out(tmp_path / "t" / "hose", firehose(world.endpoints[name], WRAPS[wrap]))
    same_requests(elsewhere(served, tmp_path / "t", world, name, "hose"), served[1], name)


def test_export_task_objects_on_s3(world, served, s3, tmp_path):
    name = "summariser-lambda"
    objects = export_task(world.endpoints[name])
    logs = put(s3.url, "tasks", objects)
    found = elsewhere(served, tmp_path / "t", world, name, logs)
    same_requests(found, served[1], name)
    before = [m.summary for m in found.manifests(name)]
    # A second task that exports the same again adds nothing.
    put(s3.url, "tasks", {key.replace("6f3b1a20", "7a"): body for key, body in objects.items()})
    again = elsewhere(served, tmp_path / "t", world, name, logs)
    assert [(s.requests, s.cold_hits) for s in before] == [(m.summary.requests, m.summary.cold_hits) for m in again.manifests(name)]
    same_requests(again, served[1], name)


def sink(endpoint):
    """A file for each log and hour, an entry a line, as a sink to GCS writes them."""
    objects = {}
    for (log, hour), events in batches(
        endpoint.events, lambda e: (e.stream, to_datetime(e.at_us).replace(minute=0, second=0, microsecond=0))
    ).items():
        entries = [{**e.payload, "receiveTimestamp": iso_us(e.readable_us)} for e in events]
        other = [{**e, "resource": {**e["resource"], "labels": {**e["resource"]["labels"], "service_name": "another"}}} for e in entries]
        folder = log.rpartition("/logs/")[2].replace("%2F", "/")
        key = f"{folder}/{hour:%Y/%m/%d/%H}:00:00_{hour:%H}:59:59_S0.json"
        objects[key] = "".join(json.dumps(e) + "\n" for e in [*entries, *other]).encode()
    return objects


def test_a_sinks_files(world, served, tmp_path):
    name = "summariser-run"
    lay_out(tmp_path / "t" / "sink", sink(world.endpoints[name]))
    same_requests(elsewhere(served, tmp_path / "t", world, name, "sink"), served[1], name)


def test_a_sinks_objects_on_google_cloud_storage(world, served, gs, tmp_path):
    name = "summariser-run"
    logs = put(gs, "sink", sink(world.endpoints[name]))
    same_requests(elsewhere(served, tmp_path / "t", world, name, logs), served[1], name)


@pytest.mark.parametrize(
    ("objects", "says"),
    [
        ({}, "nothing lies under it. Check `logs` in trial.toml"),
        ({"2026/11/02/10/a.gz": gzip.compress(b'{"logName": "x"}')}, "item 1 is no event of CloudWatch Logs, but of Cloud Logging"),
        ({"2026/11/02/10/a.gz": gzip.compress(b'{"messageType": "DATA_MES')}, "ends in the middle of a JSON value"),
        ({"2026/11/02/10/a.gz": gzip.compress(b"x" * 90)[:-9]}, "compressed data is damaged or ends early"),
        ({"2026/11/02/10/a.gz": b"H4sIAAAA"}, "a subscription record is not gzip in base64"),
        ({"2026/11/02/10/a.gz": gzip.compress(b"START RequestId: a Version: 1\n")}, "no line carries a time"),
        ({"6f3b/2026-11-02-[$LATEST]aa/000000.gz": gzip.compress(b"no time\n")}, "its first line carries no time"),
    ],
)
def test_objects_that_will_not_do_are_one_line(objects, says, world, served, tmp_path):
    for key, body in objects.items():
        path = tmp_path / "t" / "hose" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
    with pytest.raises(SourceError) as caught:
        elsewhere(served, tmp_path / "t", world, "summariser-lambda", "hose")
    assert says in str(caught.value) and "\n" not in str(caught.value)
    assert not list((tmp_path / "t" / "store").glob("raw/**/*.zst"))
