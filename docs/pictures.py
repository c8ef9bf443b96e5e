"""The README's pictures, taken of a demo's own report and of MLflow's pages over its store: `make pictures`."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

HERE = Path(__file__).parent / "pictures"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def main() -> int:
    from playwright.sync_api import sync_playwright

    from reports.mlflow_urls import experiment_url
    from trial import config

    browser_path = shutil.which("chromium")
    if browser_path is None:
        print("Chromium is not installed: apt-get install chromium", file=sys.stderr)
        return 1
    demo = Path("fortnight-demo")
    if not (demo / "trial.toml").exists():
        subprocess.run([sys.executable, "-c", "from flows.cli import main; main()", "demo", "--out", str(demo)], check=True)
    trial = config.load(demo / "trial.toml")
    HERE.mkdir(exist_ok=True)
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=browser_path, args=FLAGS)
        page = browser.new_page(viewport={"width": 1200, "height": 900}, device_scale_factor=1)
        page.goto((Path(trial.store_url) / "report" / "report.html").as_uri())
        page.screenshot(path=HERE / "report.png")
        with _mlflow(trial.tracking_uri) as base:
            page.set_viewport_size({"width": 1500, "height": 900})
            page.goto(experiment_url(base, _experiment(trial.tracking_uri)))
            # The page polls, so the network is never idle: its charts say when it is there.
            page.wait_for_selector(".js-plotly-plot", timeout=90_000)
            # Its help panel takes a quarter of the page.
            panel = page.get_by_role("button", name="Close", exact=False)
            if panel.count():
                panel.last.click()
            page.wait_for_timeout(5000)
            page.screenshot(path=HERE / "mlflow.png")
        browser.close()
    for name in ("report.png", "mlflow.png"):
        _shrink(HERE / name)
    print(f"wrote {HERE}/report.png and mlflow.png")
    return 0


def _shrink(path: Path) -> None:
    """To a palette: a screen of text needs few colours, and the repository keeps every picture for ever."""
    from PIL import Image

    with Image.open(path) as picture:
        picture.convert("RGB").quantize(128, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(path, optimize=True)


def _experiment(uri: str) -> str:
    from flows import quiet

    quiet.settle()
    from mlflow import MlflowClient

    return next(e.experiment_id for e in MlflowClient(uri).search_experiments() if e.name != "Default")


class _mlflow:
    """An MLflow server on a free loopback port for as long as the block runs."""

    def __init__(self, uri: str) -> None:
        self._uri = uri

    def __enter__(self) -> str:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", self._uri, "--host", "127.0.0.1", "--port", str(port)]
        self._server = subprocess.Popen(
            [*command, "--workers", "1"], env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}, start_new_session=True
        )
        base = f"http://127.0.0.1:{port}"
        for _ in range(120):
            try:
                urllib.request.urlopen(f"{base}/health", timeout=2).close()
                return base
            except OSError:
                time.sleep(0.5)
        raise TimeoutError("MLflow did not start within a minute")

    def __exit__(self, *_exc: object) -> None:
        os.killpg(self._server.pid, 15)
        self._server.wait(timeout=20)


if __name__ == "__main__":
    sys.exit(main())
