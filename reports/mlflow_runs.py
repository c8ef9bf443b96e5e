"""What MLflow is to hold for a trial, as plain values: one run per endpoint, per setting replayed, per dedicated option."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

from analysis.sketches import quantile
from reports import format as say
from reports.days import DayPoint, latency, series
from reports.figures.svg import SERIES
from reports.tables import Table
from trial.config import Endpoint, Trial
from trial.results import DedicatedCost, EndpointResult, TrialResult, WhatIf

QUANTILES: tuple[tuple[str, tuple[float, ...]], ...] = (
    ("gpu_ms", (0.5, 0.95)),
    ("queue_ms", (0.95,)),
    ("init_ms", (0.5,)),
    ("load_ms", (0.5,)),
    ("handler_ms", (0.5,)),
)
SPLIT_QUANTILES: tuple[tuple[str, tuple[float, ...]], ...] = (("latency_ms", (0.5, 0.95, 0.99)), ("ttft_ms", (0.5, 0.95)))

SETTINGS = (
    "gpu",
    "model",
    "region",
    "price",
    "idle_timeout_s",
    "min_workers",
    "concurrency",
    "provisioned_concurrency",
    "instances",
    "replicas",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """The metrics of one trial day; `at_ms` is the day's own start, so that logging it again is the same point."""

    number: int
    at_ms: int
    metrics: Mapping[str, float]

    @property
    def sha(self) -> str:
        return _sha([self.number, self.at_ms, dict(self.metrics)])[:8]


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedRun:
    """
    A run as it should be.

    Args:
        key: tells it from all other runs of the tracking store.
        params: cannot be changed once logged: others make another run.
        tags: may change with every day.
        tables: file name to text, logged as artifacts.
        dataset: name, sha256 and profile of what it was computed from.
    """

    key: str
    name: str
    kind: str
    params: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    steps: tuple[Step, ...] = ()
    tables: Mapping[str, str] = field(default_factory=dict)
    dataset: tuple[str, str, Mapping[str, object]] | None = None

    @property
    def base_sha(self) -> str:
        """Of what no run can take back."""
        return _sha([self.name, dict(self.params)])[:16]


def wanted_runs(result: TrialResult, *, config: Trial) -> list[WantedRun]:
    """Endpoints first, then the dedicated options, then the settings replayed; all side by side, for MLflow hides what is nested."""
    runs = []
    for index, e in enumerate(result.endpoints):
        points = series(e, calendar=config.calendar, confidence=config.trial.confidence)
        runs.append(_endpoint_run(e, points, config=config, colour=SERIES[index % len(SERIES)]))
    runs.extend(_dedicated_run(d, result, config=config) for d in result.dedicated)
    for e in result.endpoints:
        runs.extend(_whatif_run(w, config=config, last=e.days[-1].day if e.days else None) for w in e.whatifs)
    return runs


def key(config: Trial, kind: str, *names: str) -> str:
    return "/".join((config.trial.name, config.trial.start.isoformat(), kind, *names))


def _endpoint_run(e: EndpointResult, points: tuple[DayPoint, ...], *, config: Trial, colour: str) -> WantedRun:
    verdict, total = e.verdict, e.total
    of_days = [d.to_json() for d in e.days]
    tags = {
        "decision": verdict.decision,
        "rule": verdict.rule,
        "evidence": verdict.evidence,
        "as_of": verdict.as_of.isoformat() if verdict.as_of else "",
        "passed_on": verdict.passed_on.isoformat() if verdict.passed_on else "",
        "users_notice": {True: "yes", False: "no", None: "unknown"}[verdict.users_notice],
        "flags": ", ".join(f.code for f in verdict.flags),
        "cheapest_setting": e.cheapest.name if e.cheapest else "",
        "mlflow.runColor": colour,
        "mlflow.note.content": _escaped(" ".join([f"{say.DECISIONS[verdict.decision]} ({verdict.evidence}).", *verdict.reasons])),
    }
    sha = _sha(of_days)
    profile = {"days": len(e.days), "requests": total.requests if total else 0}
    return WantedRun(
        key=key(config, "endpoint", e.endpoint),
        name=e.endpoint,
        kind="endpoint",
        params=_params(config, e.endpoint, platform=e.platform),
        tags=tags,
        steps=tuple(_step(p.number, p.day, _day_metrics(p), config=config) for p in points),
        tables={"days.csv": _day_table(e, points).to_csv(), "days.json": json.dumps(of_days, indent=1, sort_keys=True) + "\n"},
        dataset=(f"{e.endpoint} days", sha, profile),
    )


def _params(config: Trial, endpoint: str, *, platform: str) -> dict[str, str]:
    rule = config.trial
    found: Endpoint | None = next((e for e in config.endpoints if e.name == endpoint), None)
    values: dict[str, object] = {
        "platform": platform,
        "trial_start": rule.start,
        "cold_hit_threshold": rule.cold_hit_threshold,
        "latency_slo_ms": rule.latency_slo_ms,
        "confidence": rule.confidence,
    }
    if found is not None:
        values.update({name: getattr(found, name, None) for name in SETTINGS})
        values.update(found.resources.model_dump())
    # Every endpoint has every parameter: the compare page draws no axis over one that some runs lack.
    return {k: "not set" if v is None else str(v) for k, v in values.items()}


