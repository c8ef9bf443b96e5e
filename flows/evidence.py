"""What a report shows beside the results: validation, quarantine, prices, versions, hashes, all read off the store."""

from __future__ import annotations

import hashlib
import platform
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

from analysis import prices
from analysis.replaying import bursts
from flows import costs, operations
from flows.seen import Seen
from reports.extras import ReportExtras
from trial import chain, registration
from trial.config import Trial
from trial.errors import ConfigError
from trial.results import TrialResult
from trial.store import Manifest, Store

LIBRARIES = ("fortnight", "pandas", "pyarrow", "great-expectations", "mlflow", "prefect", "boto3", "google-cloud-logging")


def gather(
    trial: Trial,
    store: Store,
    result: TrialResult,
    *,
    seen: Seen,
    planted: Mapping[str, Mapping[str, Any]] | None = None,
) -> ReportExtras:
    manifests = {e.endpoint: store.manifests(e.endpoint) for e in result.endpoints}
    book = costs.book_of(trial)
    observed = {name: found for name in manifests if (found := _observed(seen, trial.endpoint(name))) is not None}
    return ReportExtras(
        prices=_prices(trial, book),
        validation=[row for found in manifests.values() for m in found for row in _validation(m)],
        quarantine=[row for name in manifests for row in _quarantine(store, name)],
        versions={"python": platform.python_version(), **{name: version(name) for name in LIBRARIES}},
        hashes=_hashes(store, manifests, book),
        break_even=[b for e in result.endpoints for b in e.break_evens],
        bursts=[row for name, found in observed.items() for row in _bursts(name, found)],
        concurrency={name: found.as_json() for name, found in observed.items()},
        hourly={name: costs.hourly(trial, store, name) for name in manifests},
        operations={name: operations.of(store, trial.endpoint(name), found) for name, found in manifests.items()},
        tracker={name: costs.tracker_of(trial, store, trial.endpoint(name), book) for name in manifests},
        planted=planted,
    )


def _prices(trial: Trial, book: prices.PriceBook) -> dict[str, dict[str, Any]]:
    named = [item.price for item in (*trial.endpoints, *trial.dedicated) if item.price]
    rows = (book.row(name) for name in dict.fromkeys(named))
    return {row.name: costs.provenance(row) for row in rows}


def _validation(manifest: Manifest) -> list[dict[str, Any]]:
    if not manifest.validation:
        return []
    broken = [f"{rule['name']}: {rule['broken']} of {rule['checked']}" for rule in manifest.validation["rules"] if rule["broken"]]
    return [
        {
            "endpoint": manifest.endpoint,
            "day": manifest.day.isoformat(),
            "suite": manifest.validation["suite"],
            "success": manifest.validation["success"],
            "failures": broken,
        }
    ]


def _quarantine(store: Store, endpoint: str) -> list[dict[str, Any]]:
    counts: Counter[tuple[str, str]] = Counter()
    for batch in store.batches("quarantine", endpoint):
        for day, rules in zip(batch["day"].to_pylist(), batch["rules"].to_pylist(), strict=True):
            counts.update((day.isoformat(), rule.split(" (", 1)[0]) for rule in rules)
    return [{"endpoint": endpoint, "day": day, "rule": rule, "rows": rows} for (day, rule), rows in sorted(counts.items())]


def _observed(seen: Seen, endpoint: Any) -> bursts.Concurrency | None:
    """Concurrency and bursts; None without requests that reached an instance, or where no log has a time for any of them."""
    try:
        return bursts.observed(seen.arrivals(endpoint))
    except ConfigError:
        return None


def _bursts(endpoint: str, found: bursts.Concurrency) -> list[dict[str, Any]]:
    return [
        {
            "endpoint": endpoint,
            "start": found.began(burst),
            "minutes": (burst.end_ms - burst.start_ms) / bursts.MINUTE_MS,
            "requests": burst.requests,
            "peak_per_minute": burst.peak_rate,
            "cold_hits": burst.cold,
            "absorbed_ms": burst.absorbed_ms,
            "peak_concurrency": found.peak_concurrent,
        }
        for burst in found.bursts
    ]


def _hashes(store: Store, manifests: Mapping[str, Sequence[Manifest]], book: prices.PriceBook) -> dict[str, str]:
    known = registration.read(store.files)
    names = sorted({name for found in manifests.values() for m in found for name in (*m.raw, *(f for g in m.files.values() for f in g))})
    journal = chain.read(store.files)
    return {
        "registered settings": known.sha256 if known else "none registered",
        "price book": book.sha256,
        # Noted here, outside the store: a chain that was rewritten as a whole no longer ends in it.
        f"chain head ({len(journal.links)} lines)": journal.head or "no chain",
        # The names hold the files' own hashes, so that this one hash stands for every stored byte.
        f"stored files ({len(names)})": hashlib.sha256("\n".join(names).encode()).hexdigest(),
    }
