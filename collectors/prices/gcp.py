"""Google Cloud list prices from the Cloud Billing catalogue (google-cloud-billing, the optional extra `prices`)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from collectors.google_errors import mapped
from collectors.prices.offer import NoOffer, Offer, Wanted
from trial.errors import ConfigError
from trial.meter import Meter

VIA = "gcp-catalogue"
# usage_unit is UCUM: "GiBy.s" is a GiB for a second; the book's unit names the GiB itself.
_UNITS = {"s": "s", "h": "h", "GiBy.s": "s", "GiBy.h": "h", "count": "request"}


def client(api_endpoint: str | None = None) -> Any:
    """
    The catalogue client, with application-default credentials; with `api_endpoint` ("http://127.0.0.1:8085") plain gRPC to there.

    Raises:
        ConfigError: google-cloud-billing is not installed.
    """
    try:
        from google.cloud import billing_v1
    except ImportError as exc:
        raise ConfigError("google-cloud-billing is not installed", where="prices refresh", do="pip install 'fortnight[prices]'") from exc
    if api_endpoint is None:
        return billing_v1.CloudCatalogClient()
    import grpc
    from google.cloud.billing_v1.services.cloud_catalog.transports import CloudCatalogGrpcTransport

    channel = grpc.insecure_channel(api_endpoint.partition("://")[2] or api_endpoint)
    return billing_v1.CloudCatalogClient(transport=CloudCatalogGrpcTransport(channel=channel))


def fetch(client: Any, wanted: Wanted, *, meter: Meter) -> Iterator[Offer | NoOffer]:
    """
    One result per wanted rate; each service's SKUs are read once.

    A rate's pattern must match exactly one SKU's description in the row's region.

    Args:
        client: billing_v1.CloudCatalogClient, or what `list_skus` of one answers.

    Raises:
        Denied, NotFound, Throttled, Unreachable, SourceError.
    """
    mine = {row: refresh for row, refresh in wanted.items() if refresh.get("via") == VIA}
    for service in sorted({str(refresh["service"]) for refresh in mine.values()}):
        skus = list(_skus(client, service, meter))
        for row, refresh in mine.items():
            if refresh["service"] == service:
                for rate, pattern in refresh.get("rates", {}).items():
                    yield _one(row, rate, [s for s in skus if _fits(s, str(pattern), str(refresh["region"]))])


def _skus(client: Any, service: str, meter: Meter) -> Iterator[Any]:
    where = f"Cloud Billing catalogue, service {service}"
    with mapped(
        where=where, grant="Enable the Cloud Billing API and sign in", find="Check the service id in the row's `refresh` in the price book"
    ):
        pages = client.list_skus(parent=f"services/{service}")
        meter.calls += 1
        yield from pages


def _fits(sku: Any, pattern: str, region: str) -> bool:
    return region in sku.service_regions and re.search(pattern, sku.description, re.IGNORECASE) is not None


def _one(row: str, rate: str, skus: list[Any]) -> Offer | NoOffer:
    if len(skus) != 1:
        seen = f"{len(skus)} SKUs match: {'; '.join(s.description for s in skus[:3])}" if skus else "no SKU matches"
        return NoOffer(row=row, rate=rate, reason=f"{seen}; look at its `refresh` pattern")
    sku = skus[0]
    if not sku.pricing_info:
        return NoOffer(row=row, rate=rate, reason=f"{sku.description} ({sku.sku_id}) has no price")
    # The list is in order of time; the last entry is the price in force.
    info = sku.pricing_info[-1]
    expression = info.pricing_expression
    per = _UNITS.get(expression.usage_unit)
    if per is None:
        return NoOffer(row=row, rate=rate, reason=f"priced per {expression.usage_unit!r}, a unit the book does not know")
    # A first tier at 0 is the free tier, which the book keeps apart.
    amounts = tuple(
        (Decimal(str(tier.start_usage_amount)), usd) for tier in expression.tiered_rates if (usd := _usd(tier.unit_price)) is not None
    )
    if not amounts:
        return NoOffer(row=row, rate=rate, reason=f"{sku.description} ({sku.sku_id}) is free, or not priced in USD")
    published = info.effective_time.date() if info.effective_time else None
    first = amounts[0][0]
    amounts = tuple((begin - first, usd) for begin, usd in amounts)
    return Offer(row=row, rate=rate, per=per, amounts=amounts, said=f"{sku.description} ({sku.sku_id})", published=published)


def _usd(money: Any) -> Decimal | None:
    if money.currency_code not in ("USD", ""):
        return None
    usd = Decimal(money.units) + Decimal(money.nanos).scaleb(-9)
    return usd if usd > 0 else None
