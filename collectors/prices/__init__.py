"""Current list prices out of the providers' own price APIs, for `fortnight prices refresh`; one module per API."""

from types import ModuleType

from collectors.prices import aws, gcp, runpod

# By the `refresh.via` of a price row. Each has VIA and fetch(client, wanted, *, meter) -> Iterator[Offer | NoOffer].
SOURCES: dict[str, ModuleType] = {aws.VIA: aws, gcp.VIA: gcp, runpod.VIA: runpod}
