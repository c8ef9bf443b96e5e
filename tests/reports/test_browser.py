"""The report and MLflow's pages as a person meets them: in a real Chromium, offline."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from reports.extras import ReportExtras
from reports.html import write_report
from reports.mlflow_urls import compare_url, experiment_url, metric_url, run_url
from reports.tracking import TrackingSummary, log_trial
from trial.config import Trial
from trial.results import TrialResult

pytestmark = pytest.mark.timeout(280)
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-default-apps",
    "--metrics-recording-only",
]


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def report(result: TrialResult, config: Trial, extras: ReportExtras, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(result, config=config, out=tmp_path_factory.mktemp("report"), extras=extras, pdf=False).html


@pytest.fixture(params=["light", "dark"])
def opened(browser, report: Path, request: pytest.FixtureRequest) -> Iterator:
    context = browser.new_context(color_scheme=request.param, viewport={"width": 1280, "height": 900}, offline=True)
    page = context.new_page()
    page.asked = []
    page.complaints = []
    page.on("request", lambda r: page.asked.append(r.url))
    page.on("console", lambda m: page.complaints.append(m.text))
    page.on("pageerror", lambda e: page.complaints.append(str(e)))
    page.goto(report.as_uri())
    page.scheme = request.param
    yield page
    context.close()


def test_it_opens_offline_asking_for_nothing_but_itself(opened, report: Path, pictures: Path) -> None:
    opened.wait_for_load_state("networkidle")
    assert [url for url in opened.asked if not url.startswith("data:")] == [report.as_uri()]
    assert opened.complaints == []
    opened.screenshot(path=pictures / f"report-{opened.scheme}.png")
    assert opened.locator("h1").inner_text().startswith("Evaluate dedicated endpoints for summariser-run.")
    # The verdict, the cheapest setting, the disagreement, the certainty and what would change it begin on the first screen.
    for heading in ("Cheapest setting that meets the SLO", "Where the two disagree", "How sure, and why", "What would change it"):
        assert opened.get_by_role("heading", name=heading).bounding_box()["y"] < 900, heading


def test_axe_finds_no_serious_fault(opened) -> None:
    axe_playwright = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    for details in opened.locator("details").all():
        details.evaluate("d => d.open = true")
    # The page's own policy forbids scripts, the checker's too: it runs in a copy that lacks the policy and nothing else.
    opened.set_content(opened.content().replace("Content-Security-Policy", "x-none"))
    found = axe_playwright.Axe().run(opened)
    grave = [v for v in found.response["violations"] if v["impact"] in ("serious", "critical")]
    assert not grave, json.dumps([(v["id"], v["help"], [n["html"][:200] for n in v["nodes"][:3]]) for v in grave], indent=1)
    assert found.response["passes"]


def test_colours_turn_with_the_scheme(opened) -> None:
    def shade(css: str) -> float:
        return sum(int(part) for part in css[css.index("(") + 1 : -1].split(",")[:3]) / 3

    paper = shade(opened.evaluate("getComputedStyle(document.documentElement).backgroundColor"))
    words = shade(opened.evaluate("getComputedStyle(document.querySelector('figure svg text')).fill"))
    assert (paper > 200 and words < 130) if opened.scheme == "light" else (paper < 60 and words > 150)


def test_the_keyboard_goes_straight_to_the_verdict(opened) -> None:
    opened.keyboard.press("Tab")
    link = opened.locator("a.skip")
    assert link.evaluate("e => document.activeElement === e")
    assert link.bounding_box()["x"] >= 0, "the link is seen once it has the focus"
    opened.keyboard.press("Enter")
    assert opened.evaluate("document.activeElement.id") == "verdict"


def test_numbers_behind_a_figure_open_by_keyboard(opened) -> None:
    summary = opened.locator("#cold-hits summary")
    summary.focus()
    opened.keyboard.press("Enter")
    assert opened.locator("#cold-hits details table").is_visible()
    assert opened.locator("#cold-hits details tbody tr").count() == 42


def test_a_script_from_a_log_is_text(opened) -> None:
    assert opened.evaluate("document.scripts.length") == 0
    assert opened.get_by_text("<script>alert('model')</script>").first.is_visible()


def test_it_reads_on_a_telephone(browser, report: Path, pictures: Path) -> None:
    page = browser.new_page(viewport={"width": 390, "height": 844})
    page.goto(report.as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= 390, "only tables and drawings scroll sideways"
    page.screenshot(path=pictures / "report-telephone.png")
    page.close()


@pytest.fixture(scope="module")
def served(
    result: TrialResult, config: Trial, report: Path, tmp_path_factory: pytest.TempPathFactory, chromium: str, mlflow_server: Callable
) -> Iterator[tuple[str, TrackingSummary]]:
    """A real MLflow server with the trial logged through it."""
    folder = tmp_path_factory.mktemp("mlflow")
    with mlflow_server(folder, f"sqlite:///{folder}/mlflow.db") as base:
        yield base, log_trial(result, config=config, tracking_uri=base, artifacts=[report])


@pytest.fixture
def mlflow_page(browser, served: tuple[str, TrackingSummary]) -> Iterator:
    context = browser.new_context(viewport={"width": 1600, "height": 1000})
    page = context.new_page()
    page.set_default_timeout(60_000)
    page.outside = []
    page.on("request", lambda r: page.outside.append(r.url) if not r.url.startswith((served[0], "data:", "blob:")) else None)
    yield page
    context.close()


def test_mlflow_charts_show_the_endpoints_side_by_side(mlflow_page, served: tuple[str, TrackingSummary], pictures: Path) -> None:
    base, summary = served
    mlflow_page.goto(experiment_url(base, summary.experiment_id))
    for name in ("summariser-fn", "summariser-run", "summariser-runpod"):
        mlflow_page.get_by_role("link", name=name, exact=True).first.wait_for()
    assert mlflow_page.get_by_text("3 matching runs").is_visible()
    mlflow_page.get_by_text("cold_hit_rate_cumulative").first.wait_for()
    # plotly's own lines: one trace per endpoint in a chart that has been drawn
    chart = mlflow_page.locator(".js-plotly-plot").filter(has=mlflow_page.locator(".scatterlayer .trace:nth-child(3)")).first
    chart.wait_for()
    legend = mlflow_page.locator("body").inner_text()
    assert "summariser-run" in legend
    assert "Evaluate dedicated endpoints for summariser-run." in legend
    mlflow_page.screenshot(path=pictures / "mlflow-charts.png")
    assert mlflow_page.outside == []


def test_mlflow_compares_the_runs(mlflow_page, served: tuple[str, TrackingSummary], pictures: Path) -> None:
    base, summary = served
    mlflow_page.goto(compare_url(base, summary.experiment_id, list(summary.endpoint_runs.values())))
    mlflow_page.get_by_text("Comparing 3 Runs from 1 Experiment").wait_for()
    mlflow_page.get_by_text("Parallel Coordinates Plot").wait_for()
    for name in summary.endpoint_runs:
        mlflow_page.get_by_text(name, exact=True).first.wait_for()
    mlflow_page.screenshot(path=pictures / "mlflow-compare.png")


def test_mlflow_draws_one_metric_over_the_days(mlflow_page, served: tuple[str, TrackingSummary]) -> None:
    base, summary = served
    mlflow_page.goto(metric_url(base, summary.experiment_id, list(summary.endpoint_runs.values()), "cold_hit_rate_cumulative"))
    mlflow_page.locator(".js-plotly-plot .scatterlayer .trace").nth(2).wait_for()


def test_mlflow_draws_the_settings_as_bars(mlflow_page, served: tuple[str, TrackingSummary], pictures: Path) -> None:
    base, summary = served
    mlflow_page.goto(experiment_url(base, summary.experiment_id, kind="what-if"))
    mlflow_page.get_by_text("15 matching runs").wait_for()
    mlflow_page.get_by_role("link", name="summariser-run: min workers 1").first.wait_for()
    mlflow_page.locator(".js-plotly-plot .barlayer .trace").first.wait_for()
    mlflow_page.screenshot(path=pictures / "mlflow-what-if.png")


def test_the_report_opens_inside_mlflow(mlflow_page, served: tuple[str, TrackingSummary]) -> None:
    base, summary = served
    run = summary.endpoint_runs["summariser-run"]
    mlflow_page.goto(run_url(base, summary.experiment_id, run, artifact="report/report.html"))
    frame = mlflow_page.frame_locator("iframe").first
    frame.get_by_role("heading", level=1).wait_for()
    assert "Evaluate dedicated endpoints for summariser-run." in frame.get_by_role("heading", level=1).inner_text()
