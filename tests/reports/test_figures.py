from __future__ import annotations

import itertools
import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest

from reports.extras import ReportExtras
from reports.figures import Figure, draw_all
from reports.figures.choices import frontier, variation
from reports.figures.latency import within
from trial.config import Trial
from trial.results import TrialResult

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def figures(result: TrialResult, config: Trial, extras: ReportExtras) -> dict[str, Figure]:
    return draw_all(result, config=config, extras=extras)


def test_all_seven_are_drawn_in_reading_order(figures: dict[str, Figure]) -> None:
    assert list(figures) == ["cold-hits", "latency", "gpu-time", "cost", "break-even", "what-if", "spread"]


def test_each_is_wellformed_with_title_words_and_numbers(figures: dict[str, Figure]) -> None:
    for figure in figures.values():
        root = ET.fromstring(figure.svg)
        assert root.get("role") == "img"
        assert root.find(f"{SVG}title").text == figure.title
        assert root.find(f"{SVG}desc").text == figure.alt
        assert root.get("aria-labelledby") == f"{figure.name}-title {figure.name}-desc"
        assert len(figure.alt) > 60 and figure.data.rows
        assert figure.data.to_csv().count("\n") == 1 + len(figure.data.rows)


def test_the_inline_form_has_no_address_and_takes_the_pages_colours(figures: dict[str, Figure]) -> None:
    for figure in figures.values():
        assert "http" not in figure.inline
        bare = re.sub(r"var\(--\w+, #[0-9a-f]{6}\)", "", figure.inline)
        assert re.findall(r"#[0-9a-f]{6}\b(?!\w)", bare) == [], "a colour no page can turn"


def test_they_can_be_told_apart_without_colour(figures: dict[str, Figure]) -> None:
    assert figures["cost"].svg.count("<pattern") >= 3
    assert "stroke-dasharray" in figures["latency"].svg and "stroke-dasharray" in figures["cold-hits"].svg


def test_they_are_small(figures: dict[str, Figure]) -> None:
    assert max(len(f.svg) for f in figures.values()) < 120_000


def test_drawing_twice_gives_the_same_bytes(figures: dict[str, Figure], result: TrialResult, config: Trial, extras: ReportExtras) -> None:
    assert {n: f.svg for n, f in draw_all(result, config=config, extras=extras).items()} == {n: f.svg for n, f in figures.items()}


def test_one_endpoint_without_cost_or_gpu_time_still_draws(result: TrialResult, config: Trial) -> None:
    bare = replace(result, endpoints=(replace(result.endpoints[0], cost=None, whatifs=(), cheapest=None),), dedicated=())
    assert list(draw_all(bare, config=config, extras=ReportExtras())) == ["cold-hits", "latency", "spread"]


def test_many_endpoints_fit(result: TrialResult, config: Trial, extras: ReportExtras) -> None:
    many = tuple(replace(e, endpoint=f"{e.endpoint}-{i}") for i in range(3) for e in result.endpoints)
    drawn = draw_all(replace(result, endpoints=many), config=config, extras=extras)
    assert len(drawn["cold-hits"].data.rows) == 9 * 14


def test_frontier_keeps_what_nothing_beats(result: TrialResult) -> None:
    kept = frontier(result.endpoints[1].whatifs)
    assert [w.name for w in kept] == ["as it is", "g4dn.xlarge"]
    assert all(a.usd_per_day < b.usd_per_day and a.over_slo > b.over_slo for a, b in itertools.pairwise(kept))


def test_variation() -> None:
    assert variation([1.0]) is None and variation([0.0, 0.0]) is None
    assert variation([2.0, 2.0, 2.0]) == 0
    assert variation([1.0, 3.0]) == pytest.approx(2**0.5 / 2)


def test_share_within_a_limit(result: TrialResult) -> None:
    warm = result.endpoints[1].total.sketches["latency_ms.warm"]
    assert within(warm, 0.001) == 0
    assert within(warm, 1e9) == 1
