from __future__ import annotations

import json

import pytest

from sandbox.exports import write_export


@pytest.mark.parametrize("name", ["summariser-lambda", "summariser-run", "summariser-runpod"])
def test_every_copy_of_every_event_is_in_the_file(small_world, tmp_path, name):
    endpoint = small_world.endpoints[name]
    path = write_export(endpoint, tmp_path)
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".jsonl":
        found = text.splitlines()
    else:
        data = json.loads(text)
        found = data["events"] if isinstance(data, dict) else data
    assert len(found) == sum(e.copies for e in endpoint.events)
    assert write_export(endpoint, tmp_path).read_text(encoding="utf-8") == text


def test_twice_escaped_is_the_same_once_unescaped(small_world, tmp_path):
    endpoint = small_world.endpoints["summariser-lambda"]
    plain = json.loads(write_export(endpoint, tmp_path / "a").read_text(encoding="utf-8"))["events"]
    twice = json.loads(write_export(endpoint, tmp_path / "b", double_escaped=True).read_text(encoding="utf-8"))["events"]
    assert "\\t" in next(e["message"] for e in twice if e["message"].startswith("REPORT RequestId"))
    assert [json.loads(f'"{e["message"]}"') for e in twice] == [e["message"] for e in plain]


def test_gcloud_entries_carry_when_they_were_received(small_world, tmp_path):
    entries = json.loads(write_export(small_world.endpoints["summariser-run"], tmp_path).read_text(encoding="utf-8"))
    assert all(e["receiveTimestamp"] >= e["timestamp"] and isinstance(e["resource"], dict) for e in entries)
