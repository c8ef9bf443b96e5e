"""Google list prices out of the catalogue's own objects, built offline."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import grpc
import pytest

from collectors.prices import gcp
from collectors.prices.offer import NoOffer, Offer
from trial.errors import Denied
from trial.meter import Meter

billing_v1 = pytest.importorskip("google.cloud.billing_v1", reason="google-cloud-billing is an optional extra")

WANTED = {
    "cloud-run-l4-no-zonal": {
        "via": "gcp-catalogue",
        "service": "152E-C115-5142",
        "region": "us-central1",
        "rates": {"instance": "L4 GPU.*without zonal redundancy", "vcpu": "^Services CPU \\(Instance-based billing\\)"},
    }
}


def sku(description: str, *tiers: tuple[float, int, int], unit: str = "s", regions=("us-central1",)):
    expression = billing_v1.types.PricingExpression(
        usage_unit=unit,
        tiered_rates=[
            {"start_usage_amount": start, "unit_price": {"currency_code": "USD", "units": units, "nanos": nanos}}
            for start, units, nanos in tiers
        ],
    )
    info = billing_v1.types.PricingInfo(effective_time=datetime(2026, 11, 1, tzinfo=UTC), pricing_expression=expression)
    return billing_v1.types.Sku(sku_id="AAAA-BBBB", description=description, service_regions=list(regions), pricing_info=[info])


L4 = sku("NVIDIA L4 GPU without zonal redundancy in us-central1", (0, 0, 186_700))
ZONAL = sku("NVIDIA L4 GPU with zonal redundancy in us-central1", (0, 0, 290_900))
CPU = sku("Services CPU (Instance-based billing) in us-central1", (0, 0, 0), (240_000, 0, 18_000))
ELSEWHERE = sku("NVIDIA L4 GPU without zonal redundancy in asia", (0, 0, 999_999), regions=("asia-southeast1",))


class Catalogue:
    """list_skus of the real client is a pager: anything that is iterated over."""

    def __init__(self, *skus):
        self._skus, self.parents = skus, []

    def list_skus(self, *, parent):
        self.parents.append(parent)
        yield from self._skus


def test_one_sku_by_description_and_region():
    catalogue = Catalogue(L4, ZONAL, CPU, ELSEWHERE)
    gpu, cpu = gcp.fetch(catalogue, WANTED, meter=Meter())
    assert catalogue.parents == ["services/152E-C115-5142"]
    assert gpu == Offer(
        row="cloud-run-l4-no-zonal",
        rate="instance",
        per="s",
        amounts=((Decimal(0), Decimal("0.0001867")),),
        said="NVIDIA L4 GPU without zonal redundancy in us-central1 (AAAA-BBBB)",
        published=date(2026, 11, 1),
    )
    assert cpu.amounts == ((Decimal(0), Decimal("0.000018")),)  # the free tier at 0 is kept apart


def test_whole_dollars_and_hours():
    wanted = {"r": {**WANTED["cloud-run-l4-no-zonal"], "rates": {"instance": "A100"}}}
    (offer,) = gcp.fetch(Catalogue(sku("A100 node", (0, 3, 500_000_000), unit="h")), wanted, meter=Meter())
    assert (offer.per, offer.amounts) == ("h", ((Decimal(0), Decimal("3.5")),))


@pytest.mark.parametrize(
    ("skus", "says"),
    [
        ([], "no SKU matches"),
        ([L4, L4], "2 SKUs match"),
        ([sku("L4 GPU without zonal redundancy", (0, 0, 0))], "is free"),
        ([sku("L4 GPU without zonal redundancy", (0, 0, 5), unit="fortnight")], "priced per 'fortnight'"),
        ([billing_v1.types.Sku(description="L4 GPU without zonal redundancy", service_regions=["us-central1"])], "has no price"),
    ],
)
def test_no_single_price_is_no_offer(skus, says):
    found = next(iter(gcp.fetch(Catalogue(*skus), WANTED, meter=Meter())))
    assert isinstance(found, NoOffer)
    assert says in found.reason


def test_the_real_client_says_what_is_wrong_in_our_words():
    """The vendor's client over an insecure channel, against a server that refuses everything."""
    from concurrent.futures import ThreadPoolExecutor

    from google.auth.credentials import AnonymousCredentials
    from google.cloud.billing_v1.services.cloud_catalog.transports import CloudCatalogGrpcTransport

    class Refuse(grpc.GenericRpcHandler):
        def service(self, _):
            return grpc.unary_unary_rpc_method_handler(
                lambda _, context: context.abort(grpc.StatusCode.PERMISSION_DENIED, "billing API is off")
            )

    server = grpc.server(ThreadPoolExecutor(1), handlers=[Refuse()])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            client = billing_v1.CloudCatalogClient(transport=CloudCatalogGrpcTransport(channel=channel, credentials=AnonymousCredentials()))
            with pytest.raises(Denied, match="billing API is off"):
                list(gcp.fetch(client, WANTED, meter=Meter()))
    finally:
        server.stop(None).wait()
