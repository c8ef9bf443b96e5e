"""A Prefect server on PostgreSQL, as a team runs it: each collection, wherever it runs, is a run of the one server."""

import os
import subprocess
import sys
import time

import httpx
import pytest

pytestmark = pytest.mark.timeout(280)


@pytest.fixture
def server(postgres, free_port, tmp_path):
    """The API's address and the database behind it."""
    database, port = postgres("prefect"), free_port()
    environment = {
        **{k: v for k, v in os.environ.items() if not k.startswith("PREFECT_")},
        "PREFECT_HOME": str(tmp_path / "server"),
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": f"postgresql+asyncpg://{database}",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    }
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port), "--no-ui"]
    with (tmp_path / "server.log").open("w") as log:
        started = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    api = f"http://127.0.0.1:{port}/api"
    try:
        for _ in range(240):
            assert started.poll() is None, (tmp_path / "server.log").read_text()[-2000:]
            try:
                httpx.get(f"{api}/health").raise_for_status()
                break
            except httpx.HTTPError:
                time.sleep(0.5)
        yield api, database
    finally:
        started.terminate()
        started.wait(30)


def test_collections_of_two_machines_are_runs_of_one_server(server, trial_folder, tmp_path):
    import psycopg2

    api, database = server
    # The bill's API is dead in this trial: that is said, and the lines are collected all the same.
    for machine in ("a", "b"):
        environment = {**os.environ, "PREFECT_API_URL": api, "PREFECT_HOME": str(tmp_path / machine)}
        command = [sys.executable, "-c", "from flows.cli import main; main()", "collect", "--no-publish", "--day", "2026-11-02"]
        done = subprocess.run(command, cwd=trial_folder, env=environment, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
    runs = httpx.post(f"{api}/flow_runs/filter", json={}).json()
    assert [(run["state_name"], run["parameters"]["days"]) for run in runs] == [("Completed", ["2026-11-02"])] * 2
    with psycopg2.connect(f"postgresql://{database}") as connection, connection.cursor() as cursor:
        cursor.execute("select split_part(name, ' ', 1), count(*) from task_run group by 1 order by 1")
        tasks = dict(cursor.fetchall())
        cursor.execute("select count(*) from flow_run")
        assert cursor.fetchone() == (2,)
    connection.close()
    assert {"pull": tasks.get("pull"), "compute": tasks.get("compute")} == {"pull": 2, "compute": 2}
    assert not list(tmp_path.glob("[ab]/prefect.db"))
