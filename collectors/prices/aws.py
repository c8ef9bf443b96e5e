"""AWS list prices from the Price List Query API (boto3 `pricing`, IAM action pricing:GetProducts)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any

from collectors.aws_errors import mapped
from collectors.prices.offer import NoOffer, Offer, Wanted
from trial.errors import Malformed
from trial.meter import Meter

VIA = "aws-pricing"
# The API answers in three regions only, whatever region the prices are for.
REGION = "us-east-1"
_UNITS = {
    "hrs": "h",
    "hours": "h",
    "hour": "h",
    "lambda-gb-second": "s",
    "gb-second": "s",
    "gb-seconds": "s",
    "second": "s",
    "seconds": "s",
    "requests": "request",
    "request": "request",
}


def fetch(client: Any, wanted: Wanted, *, meter: Meter) -> Iterator[Offer | NoOffer]:
    """
    One result per wanted rate.

    A rate's filters must lead to exactly one product with a price above 0: the catalogue also lists capacity blocks at $0 and
    the same type for training and notebooks, and the first match would be a guess.

    Args:
        client: boto3.client("pricing", region_name=REGION).

    Raises:
        Denied, Throttled, Unreachable, SourceError. Malformed: an entry of PriceList is not what the API documents.
    """
    for row, refresh in wanted.items():
        if refresh.get("via") != VIA:
            continue
        for rate, own in refresh.get("rates", {}).items():
            filters = {**refresh.get("filters", {}), **own}
            yield _one(row, rate, list(_products(client, refresh["service"], filters, meter)))


def _products(client: Any, service: str, filters: Mapping[str, str], meter: Meter) -> Iterator[Mapping[str, Any]]:
    where = f"AWS price list, {service}"
    terms = [{"Type": "TERM_MATCH", "Field": field, "Value": value} for field, value in sorted(filters.items())]
    token: str | None = None
    while True:
        meter.calls += 1
        page = {"NextToken": token} if token else {}
        with mapped(where=where, grant="Grant pricing:GetProducts", find="Check the row's `refresh` in the price book"):
            answer = client.get_products(ServiceCode=service, Filters=terms, FormatVersion="aws_v1", **page)
        for text in answer.get("PriceList", []):
            meter.bytes += len(text)
            try:
                product = json.loads(text)
            except ValueError as exc:
                raise Malformed("an entry of PriceList is not JSON", where=where) from exc
            yield product
        token = answer.get("NextToken")
        if not token:
            return


def _one(row: str, rate: str, products: list[Mapping[str, Any]]) -> Offer | NoOffer:
    priced = [p for p in (_dimensions(product) for product in products) if p]
    if len(priced) != 1:
        seen = f"{len(priced)} products with a price match" if products else "no product matches"
        return NoOffer(row=row, rate=rate, reason=f"{seen}; look at its `refresh` filters")
    units = {unit for unit, _, _, _ in priced[0]}
    per = _UNITS.get(next(iter(units)).lower()) if len(units) == 1 else None
    if per is None:
        return NoOffer(row=row, rate=rate, reason=f"priced per {', '.join(sorted(units))}, a unit the book does not know")
    amounts = tuple(sorted((begin, usd) for _, begin, usd, _ in priced[0]))
    return Offer(row=row, rate=rate, per=per, amounts=amounts, said=priced[0][0][3], published=_published(products[0]))


def _dimensions(product: Mapping[str, Any]) -> list[tuple[str, Decimal, Decimal, str]]:
    """(unit, from quantity, USD, description) of a product's on-demand prices above 0."""
    found = []
    try:
        for term in product["terms"].get("OnDemand", {}).values():
            for item in term["priceDimensions"].values():
                usd = Decimal(item["pricePerUnit"].get("USD", "0"))
                if usd > 0:
                    found.append((item["unit"], Decimal(item.get("beginRange", "0")), usd, item.get("description", "")))
    except (KeyError, TypeError, AttributeError, InvalidOperation) as exc:
        raise Malformed("an entry of PriceList lacks terms.OnDemand.*.priceDimensions", where="AWS price list") from exc
    return found


def _published(product: Mapping[str, Any]) -> date | None:
    text = str(product.get("publicationDate", ""))[:10]
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None
