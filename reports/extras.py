"""What a report shows besides the results: evidence the flows gather from the store and the price book."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from analysis.costing.break_even import BreakEven
from analysis.costing.tracker import TrackerCost


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportExtras:
    """
    Plain rows beside the results. `None` means nobody looked, and the report says so; an empty list means looked and found none.

    Args:
        prices: the rows of the price book in use, by name; shown as they are, with keys such as usd, unit, region, source,
            read_on, confidence, billed_phases.
        validation: one row per endpoint, day and suite: "endpoint", "day", "suite", "success", "failures" (texts).
        quarantine: one row per endpoint, day and rule: "endpoint", "day", "rule", "rows".
        versions: of Fortnight, Python and the libraries the numbers depend on.
        hashes: names of stored things to their sha256 (the head of the hash chain, the price book, trial.toml).
        break_even: one per endpoint and dedicated option, with the curves around the crossing.
        bursts: "endpoint", "start", "minutes", "requests", "peak_per_minute", "cold_hits", "absorbed_ms", "peak_concurrency".
        concurrency: by endpoint, what its log says of requests at once and of bursts: "peak_concurrent", "busiest_minute",
            "starts_per_minute", "throttled", "cold_in_bursts", "slowest_absorbed_ms".
        hourly: by endpoint, one list of 24 request counts (local hours) per complete day.
        operations: by endpoint, what could be measured of the effort of running it: "deployments", "handler_line_share",
            "failed_collections", "doctor_warnings"; missing keys are shown as not recorded.
        tracker: by endpoint, what collecting it cost.
        planted: by endpoint, what the sandbox planted ("cold_hits", "gpu_ms", "usd"); only the demo knows.
    """

    prices: Mapping[str, Mapping[str, Any]] | None = None
    validation: Sequence[Mapping[str, Any]] | None = None
    quarantine: Sequence[Mapping[str, Any]] | None = None
    versions: Mapping[str, str] | None = None
    hashes: Mapping[str, str] | None = None
    break_even: Sequence[BreakEven] | None = None
    bursts: Sequence[Mapping[str, Any]] | None = None
    concurrency: Mapping[str, Mapping[str, Any]] | None = None
    hourly: Mapping[str, Sequence[Sequence[int]]] | None = None
    operations: Mapping[str, Mapping[str, Any]] | None = None
    tracker: Mapping[str, TrackerCost] | None = None
    planted: Mapping[str, Mapping[str, Any]] | None = None
