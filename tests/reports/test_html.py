from __future__ import annotations

import itertools
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from reports.extras import ReportExtras
from reports.figures import draw_all
from reports.html import render, write_report
from trial.config import Trial
from trial.results import Flag, TrialResult

VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
HOSTILE = "<script>alert('model')</script>"


class Page(HTMLParser):
    """Collects what a browser would act on, and notes tags that do not nest."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.faults: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(text)
        self.close()
        self.faults += [f"never closed: {tag}" for tag in self.open]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.faults.append(f"</{tag}> closes nothing")

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]


@pytest.fixture(scope="module")
def page(result: TrialResult, config: Trial, extras: ReportExtras) -> str:
    return render(result, config=config, extras=extras, figures=draw_all(result, config=config, extras=extras))


def test_tags_nest_and_ids_are_unique(page: str) -> None:
    parsed = Page(page)
    ids = [attrs["id"] for _, attrs in parsed.tags if "id" in attrs]
    assert parsed.faults == []
    assert sorted(ids) == sorted(set(ids))


def test_every_reference_inside_the_page_exists(page: str) -> None:
    parsed = Page(page)
    ids = {attrs["id"] for _, attrs in parsed.tags if "id" in attrs}
    named = {value[1:] for _, attrs in parsed.tags for key in ("href", "xlink:href") if (value := attrs.get(key) or "").startswith("#")}
    labels = {part for _, attrs in parsed.tags for part in (attrs.get("aria-labelledby") or "").split()}
    drawn = set(re.findall(r"url\(#([^)]+)\)", page))
    assert named and labels and drawn
    assert (named | labels | drawn) - ids == set()


def test_the_page_asks_the_network_for_nothing(page: str) -> None:
    parsed = Page(page)
    for tag, attrs in parsed.tags:
        for key in ("src", "href", "xlink:href", "srcset", "action", "data", "poster"):
            assert (attrs.get(key) or "#").startswith(("#", "data:")), f"<{tag} {key}={attrs[key]}>"
    assert not parsed.all("script") and not parsed.all("iframe") and not parsed.all("object")
    assert "@import" not in page and not re.search(r"url\((?!#)", page)


def test_what_comes_from_logs_is_shown_and_not_run(page: str) -> None:
    assert HOSTILE not in page
    assert "&lt;script&gt;alert(&#39;model&#39;)&lt;/script&gt;" in page
    assert HOSTILE in "".join(Page(page).text)
    assert "truncated JSON <b>" in "".join(Page(page).text)


def test_hostile_reasons_flags_and_settings_are_escaped_in_page_and_drawings(result: TrialResult, config: Trial) -> None:
    first = result.endpoints[0]
    attack = '"><img src=x onerror=alert(1)> $x_1$ \\'
    endpoint = replace(
        first,
        verdict=replace(first.verdict, reasons=(attack,), flags=(Flag(code=attack, detail=attack),)),
        whatifs=tuple(replace(w, name=f"{attack} {i}") for i, w in enumerate(first.whatifs)),
        cheapest=replace(first.whatifs[0], name=attack),
    )
    hostile = replace(result, trial=attack, endpoints=(endpoint,))
    extras = ReportExtras(
        prices={attack: {attack: attack}},
        versions={attack: attack},
        validation=[{"endpoint": attack, "day": attack, "suite": attack, "success": False, "failures": [attack]}],
    )
    text = render(hostile, config=config, extras=extras, figures=draw_all(hostile, config=config, extras=extras))
    parsed = Page(text)
    assert "<img" not in text
    assert parsed.faults == []
    assert "".join(parsed.text).count(attack) >= 8


def test_the_same_input_gives_the_same_bytes(result: TrialResult, config: Trial, extras: ReportExtras, tmp_path: Path) -> None:
    first = write_report(result, config=config, out=tmp_path / "a", extras=extras, pdf=False)
    second = write_report(result, config=config, out=tmp_path / "b", extras=extras, pdf=False)
    assert first.html.read_bytes() == second.html.read_bytes()
    assert first.json.read_bytes() == second.json.read_bytes()
    assert [f.read_bytes() for f in first.figures] == [f.read_bytes() for f in second.figures]
    assert len(first.figures) == 7
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == ["figures", "report.html", "report.json"]


def test_it_stays_far_under_three_megabytes(page: str) -> None:
    assert len(page.encode()) < 1_000_000


def test_the_first_screen_answers(page: str) -> None:
    first = page[page.index("<main") : page.index("<nav")]
    text = re.sub(r"\s+", " ", "".join(Page(first).text).replace("\u00a0", " "))
    for answer in (
        "Evaluate dedicated endpoints for summariser-run.",
        "Stay serverless on summariser-fn.",
        "summariser-runpod is not decided.",
        "Of all settings replayed, “min workers 1” on summariser-fn is the cheapest",
        "the verdict is to stay as it is, but what meets the SLO at the lowest cost is another serverless setting",
        "the registered rule alone says “evaluate dedicated”",
        "decided after 14 days. The whole interval lies above the threshold, and callers notice.",
        "g4dn.xlarge becomes cheaper than summariser-run above 875 requests a day",
        "serverless would have to cost",
        "Flagged: residual and trend.",
    ):
        assert answer in text


def test_every_section_of_the_report_has_its_place(page: str) -> None:
    ids = {attrs.get("id") for attrs in Page(page).all("section")}
    assert ids == {
        "verdict",
        "cold-hits",
        "latency",
        "gpu",
        "cost",
        "what-if",
        "bursts",
        "predictability",
        "dimensions",
        "scenario",
        "evidence",
    }
    text = "".join(Page(page).text)
    for name in ("Cost per inference", "Cold-start overhead", "Concurrency handling", "Operational complexity", "Predictability"):
        assert name in text
    for table in (
        "Line ledger",
        "Completeness",
        "Quarantined rows",
        "Prices",
        "Registered settings",
        "Changes after the start",
        "Versions",
        "Hashes",
    ):
        assert table in text
    assert "Measured beside planted" in text


def test_the_what_if_names_its_slo_and_bursts_say_how_long_they_hurt(result: TrialResult, config: Trial, extras: ReportExtras) -> None:
    noted = replace(result, endpoints=tuple(replace(e, notes=("idle time-out 640 s", "do not trust")) for e in result.endpoints))
    page = render(noted, config=config, extras=extras, figures={})
    text = re.sub(r"\s+", " ", "".join(Page(page).text).replace("\u00a0", " "))
    assert "a setting meets it when at most 1 % of callers take longer" in text
    assert "Idle time-out 640 s. Do not trust." in text
    assert "Concurrency in the log" in text and "41.3 s" in text and "Most workers started in a minute" in text


def test_a_running_trial_says_so(running: TrialResult, config: Trial, extras: ReportExtras) -> None:
    text = render(running, config=config, extras=extras, figures=draw_all(running, config=config, extras=extras))
    assert "Day 6 of 14: the trial is still running" in text
    assert "is not decided yet." in text


def test_absent_parts_are_said(empty: TrialResult, config: Trial) -> None:
    extras = ReportExtras()
    figures = draw_all(empty, config=config, extras=extras)
    text = "".join(Page(render(empty, config=config, extras=extras, figures=figures)).text)
    assert figures == {}
    for sentence in (
        "No complete day has been collected yet",
        "No latency was logged",
        "No endpoint has a price",
        "No break-even was computed",
        "No settings were replayed",
        "Not recorded for this report.",
        "nothing registered yet",
    ):
        assert sentence in text
    assert "NaN" not in text and "None" not in text and "nan" not in text.split()


def test_found_none_differs_from_nobody_looked(result: TrialResult, config: Trial) -> None:
    looked = ReportExtras(bursts=[], quarantine=[], validation=[])
    text = render(result, config=config, extras=looked, figures={})
    assert "No bursts were found." in text and "Nothing was quarantined." in text
    assert "No bursts were found." not in render(result, config=config, extras=ReportExtras(), figures={})


def test_headings_descend_and_tables_have_heads(page: str) -> None:
    parsed = Page(page)
    levels = [int(tag[1]) for tag, _ in parsed.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    assert len(parsed.all("caption")) == len(parsed.all("table"))
    assert all("scope" in attrs for attrs in parsed.all("th"))
