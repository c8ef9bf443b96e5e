"""Every metric Fortnight logs, with its unit and meaning: the definitions docs/metrics.md is made from."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """
    One metric, or a family of them.

    Args:
        name: as MLflow shows it; <...> stands for what varies.
        runs: which runs carry it.
    """

    name: str
    unit: str
    meaning: str
    runs: str = "endpoint"

    def matches(self, logged: str) -> bool:
        pattern = re.escape(self.name)
        return re.fullmatch(re.sub(r"<[^>]*>", r"[A-Za-z0-9_.\- ]+", pattern), logged) is not None


METRICS: tuple[Metric, ...] = (
    Metric(name="requests", unit="requests", meaning="the rate's denominator: neither synthetic, aborted nor incomplete"),
    Metric(name="cold_hits", unit="requests", meaning="of these, cold and waited for"),
    Metric(name="unknown_requests", unit="requests", meaning="of these, whose coldness the logs do not show, and requests only the provider counted"),
    Metric(name="synthetic_requests", unit="requests", meaning="keep-warm pings and health checks: in the cost, in no rate"),
    Metric(name="quarantined_rows", unit="rows", meaning="rows that broke an expectation; kept with the rule's name and their raw text"),
    Metric(name="completeness", unit="share", meaning="requests in the logs over the provider's own count; absent where it does not count"),
    Metric(name="peak_concurrency", unit="requests", meaning="most requests in flight at once"),
    Metric(name="cold_hit_rate", unit="share", meaning="cold_hits / requests of that day"),
    Metric(name="cold_hit_rate_cumulative", unit="share", meaning="cold hits over requests of all days so far: the realised rate"),
    Metric(name="cold_hit_rate_lo", unit="share", meaning="lower end of the confidence sequence of the long-run rate"),
    Metric(name="cold_hit_rate_hi", unit="share", meaning="upper end of the same"),
    Metric(name="noticed_share", unit="share", meaning="requests that a cold wait pushed over the SLO"),
    Metric(name="error_share", unit="share", meaning="requests that ended in an error or a timeout"),
    Metric(name="throttled_share", unit="share", meaning="requests the platform turned away for going too fast"),
    Metric(name="latency_ms_p95", unit="ms", meaning="what 95 % of callers waited at most, cold and warm together"),
    Metric(name="latency_ms_<cold or warm>_p<quantile>", unit="ms", meaning="what callers waited, apart for cold and warm requests"),
    Metric(name="ttft_ms_<cold or warm>_p<quantile>", unit="ms", meaning="time to first token, where the handler logs it"),
    Metric(name="gpu_ms_p<quantile>", unit="ms", meaning="GPU time per request, as the handler measured it"),
    Metric(name="handler_ms_p<quantile>", unit="ms", meaning="wall time in the handler"),
    Metric(name="queue_ms_p<quantile>", unit="ms", meaning="waited before a worker took it"),
    Metric(name="init_ms_p<quantile>", unit="ms", meaning="start-up of the instance that served it, as the platform reports it"),
    Metric(name="load_ms_p<quantile>", unit="ms", meaning="model loading, as the handler reports it"),
    Metric(name="usd_per_day", unit="USD", meaning="modelled cost of the day", runs="endpoint, dedicated"),
    Metric(name="usd_per_day_lo", unit="USD", meaning="the same if instances lived as briefly as the logs allow"),
    Metric(name="usd_per_day_hi", unit="USD", meaning="the same if they lived as long as the logs allow"),
    Metric(name="usd_per_1k_inferences", unit="USD", meaning="cost of a thousand requests, start-up and idle time included", runs="endpoint, dedicated"),
    Metric(name="usd_<phase>", unit="USD", meaning="the day's cost in one billing phase: start, run, idle, rounding, requests, ..."),
    Metric(name="billed_usd_per_day", unit="USD", meaning="what the provider's own bill says of the day, where it can be read"),
    Metric(name="replay/requests", unit="requests", meaning="requests replayed under the setting", runs="what-if"),
    Metric(name="replay/cold_hits", unit="requests", meaning="of these, cold under the setting", runs="what-if"),
    Metric(name="replay/cold_hit_rate", unit="share", meaning="cold hits over requests under the setting", runs="what-if"),
    Metric(name="replay/cold_hit_rate_lo", unit="share", meaning="lower end of the interval of its long-run rate", runs="what-if"),
    Metric(name="replay/cold_hit_rate_hi", unit="share", meaning="upper end of the same", runs="what-if"),
    Metric(name="replay/usd_per_day", unit="USD", meaning="what the setting would have cost a day", runs="what-if"),
    Metric(name="replay/turned_away", unit="requests", meaning="requests a limit of the setting would have rejected", runs="what-if"),
    Metric(name="replay/over_slo_share", unit="share", meaning="callers who would have waited longer than the SLO", runs="what-if"),
    Metric(name="replay/residual_points", unit="percentage points", meaning="replay of the current setting minus what was observed; over 2, do not trust it", runs="what-if"),
    Metric(name="replay/waited_ms_<quantile>", unit="ms", meaning="waiting before the handler begins", runs="what-if"),
    Metric(name="replay/workers_<what>", unit="workers", meaning="alive, running and idle workers on average over the trial, and their peak", runs="what-if"),
    Metric(name="busy_share", unit="share", meaning="offered load over the instances' time; above 1 the option cannot carry the traffic", runs="dedicated"),
    Metric(name="break_even_requests_per_day.<endpoint>", unit="requests/day", meaning="traffic from which on this option is cheaper than that endpoint", runs="dedicated"),
)  # fmt: skip


def definition(logged: str) -> Metric | None:
    """The definition of a logged metric; exact names before families."""
    return next((m for m in METRICS if m.name == logged), None) or next((m for m in METRICS if m.matches(logged)), None)
