from __future__ import annotations

from datetime import date
from zoneinfo import ZoneInfo

import pytest

from collectors import aws_lambda
from trial.calendar import Calendar
from trial.config import AwsLambdaEndpoint

CALENDAR = Calendar(start=date(2026, 11, 2), days=14, zone=ZoneInfo("UTC"))


@pytest.mark.samples("aws-lambda")
def test_samples(sample, check_sample):
    check_sample(sample, collector=aws_lambda, endpoint=AwsLambdaEndpoint(**sample.endpoint), calendar=CALENDAR)
