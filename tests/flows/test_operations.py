"""What the report says of running an endpoint, from what the store knows."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from flows import collecting, operations
from trial import config, schema
from trial.errors import Denied
from trial.finding import Finding
from trial.records import Instance
from trial.store import Store
from trial.summary import DaySummary

DAY = date(2026, 11, 2)
NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)
TABLES = {
    "aws-lambda": 'platform = "aws-lambda"\nfunction = "f"\nregion = "us-east-1"\n',
    "cloud-run": 'platform = "cloud-run"\nproject = "p"\nservice = "s"\nregion = "r"\n',
    "runpod": 'platform = "runpod"\nendpoint_id = "x"\napi_key_env = "FORTNIGHT_TEST_KEY"\napi_endpoint = "http://127.0.0.1:9"\nhandler_lines = "none/*.jsonl"\n',
    "export": 'platform = "export"\nformat = "aws-lambda"\npath = "none/*.json"\n',
}


@pytest.fixture
def store_of(tmp_path):
    """`store_of(platform, [(id, start reason, minutes after noon), ...])` -> (trial, store, its endpoint, manifests)."""

    def make(platform, instances=()):
        text = f'[trial]\nname = "t"\nstart = 2026-11-02\n\n[[endpoints]]\nname = "e"\n{TABLES[platform]}'
        trial = config.parse(text, path=tmp_path / "trial.toml").model_copy(update={"folder": tmp_path})
        store = Store.at(trial.store_url)
        rows = [
            Instance(endpoint="e", id=name, started_at=at, first_seen_at=at, last_seen_at=at, start_reason=reason)
            for name, reason, minutes in instances
            for at in [NOON + timedelta(minutes=minutes)]
        ]
        with store.day_writer("e", DAY) as writer:
            writer.add("instances", schema.instances_table(rows))
            writer.commit(DaySummary(endpoint="e", platform=platform, days=(DAY,)), when=NOON)
        return trial, store, trial.endpoints[0], store.manifests("e")

    return make


@pytest.mark.parametrize(
    ("platform", "instances", "expected"),
    [
        # One rollout of two instances, another hours later; starts for callers between them.
        (
            "cloud-run",
            [("a", "deployment_rollout", 0), ("b", "deployment_rollout", 1), ("c", "autoscaling", 60), ("d", "deployment_rollout", 300)],
            2,
        ),
        ("cloud-run", [("a", "autoscaling", 0)], 0),
        ("aws-lambda", [("2026/11/02/[7]aa", "init", 0), ("2026/11/02/[7]bb", "init", 5), ("2026/11/02/f[9]cc", "init", 9)], 1),
        ("export", [("2026/11/02/[7]aa", "init", 0)], 0),
        ("aws-lambda", [("2026/11/02/[$LATEST]aa", "init", 0)], None),
        ("runpod", [("w1", None, 0)], None),
    ],
)
def test_deployments_as_the_instances_show_them(platform, instances, expected, store_of):
    _, store, endpoint, manifests = store_of(platform, instances)
    assert operations.of(store, endpoint, manifests).get("deployments") == expected


def test_pulls_that_failed_are_counted_even_where_nothing_was_called(store_of, monkeypatch):
    trial, store, endpoint, manifests = store_of("runpod")
    assert "failed_collections" not in operations.of(store, endpoint, manifests)
    monkeypatch.setenv("FORTNIGHT_TEST_KEY", "k")

    def refused(*_, **__):
        raise Denied("the key was refused")

    for _ in range(2):
        with pytest.raises(Denied):
            collecting.pull_days(trial, endpoint, (DAY,), now=NOON, open_clients=refused)
    assert operations.of(store, endpoint, manifests)["failed_collections"] == 2


def test_what_doctor_last_found_of_each_endpoint(store_of):
    _, store, endpoint, manifests = store_of("cloud-run")
    assert "doctor_warnings" not in operations.of(store, endpoint, manifests)

    def finding(name, state):
        return Finding(endpoint=name, check="c", state=state, detail="d")

    found = [finding("e", "warn"), finding("e", "ok"), finding("e", "fail"), finding("other", "warn"), finding("-", "warn")]
    operations.note_doctor(store, found, names=["e", "other"], now=NOON)
    operations.note_doctor(store, [], names=["other"], now=NOON)
    assert operations.of(store, endpoint, manifests)["doctor_warnings"] == 2
    store.files.write(operations.DOCTOR, b"{")
    assert "doctor_warnings" not in operations.of(store, endpoint, manifests)
