from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from collectors import export
from trial.calendar import Calendar, Window
from trial.config import ExportEndpoint
from trial.meter import Meter
from trial.records import Ignored, Rejected

DAY = datetime(2026, 11, 2, tzinfo=UTC)


@pytest.fixture
def calendar() -> Calendar:
    return Calendar(start=date(2026, 11, 2), days=14, zone=ZoneInfo("UTC"))


@pytest.fixture
def read(tmp_path: Path, calendar: Calendar) -> Callable[..., Any]:
    """`read(format, {"a.json": text or bytes})` -> (events, outcomes in order, records)."""

    def run(format: str, files: dict[str, str | bytes], *, path: str = "*", window: Window | None = None, **keys: Any) -> Any:
        folder = tmp_path / "exports"
        folder.mkdir(exist_ok=True)
        for name, content in files.items():
            (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
        endpoint = ExportEndpoint(name="old", platform="export", format=format, path=f"exports/{path}", **keys)
        window = window or Window(start=DAY - timedelta(days=1), end=DAY + timedelta(days=2))
        events = list(export.fetch(export.Clients(folder=tmp_path), endpoint, window, meter=Meter()))
        ordered = sorted({e.identity: e for e in events}.values(), key=lambda e: (e.at, e.stream, e.event_id))
        outcomes = [export.parse(e, endpoint) for e in ordered]
        facts = [o for o in outcomes if not isinstance(o, (Ignored, Rejected))]
        return events, outcomes, list(export.assemble(facts, endpoint, calendar))

    return run
