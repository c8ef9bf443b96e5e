"""The demo as a newcomer runs it: through the command line, to the report, and MLflow's own page in a browser."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.request import urlopen

import pytest

pytestmark = pytest.mark.timeout(400)
DAYS = 4
NAMES = ("summariser-lambda", "summariser-run", "summariser-runpod")


def command(*args):
    return [sys.executable, "-c", "from flows.cli import main; main()", *args]


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo") / "out"
    # A relative folder, as `make demo` has it.
    args = command("demo", "--days", str(DAYS), "--out", "out", "--json")
    done = subprocess.run(args, cwd=folder.parent, capture_output=True, text=True, timeout=380)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder, json.loads(done.stdout)


def test_what_is_measured_is_what_was_planted(demo):
    rows = {row["endpoint"]: row for row in demo[1]["rows"]}
    assert set(rows) == set(NAMES)
    for row in rows.values():
        for figure in ("requests", "cold_hits"):
            assert row["measured"][figure] == row["planted"][figure] > 0, row["endpoint"]
        assert row["measured"]["gpu_seconds"] == pytest.approx(row["planted"]["gpu_seconds"], abs=0.001)
    for row in rows.values():
        low, high = row["measured"]["usd_bounds"]
        assert low <= row["planted"]["usd"] <= high, row["endpoint"]
    # Lambda bills each request; Cloud Run meters instance-time; RunPod's container start is in no log (docs/cost.md).
    assert rows["summariser-lambda"]["measured"]["usd"] == pytest.approx(rows["summariser-lambda"]["planted"]["usd"], abs=0.005)
    assert rows["summariser-run"]["measured"]["usd"] == pytest.approx(rows["summariser-run"]["planted"]["usd"], rel=0.001)
    assert rows["summariser-runpod"]["measured"]["usd"] == pytest.approx(rows["summariser-runpod"]["planted"]["usd"], rel=0.15)


def test_every_endpoints_cost_is_held_against_its_bill(demo):
    """Two bills from exports, one from the API, whose container starts are in no log: the flag says so, and which phase it is."""
    _, document = demo
    report = json.loads(Path(document["report"]).with_name("report.json").read_text())
    found = {e["endpoint"]: e["reconciliation"] for e in report["endpoints"]}
    assert all(len(r["days"]) == DAYS and all(day["explained"] for day in r["days"]) for r in found.values())
    assert all(found[name]["within_tolerance"] for name in ("summariser-lambda", "summariser-run"))
    assert (found["summariser-runpod"]["within_tolerance"], found["summariser-runpod"]["culprit"]) == (False, "start")
    flags = {e["endpoint"]: [flag["code"] for flag in e["verdict"]["flags"]] for e in report["endpoints"]}
    assert [name for name in NAMES if "bill-differs" in flags[name]] == ["summariser-runpod"]


def test_the_ledger_holds_and_no_day_is_missing(demo):
    folder, _ = demo
    done = subprocess.run(command("status", "--json", "--config", str(folder / "trial.toml")), capture_output=True, text=True, timeout=60)
    for endpoint in json.loads(done.stdout)["endpoints"]:
        assert endpoint["missing"] == []
        for day in endpoint["days"]:
            ledger = day["ledger"]
            assert ledger["read"] == ledger["used"] + ledger["ignored"] + ledger["duplicate"] + ledger["rejected"] > 0


def test_the_report_is_one_file_that_asks_for_nothing(demo):
    page = Path(demo[1]["report"]).read_text()
    assert all(name in page for name in NAMES)
    assert re.findall(r"""(?:src|href)=["'](?!#|data:)""", page) == []


def test_mlflow_shows_the_endpoints_side_by_side(demo):
    chromium = next((p for p in map(shutil.which, ("chromium", "chromium-browser")) if p), None)
    if chromium is None:
        assert not os.environ.get("CI"), "CI must install Debian's chromium"
        pytest.skip("no Chromium is installed (Debian: apt-get install chromium)")
    from playwright.sync_api import sync_playwright

    from reports.mlflow_urls import experiment_url

    folder, document = demo
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen(
        command("ui", "--config", str(folder / "trial.toml"), "--port", str(port)),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        base = f"http://127.0.0.1:{port}"
        _await(base, server)
        with sync_playwright() as play:
            browser = play.chromium.launch(
                executable_path=chromium, args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
            )
            page = browser.new_page(viewport={"width": 1600, "height": 1000})
            page.set_default_timeout(60_000)
            page.goto(experiment_url(base, _experiment(document["tracking"])))
            for name in NAMES:
                page.get_by_role("link", name=name, exact=True).first.wait_for()
            page.locator(".js-plotly-plot").filter(has=page.locator(".scatterlayer .trace:nth-child(3)")).first.wait_for()
            browser.close()
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(30)


def _experiment(uri):
    code = f"from mlflow import MlflowClient; print(next(e.experiment_id for e in MlflowClient({uri!r}).search_experiments() if e.name != 'Default'))"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=90, check=True).stdout.strip()


def _await(base, server):
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        assert server.poll() is None, "the MLflow server ended"
        try:
            with urlopen(f"{base}/health", timeout=2):
                return
        except OSError:
            time.sleep(0.3)
    pytest.fail("no answer from the MLflow server")
