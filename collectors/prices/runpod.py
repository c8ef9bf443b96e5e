"""RunPod's serverless list prices from `GET /v2/catalog/gpus`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

import httpx

from collectors.prices.offer import NoOffer, Offer, Wanted
from collectors.rest import get_json
from trial.errors import Malformed
from trial.meter import Meter

VIA = "runpod-catalogue"
WHERE = "RunPod catalogue"


def fetch(
    http: httpx.Client, wanted: Wanted, *, meter: Meter, key_env: str = "RUNPOD_API_KEY", sleep: Callable[[float], None] = time.sleep
) -> Iterator[Offer | NoOffer]:
    """
    One result per wanted row: the serverless price of its GPUs, per GPU-hour.

    The catalogue prints fewer digits than RunPod bills by (1.1 for 1.116), so these offers are `rounded`: they show that a price
    moved, not what it is to the last digit. Rows name their GPUs by id, not by the catalogue's pool: a pool holds GPUs of
    different prices (L4 and RTX 4090). GPUs of one row that are priced apart give no offer.

    Args:
        http: base_url https://api.runpod.io, with the bearer key.

    Raises:
        Denied, NotFound, Throttled, Unreachable, Malformed.
    """
    mine = {row: list(refresh["gpus"]) for row, refresh in wanted.items() if refresh.get("via") == VIA}
    if not mine:
        return
    answer = get_json(http, "/v2/catalog/gpus", meter=meter, where=WHERE, key_env=key_env, sleep=sleep)
    gpus = answer.get("gpus")
    if not isinstance(gpus, list):
        raise Malformed("the answer has no list of gpus", where=WHERE)
    for row, ids in mine.items():
        yield _one(row, [gpu for gpu in gpus if isinstance(gpu, Mapping) and gpu.get("id") in ids])


def _one(row: str, gpus: list[Mapping[str, Any]]) -> Offer | NoOffer:
    prices = {usd for gpu in gpus if (usd := _serverless(gpu)) is not None}
    if len(prices) != 1:
        seen = f"its GPUs have {len(prices)} serverless prices" if prices else "its GPUs have no serverless price in the catalogue"
        return NoOffer(row=row, rate="instance", reason=seen)
    names = ", ".join(sorted(str(gpu.get("name") or gpu.get("id")) for gpu in gpus))
    return Offer(
        row=row,
        rate="instance",
        per="h",
        amounts=((Decimal(0), prices.pop()),),
        said=f"{names}; rounded by the catalogue",
        rounded=True,
    )


def _serverless(gpu: Mapping[str, Any]) -> Decimal | None:
    price = gpu.get("price")
    value = price.get("serverless") if isinstance(price, Mapping) else None
    if value is None:
        return None
    try:
        usd = Decimal(str(value))
    except InvalidOperation as exc:
        raise Malformed(f"the serverless price of {gpu.get('id')} is {value!r}", where=WHERE) from exc
    return usd if usd > 0 else None
