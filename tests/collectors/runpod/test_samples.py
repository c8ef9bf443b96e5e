from __future__ import annotations

from datetime import date
from zoneinfo import ZoneInfo

import pytest

from collectors import runpod
from trial.calendar import Calendar
from trial.config import RunpodEndpoint

CALENDAR = Calendar(start=date(2026, 11, 2), days=14, zone=ZoneInfo("UTC"))


@pytest.mark.samples("runpod")
def test_samples(sample, check_sample):
    check_sample(sample, collector=runpod, endpoint=RunpodEndpoint(**sample.endpoint), calendar=CALENDAR)
