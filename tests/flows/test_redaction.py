"""keep_raw = "known-fields": the same results, and none of a user's words in the raw store."""

import importlib.util
import json
import sys
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from collectors.registry import collector
from flows import collecting, pull
from trial import config, raw, redaction
from trial.records import Ignored, RawEvent, Rejected
from trial.store import Store

HERE = Path(__file__).resolve()
NOW = datetime(2026, 11, 4, 4, tzinfo=UTC)


def _load(path):
    spec = importlib.util.spec_from_file_location(f"helpers_{path.parent.name}", path)
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


shared = _load(HERE.with_name("conftest.py"))
samples = _load(HERE.parents[1] / "collectors" / "conftest.py")

PLATFORMS = ("aws-lambda", "cloud-run", "runpod", "sagemaker", "vertex-ai", "replicate")


def kept(event, platform, endpoint):
    (found,) = pull.kept([event], collector(platform), endpoint, keep_raw="known-fields")
    return found


@pytest.mark.parametrize(
    ("platform", "sample"), [pytest.param(p, s, id=f"{p}-{s.name}") for p in PLATFORMS for s in samples.read_samples(p)]
)
def test_every_sample_comes_to_the_same_facts_and_the_same_account(platform, sample):
    endpoint = TypeAdapter(config.Endpoint).validate_python(sample.endpoint)
    reader = redaction.reading(collector(platform))
    for event in sample.events:
        before = collector(platform).parse(event, endpoint)
        after = kept(event, platform, endpoint)
        assert (after.stream, after.event_id, after.at, after.copies) == (event.stream, event.event_id, event.at, event.copies)
        found = reader.parse(after, endpoint)
        if isinstance(before, Rejected):
            assert isinstance(found, Rejected)
            assert found.reason == before.reason
        else:
            assert found == before
        # Redacting twice, as when a line is read again, changes nothing more.
        if not isinstance(before, (Ignored, Rejected)):
            assert kept(after, platform, endpoint).payload == after.payload


WORDS = "patient Miller"
LAMBDA = {"name": "l", "platform": "aws-lambda", "function": "f", "region": "r"}
RUN = {"name": "c", "platform": "cloud-run", "project": "p", "service": "s", "region": "r"}
RUNPOD = {"name": "r", "platform": "runpod", "endpoint_id": "x"}
ENTRY = {"logName": "projects/p/logs/run.googleapis.com%2Fstdout", "timestamp": "2026-11-02T10:00:00Z"}
LINE = {"fortnight": 1, "request_id": "a", "gpu_ms": 3.5, "cold_start": True}


@pytest.mark.parametrize(
    ("endpoint", "payload"),
    [
        (LAMBDA, WORDS),
        (LAMBDA, f'{{"level":"INFO","message":"{WORDS}"}}'),
        (LAMBDA, json.dumps({**LINE, "prompt": WORDS})),
        (LAMBDA, f"{WORDS} " + json.dumps(LINE)),
        (LAMBDA, '{"fortnight":1,"request_id":"a","prompt":"' + WORDS),
        (LAMBDA, f"REPORT RequestId: a\t{WORDS}"),
        (LAMBDA, json.dumps({"function_request_id": "a", "gpu_ms": 3, "message": WORDS, "prompt": WORDS})),
        (LAMBDA, json.dumps({"message": {**LINE, "prompt": WORDS}, "requestId": "a"})),
        (RUN, {**ENTRY, "textPayload": WORDS}),
        (
            RUN,
            {
                **ENTRY,
                "jsonPayload": {**LINE, "prompt": WORDS},
                "labels": {"instanceId": "i", "user": WORDS},
                "sourceLocation": {"file": WORDS},
            },
        ),
        (RUN, {**ENTRY, "textPayload": json.dumps({**LINE, "prompt": WORDS})}),
        (RUN, {**ENTRY, "logName": "projects/p/logs/other", "jsonPayload": {"message": WORDS}}),
        (
            RUNPOD,
            json.dumps({"id": "j", "status": "COMPLETED", "executionTime": 5, "delayTime": 1, "output": {"text": WORDS}, "input": WORDS}),
        ),
        (RUNPOD, "2026-11-02T10:00:00Z " + json.dumps({"id": "j", "status": "FAILED", "executionTime": 5, "error": WORDS})),
        (RUNPOD, {"ts": "2026-11-02T10:00:00Z", "source": "container", "line": json.dumps({**LINE, "prompt": WORDS})}),
        (RUNPOD, {"ts": "2026-11-02T10:00:00Z", "source": "container", "line": WORDS}),
        (RUNPOD, f"INFO   | job-123456 | Handler output: {WORDS}"),
        (RUNPOD, json.dumps({"requestId": "job-123456", "message": "Started.", "level": "INFO", "extra": WORDS})),
        (RUNPOD, "{'prompt': '" + WORDS + "'}"),
    ],
)
def test_no_word_of_a_user_is_kept(endpoint, payload):
    table = TypeAdapter(config.Endpoint).validate_python(endpoint)
    event = RawEvent(source="logs", stream="s", event_id="1", at=datetime(2026, 11, 2, 10, tzinfo=UTC), payload=payload)
    source = collector(table.platform)
    before, after = source.parse(event, table), kept(event, table.platform, table)
    found = redaction.reading(source).parse(after, table)
    assert WORDS not in json.dumps(after.payload)
    assert found == before or (isinstance(before, Rejected) and found.reason == before.reason)


