"""Every case of the Cloud Run logs as a row of data."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from zoneinfo import ZoneInfo

import pytest

from collectors import cloud_run
from trial.calendar import Calendar
from trial.config import CloudRunEndpoint, ExportEndpoint

CALENDAR = Calendar(start=date(2026, 11, 2), days=14, zone=ZoneInfo("UTC"))


@pytest.mark.samples("cloud-run")
def test_samples(sample, check_sample):
    check_sample(sample, collector=cloud_run, endpoint=CloudRunEndpoint(**sample.endpoint), calendar=CALENDAR)


@pytest.mark.samples("cloud-run")
def test_an_export_is_judged_alike(sample, check_sample):
    if sample.name == "others_in_the_project":
        # An export endpoint names no service to tell others by.
        sample = replace(sample, outcomes=["request", "request", *sample.outcomes[2:]])
    kept = {k: v for k, v in sample.endpoint.items() if k not in ("platform", "project", "service", "region")}
    endpoint = ExportEndpoint(platform="export", format="cloud-run", path="*.json", **kept)
    check_sample(sample, collector=cloud_run, endpoint=endpoint, calendar=CALENDAR)
