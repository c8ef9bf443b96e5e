"""What several tests of analysis need."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, timedelta

import pytest

from trial.config import TrialSection
from trial.summary import DaySummary


@pytest.fixture
def trial_section() -> TrialSection:
    """A fortnight from a Monday, with every default."""
    return TrialSection(name="summariser", start=date(2026, 11, 2))


@pytest.fixture
def trial_days(trial_section: TrialSection) -> Callable[..., list[DaySummary]]:
    """Summaries of consecutive days from counts; every further keyword is one value per day, or one for all. The provider counts what was seen."""

    def build(requests: Sequence[int], cold_hits: Sequence[int], *, skip: int = 0, platform: str = "cloud-run", **more) -> list[DaySummary]:
        def of(name: str, i: int):
            return more[name][i] if isinstance(more[name], (list, tuple)) else more[name]

        def counted(i: int, n: int) -> int:
            return n + sum(of(name, i) for name in ("synthetic", "incomplete", "quarantined", "other_requests") if name in more)

        return [
            DaySummary(
                endpoint="e",
                platform=platform,
                days=(trial_section.start + timedelta(days=skip + i),),
                requests=n,
                cold_hits=c,
                **{"noticed": c, "provider_requests": counted(i, n), **{name: of(name, i) for name in more}},
            )
            for i, (n, c) in enumerate(zip(requests, cold_hits, strict=True))
        ]

    return build