def test_a_line_that_cannot_be_redacted_is_rejected_and_not_kept():
    def parse(event):
        return ("fact", event.payload)

    event = RawEvent(source="logs", stream="s", event_id="1", at=NOW, payload={"prompt": WORDS, "id": 1})
    (after,) = redaction.redacted([event], parse=parse)
    assert WORDS not in json.dumps(after.payload)
    assert redaction.outcome(after) == Rejected(reason="not_redactable")


def test_a_batch_is_parsed_in_its_order():
    class Source:
        SOURCES = ("x",)

        @staticmethod
        def parse(event, endpoint):
            return event.payload

        @staticmethod
        def parse_batch(batch, endpoint):
            return [event.payload for event in batch]

    plain = [RawEvent(source="x", stream="s", event_id=str(n), at=NOW, payload=f"p{n}") for n in range(4)]
    hidden = replace(plain[1], payload={redaction.KEY: {"outcome": "ignored", "reason": "text"}})
    reader = redaction.reading(Source)
    assert reader.parse_batch([plain[0], hidden, *plain[2:]], None) == ["p0", Ignored(reason="text"), "p2", "p3"]
    assert reader.parse_batch(plain, None) == ["p0", "p1", "p2", "p3"]


def collect(folder, *, keep_raw):
    folder.mkdir()
    text = shared.TOML.format(days=2) + f'\n[store]\nkeep_raw = "{keep_raw}"\n'
    (folder / "trial.toml").write_text(text)
    lines = [{**line, "prompt": WORDS} for line in shared.handler_lines(days=2, gap_s=1500)]
    chatter = [{"level": "INFO", "message": WORDS, "ts": line["ts"]} for line in lines[::3]]
    broken = [{**lines[5], "gpu_ms": WORDS}]
    shared.write_lines(folder / "lines" / "a.jsonl", sorted([*lines, *chatter, *broken], key=lambda line: line["ts"]))
    trial = config.load(folder / "trial.toml")
    (endpoint,) = trial.endpoints
    store = Store.at(trial.store_url)
    for span in collecting.plan(trial, store, endpoint, now=NOW):
        pulled = collecting.pull_days(trial, endpoint, span, now=NOW)
        for day in span:
            collecting.compute_day(trial, endpoint, day, pulled.usage[day], now=NOW)
    return store


def test_a_whole_collection_has_the_same_results_either_way(tmp_path, monkeypatch):
    monkeypatch.setenv("FORTNIGHT_TEST_KEY", "k")
    everything, known = collect(tmp_path / "all", keep_raw="all"), collect(tmp_path / "known", keep_raw="known-fields")
    for table in ("invocations", "instances"):
        assert everything.table(table, "rp") == known.table(table, "rp")
    assert everything.table("invocations", "rp").num_rows == len(shared.handler_lines(days=2, gap_s=1500))
    assert [m.summary for m in everything.manifests("rp")] == [m.summary for m in known.manifests("rp")]

    def words(store):
        events = [e for day in (2, 3) for e in raw.read(store.files, endpoint="rp", day=date(2026, 11, day), source="handler-lines")]
        tables = [store.table(name, "rp").to_pylist() for name in ("invocations", "instances", "quarantine")]
        return WORDS in str([e.payload for e in events]) or WORDS in str(tables)

    assert words(everything)
    assert not words(known)
