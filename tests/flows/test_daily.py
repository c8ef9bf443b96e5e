"""The flows through a real Prefect server: what is collected, twice, late, and when something is wrong."""

import importlib.util
import json
import random
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from trial import config, pulls, registration
from trial.store import Store

NOW = datetime(2026, 11, 6, 4, tzinfo=UTC)

# Test folders are no packages: the conftest's plain functions are reached through its file.
_spec = importlib.util.spec_from_file_location("flows_conftest", Path(__file__).with_name("conftest.py"))
shared = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(shared)

pytestmark = pytest.mark.usefixtures("prefect_api")


def collect(folder, **kwargs):
    from flows.daily import collect_missing

    return collect_missing(str(folder / "trial.toml"), **{"now": NOW, "publish": False, **kwargs})


def store_of(folder):
    return Store.at(config.load(folder / "trial.toml").store_url)


def summaries(folder):
    return [m.summary for m in store_of(folder).manifests("rp")]


def test_three_days_are_collected_and_every_line_is_accounted_for(trial_folder):
    assert collect(trial_folder) == []
    lines = [json.loads(line) for line in (trial_folder / "lines" / "a.jsonl").read_text().splitlines()]
    days = summaries(trial_folder)
    assert [s.day for s in days] == [date(2026, 11, 2), date(2026, 11, 3), date(2026, 11, 4)]
    assert sum(s.requests for s in days) == len(lines)
    assert sum(s.cold_hits for s in days) == sum(line["cold_start"] for line in lines)
    assert sum(s.ledger_totals()["read"] for s in days) == len(lines)


def test_again_on_the_same_input_leaves_every_byte(trial_folder, snapshot):
    def stored():
        files = snapshot(trial_folder / "fortnight-data")
        return {name: data for name, data in files.items() if not name.startswith("pulls/")}

    collect(trial_folder)
    before, pulled = stored(), len(pulls.read(store_of(trial_folder).files, endpoint="rp"))
    collect(trial_folder)
    assert stored() == before
    assert len(pulls.read(store_of(trial_folder).files, endpoint="rp")) == 2 * pulled > 0, "a pull is counted each time it is made"


