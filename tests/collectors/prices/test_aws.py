"""AWS list prices through boto3 itself, with recorded answers."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal

import boto3
import pytest
from botocore.stub import Stubber

from collectors.prices import aws
from collectors.prices.offer import NoOffer, Offer
from trial.errors import Denied, Malformed, Throttled
from trial.meter import Meter

G5 = {
    "sagemaker-ml.g5.xlarge": {
        "via": "aws-pricing",
        "service": "AmazonSageMaker",
        "filters": {"regionCode": "us-east-1", "component": "Hosting"},
        "rates": {"instance": {"instanceName": "ml.g5.xlarge"}},
    }
}
LAMBDA = {
    "aws-lambda-x86": {
        "via": "aws-pricing",
        "service": "AWSLambda",
        "filters": {"regionCode": "us-east-1"},
        "rates": {"duration": {"group": "AWS-Lambda-Duration"}},
    }
}


def product(*dimensions: tuple[str, str, str, str]) -> str:
    prices = {
        f"SKU.JRTCKXETXF.{i}": {"unit": unit, "beginRange": begin, "endRange": "Inf", "description": said, "pricePerUnit": {"USD": usd}}
        for i, (unit, begin, usd, said) in enumerate(dimensions)
    }
    return json.dumps(
        {
            "product": {"productFamily": "ML Instance", "attributes": {"regionCode": "us-east-1"}, "sku": "SKU"},
            "serviceCode": "AmazonSageMaker",
            "terms": {"OnDemand": {"SKU.JRTCKXETXF": {"priceDimensions": prices, "sku": "SKU"}}},
            "version": "20261120",
            "publicationDate": "2026-11-20T17:02:03Z",
        }
    )


HOSTING = product(("Hrs", "0", "1.4080000000", "$1.408 per Hosting ml.g5.xlarge hour in US East (N. Virginia)"))
FREE = product(("Hrs", "0", "0.0000000000", "$0.00 per capacity block"))


@pytest.fixture
def client():
    made = boto3.client("pricing", region_name=aws.REGION, aws_access_key_id="x", aws_secret_access_key="x")
    yield made
    made.close()


def fetch(client, wanted, *answers, expected=None):
    stubber = Stubber(client)
    for answer in answers:
        stubber.add_response("get_products", answer, expected)
    with stubber:
        found = list(aws.fetch(client, wanted, meter=Meter()))
    stubber.assert_no_pending_responses()
    return found


def test_a_hosting_price_by_its_filters(client):
    expected = {
        "ServiceCode": "AmazonSageMaker",
        "FormatVersion": "aws_v1",
        "Filters": [
            {"Type": "TERM_MATCH", "Field": "component", "Value": "Hosting"},
            {"Type": "TERM_MATCH", "Field": "instanceName", "Value": "ml.g5.xlarge"},
            {"Type": "TERM_MATCH", "Field": "regionCode", "Value": "us-east-1"},
        ],
    }
    (offer,) = fetch(client, G5, {"PriceList": [HOSTING]}, expected=expected)
    assert offer == Offer(
        row="sagemaker-ml.g5.xlarge",
        rate="instance",
        per="h",
        amounts=((Decimal(0), Decimal("1.4080000000")),),
        said="$1.408 per Hosting ml.g5.xlarge hour in US East (N. Virginia)",
        published=date(2026, 11, 20),
    )


def test_pages_are_followed_and_free_blocks_passed_over(client):
    meter = Meter()
    stubber = Stubber(client)
    stubber.add_response("get_products", {"PriceList": [FREE], "NextToken": "more"})
    stubber.add_response("get_products", {"PriceList": [HOSTING]})
    with stubber:
        (offer,) = aws.fetch(client, G5, meter=meter)
    assert isinstance(offer, Offer)
    assert (meter.calls, meter.bytes) == (2, len(FREE) + len(HOSTING))


def test_tiers_come_in_order(client):
    tiers = product(
        ("Lambda-GB-Second", "15000000000", "0.0000133334", "tier 3"),
        ("Lambda-GB-Second", "0", "0.0000166667", "tier 1"),
        ("Lambda-GB-Second", "6000000000", "0.0000150000", "tier 2"),
    )
    (offer,) = fetch(client, LAMBDA, {"PriceList": [tiers]})
    assert offer.per == "s"
    assert [str(begin) for begin, _ in offer.amounts] == ["0", "6000000000", "15000000000"]


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ([], "no product matches"),
        ([HOSTING, HOSTING], "2 products with a price match"),
        ([FREE], "0 products with a price match"),
        ([product(("Fortnights", "0", "1", "x"))], "priced per Fortnights"),
        ([product(("Hrs", "0", "1", "x"), ("Requests", "0", "1", "x"))], "priced per Hrs, Requests"),
    ],
)
def test_no_single_price_is_no_offer(client, answer, says):
    (found,) = fetch(client, G5, {"PriceList": answer})
    assert isinstance(found, NoOffer)
    assert says in found.reason


@pytest.mark.parametrize("entry", ["{", '{"terms": 3}', "[]", '{"terms": {"OnDemand": {"a": {}}}}'])
def test_an_entry_that_is_not_as_documented_is_malformed(client, entry):
    with pytest.raises(Malformed):
        fetch(client, G5, {"PriceList": [entry]})


@pytest.mark.parametrize(("code", "error"), [("AccessDeniedException", Denied), ("ThrottlingException", Throttled)])
def test_errors_are_our_own(client, code, error):
    stubber = Stubber(client)
    stubber.add_client_error("get_products", service_error_code=code, http_status_code=400)
    with stubber, pytest.raises(error, match="AWS price list, AmazonSageMaker"):
        list(aws.fetch(client, G5, meter=Meter()))


def test_other_sources_rows_are_left_to_them(client):
    assert fetch(client, {"runpod-flex-4090": {"via": "runpod-catalogue", "gpus": ["NVIDIA GeForce RTX 4090"]}}) == []