def _day_metrics(p: DayPoint) -> dict[str, float | None]:
    day = p.summary
    values: dict[str, float | None] = {
        "requests": day.requests,
        "cold_hits": day.cold_hits,
        "unknown_requests": day.unknown + day.untold,
        "synthetic_requests": day.synthetic,
        "quarantined_rows": day.quarantined,
        "completeness": day.completeness,
        "peak_concurrency": day.peak_concurrency,
        "cold_hit_rate": p.rate,
        "cold_hit_rate_cumulative": p.cumulative,
        "cold_hit_rate_lo": p.long_run[0],
        "cold_hit_rate_hi": p.long_run[1],
        "noticed_share": day.noticed / day.requests if day.requests else None,
        "error_share": (day.statuses.get("error", 0) + day.statuses.get("timeout", 0)) / day.requests if day.requests else None,
        "throttled_share": day.statuses.get("throttled", 0) / day.requests if day.requests else None,
        "latency_ms_p95": quantile(latency(day), 0.95),
    }
    for column, qs in QUANTILES:
        if column in day.sketches:
            values.update({f"{column}_p{q * 100:g}": quantile(day.sketches[column], q) for q in qs})
    for column, qs in SPLIT_QUANTILES:
        for kind in ("warm", "cold"):
            if (found := day.sketches.get(f"{column}.{kind}")) is not None:
                values.update({f"{column}_{kind}_p{q * 100:g}": quantile(found, q) for q in qs})
    if p.cost is not None:
        values["usd_per_day"] = float(p.cost.total_usd)
        values["usd_per_day_lo"], values["usd_per_day_hi"] = float(p.cost.low), float(p.cost.high)
        values["usd_per_1k_inferences"] = float(p.cost.total_usd) * 1000 / day.requests if day.requests else None
        values.update({f"usd_{phase}": float(usd) for phase, usd in p.cost.usd.items()})
        if p.cost.billed_usd is not None:
            values["billed_usd_per_day"] = float(sum(p.cost.billed_usd.values()))
    return values


def _whatif_run(w: WhatIf, *, config: Trial, last: date | None) -> WantedRun:
    rate = w.cold_hit_rate
    metrics: dict[str, float | None] = {
        "requests": w.requests,
        "cold_hits": w.cold,
        "turned_away": w.rejected,
        "cold_hit_rate": rate.best if rate else None,
        "cold_hit_rate_lo": rate.low if rate else None,
        "cold_hit_rate_hi": rate.high if rate else None,
        "over_slo_share": w.over_slo,
        "usd_per_day": float(w.usd_per_day) if w.usd_per_day is not None else None,
        "residual_points": w.residual_points,
        **{f"waited_ms_{k}": v for k, v in w.waited_ms.items()},
        **{f"workers_{k}": v for k, v in w.workers.items()},
    }
    meets = {True: "yes", False: "no", None: "unknown"}[w.meets_slo]
    return WantedRun(
        key=key(config, "what-if", w.endpoint, w.name),
        name=f"{w.endpoint}: {w.name}",
        kind="what-if",
        params={"endpoint": w.endpoint, "setting": w.name, **{k: str(v) for k, v in w.settings.items()}},
        tags={"meets_slo": meets, "endpoint": w.endpoint},
        # Names of their own, at step 0: MLflow draws a metric that no run has over several steps as bars side by side.
        steps=(_step(0, last, {f"replay/{k}": v for k, v in metrics.items()}, config=config),) if last else (),
    )


def _dedicated_run(d: DedicatedCost, result: TrialResult, *, config: Trial) -> WantedRun:
    """One point a day, so that the charts draw its price as a level line beside the endpoints."""
    days = sorted({day.day for e in result.endpoints for day in e.days})
    metrics: dict[str, float | None] = {
        "usd_per_day": float(d.usd_per_day),
        "usd_per_1k_inferences": float(d.usd_per_1k) if d.usd_per_1k is not None else None,
        "busy_share": d.busy_share,
        **{f"break_even_requests_per_day.{endpoint}": v for endpoint, v in d.break_even_requests_per_day.items()},
    }
    return WantedRun(
        key=key(config, "dedicated", d.name),
        name=f"{d.name} (dedicated)",
        kind="dedicated",
        params={"price": d.price, "instances": str(d.instances), "trial_start": config.trial.start.isoformat()},
        steps=tuple(_step(config.calendar.number(day), day, metrics, config=config) for day in days),
    )


def _step(number: int, day: date, metrics: Mapping[str, float | None], *, config: Trial) -> Step:
    at_ms = int(config.calendar.window(day).start.timestamp() * 1000)
    # MLflow would keep an infinity as 1.8e308 and a NaN as a gap nobody can explain.
    finite = {k: float(v) for k, v in sorted(metrics.items()) if v is not None and math.isfinite(v)}
    return Step(number=number, at_ms=at_ms, metrics=finite)


def _day_table(e: EndpointResult, points: tuple[DayPoint, ...]) -> Table:
    names = list(dict.fromkeys(k for p in points for k in _day_metrics(p)))
    rows = []
    for p in points:
        values = _day_metrics(p)
        rows.append((p.day.isoformat(), str(p.number), *("" if values.get(k) is None else f"{values[k]:.10g}" for k in names)))
    return Table(caption=f"Days of {e.endpoint}", columns=("day", "number", *names), rows=rows)


def _escaped(text: str) -> str:
    """Markdown that shows the text as it is."""
    for char in "\\`*_{}[]<>|#&":
        text = text.replace(char, f"\\{char}" if char not in "<>&" else {"<": "&lt;", ">": "&gt;", "&": "&amp;"}[char])
    return text


def _sha(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()).hexdigest()