def test_late_and_duplicate_lines_end_in_the_same_days_as_lines_in_time(trial_folder, snapshot, tmp_path_factory):
    lines = shared.handler_lines(days=3)
    rng = random.Random(5)
    late = set(rng.sample(range(len(lines)), len(lines) // 5))
    shared.write_lines(trial_folder / "lines" / "a.jsonl", [line for i, line in enumerate(lines) if i not in late])
    collect(trial_folder)
    extra = [lines[i] for i in late] + rng.sample(lines, 20)
    rng.shuffle(extra)
    shared.write_lines(trial_folder / "lines" / "b.jsonl", extra)
    collect(trial_folder, now=NOW)
    collect(trial_folder, now=NOW, days=[date(2026, 11, 2), date(2026, 11, 3), date(2026, 11, 4)])

    in_time = tmp_path_factory.mktemp("in-time")
    (in_time / "trial.toml").write_text(shared.TOML.format(days=3))
    shared.write_lines(in_time / "lines" / "a.jsonl", lines)
    collect(in_time)
    assert snapshot(trial_folder / "fortnight-data" / "invocations") == snapshot(in_time / "fortnight-data" / "invocations")
    duplicates = [s.ledger_totals()["duplicate"] for s in summaries(trial_folder)]
    # Twenty lines came a second time, less those that were among the late ones and so only came once before.
    assert sum(duplicates) == len(lines) - len(late) + len(extra) - len(lines)
    assert sum(s.requests for s in summaries(trial_folder)) == len(lines)


def test_a_collection_logs_to_mlflow_and_refreshes_the_report(trial_folder, snapshot):
    from mlflow import MlflowClient

    data = trial_folder / "fortnight-data"

    def published():
        """All but what says how often the days were pulled."""
        found = {k: v for k, v in snapshot(data).items() if "mlflow" not in k and not k.startswith("pulls/") and not k.endswith(".html")}
        reports = {k: json.loads(v) for k, v in found.items() if k.endswith("report.json")}
        assert all(report["extras"].pop("tracker") for report in reports.values()) and reports
        return {**found, **reports}

    assert collect(trial_folder, publish=True) == []
    before = published()
    assert "rp" in (data / "report" / "report.html").read_text()
    client = MlflowClient(config.load(trial_folder / "trial.toml").tracking_uri)
    (experiment,) = [e for e in client.search_experiments() if e.name != "Default"]
    (run,) = client.search_runs([experiment.experiment_id], "tags.`kind` = 'endpoint'")
    history = client.get_metric_history(run.info.run_id, "requests")
    assert [(m.step, m.value) for m in history] == [(n, s.requests) for n, s in enumerate(summaries(trial_folder), start=1)]
    collect(trial_folder, publish=True)
    assert published() == before
    assert client.get_metric_history(run.info.run_id, "requests") == history


def test_only_due_days_are_read_again(trial_folder):
    collect(trial_folder)
    from flows import collecting

    trial = config.load(trial_folder / "trial.toml")
    assert collecting.plan(trial, store_of(trial_folder), trial.endpoints[0], now=NOW) == [(date(2026, 11, 4),)]
    later = NOW + timedelta(days=5)
    assert collecting.plan(trial, store_of(trial_folder), trial.endpoints[0], now=later) == []


def test_one_endpoint_that_fails_stops_no_other_and_is_told_once(trial_folder, caplog):
    text = (trial_folder / "trial.toml").read_text()
    (trial_folder / "trial.toml").write_text(
        text + '\n[[endpoints]]\nname = "dark"\nplatform = "runpod"\nendpoint_id = "y"\napi_key_env = "FORTNIGHT_NO_SUCH_KEY"\n'
    )
    failures = collect(trial_folder)
    assert failures == [
        "dark: endpoint dark: the environment variable FORTNIGHT_NO_SUCH_KEY is not set. Run `export FORTNIGHT_NO_SUCH_KEY=...` with its key"
    ]
    assert len(summaries(trial_folder)) == 3
    told = (trial_folder / "fortnight-data" / "told.json").read_text()
    collect(trial_folder)
    assert (trial_folder / "fortnight-data" / "told.json").read_text() == told


def test_the_settings_are_registered_and_a_change_is_kept(trial_folder):
    collect(trial_folder)
    text = (trial_folder / "trial.toml").read_text()
    (trial_folder / "trial.toml").write_text(text.replace('timezone = "UTC"', 'timezone = "UTC"\ncold_hit_threshold = 0.5'))
    collect(trial_folder)
    changes = registration.read(store_of(trial_folder).files).changes
    assert [(c["key"], c["from"], c["to"]) for c in changes] == [("trial.cold_hit_threshold", "0.2", "0.5")]


def test_passing_the_threshold_leaves_an_artifact_and_an_event_once(trial_folder):
    """Requests every 400 s against an idle time-out of 600 s: about a fifth are cold, so the lines are made colder."""
    shared.write_lines(trial_folder / "lines" / "a.jsonl", shared.handler_lines(days=3, gap_s=900))
    from flows import telling

    collect(trial_folder)
    trial = config.load(trial_folder / "trial.toml")
    told = json.loads((trial_folder / "fortnight-data" / "told.json").read_text())
    assert told == ["rp/passed/2026-11-02"]
    assert telling.tell(trial, store_of(trial_folder), failures=[], now=NOW) == []
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        response = client._client.post("/artifacts/filter", json={"artifacts": {"key": {"any_": ["try-rp-fortnight-threshold-passed"]}}})
    assert "passed 20%" in response.json()[0]["description"]


def test_a_transient_failure_is_tried_again_and_a_denial_is_not():
    from flows.daily import only_transient
    from trial.errors import Denied, Throttled

    class State:
        def __init__(self, error):
            self.error = error

        def result(self):
            raise self.error

    assert only_transient(None, None, State(Throttled("slow")))
    assert not only_transient(None, None, State(Denied("no")))


def test_a_cron_deployment_produces_scheduled_runs(trial_folder):
    """The newest SQLAlchemy makes the scheduler create none, silently: only a run of it shows that."""
    import asyncio

    from prefect.client.orchestration import get_client
    from prefect.server.database import provide_database_interface  # noqa: F401 - proves the server's own stack imports

    from flows.commands.serve import deployments

    ids = [deployment.apply() for deployment in deployments(trial_folder / "trial.toml")]

    async def schedule():
        async with get_client() as client:
            for deployment_id in ids:
                response = await client._client.post(f"/deployments/{deployment_id}/schedule", json={"min_runs": 2})
                response.raise_for_status()
            return await client.read_flow_runs()

    runs = asyncio.run(schedule())
    names = {run.state.name for run in runs if run.deployment_id in ids}
    assert names == {"Scheduled"}
