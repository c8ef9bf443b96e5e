"""The five dimensions side by side: cost per inference, cold-start overhead, concurrency, operational complexity, predictability."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from analysis.replaying.settings import AS_IT_IS
from analysis.sketches import quantile
from reports import format as say
from reports.days import DayPoint, latency, quantile_of
from reports.extras import ReportExtras
from reports.figures.choices import variation
from trial.results import DedicatedCost, EndpointResult, TrialResult

NOT_RECORDED = "not recorded"
NOT_MEASURED = "not measured"

# What no log can measure; to be answered by the team, and deliberately without a score.
CHECKLIST = (
    "Who is woken when it fails, and can they look inside: shell, logs, traces?",
    "How is a model rolled out and rolled back, and how long does that take?",
    "Are the instance type, the driver and the region ours to choose, and ours to patch?",
    "Is there a quota or a maximum of workers between us and the next burst?",
    "Does scaling have to be set up and tested by us (alarms, schedules, warm pools)?",
    "What has to be rewritten to leave?",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dimension:
    """One dimension: its measures, each with a cell per column."""

    name: str
    rows: Sequence[tuple[str, Sequence[str]]]


def columns(result: TrialResult) -> list[str]:
    return [e.endpoint for e in result.endpoints] + [f"{d.name} (dedicated)" for d in _options(result)]


def dimensions(
    result: TrialResult, *, hours_per_month: int, days: Mapping[str, Sequence[DayPoint]], extras: ReportExtras
) -> list[Dimension]:
    """All five; the dedicated option is measured only where it is an endpoint of the trial too, and says so."""
    ends, options = result.endpoints, _options(result)
    blank = [NOT_MEASURED] * len(options)

    def row(name: str, cells: Sequence[str], dedicated: Sequence[str] | None = None) -> tuple[str, Sequence[str]]:
        return name, [*cells, *(blank if dedicated is None else dedicated)]

    by_design = ["none by design" for _ in options]
    cost = [
        row(
            "per 1,000 inferences",
            [say.usd(e.cost.usd_per_1k) if e.cost else "no price" for e in ends],
            [say.usd(d.usd_per_1k) for d in options],
        ),
        row(
            "a day, mean", [say.usd(e.cost.usd_per_day) if e.cost else "no price" for e in ends], [say.usd(d.usd_per_day) for d in options]
        ),
        row("a day, with the model's bounds", [_bounds(e) for e in ends], [say.usd(d.usd_per_day) for d in options]),
        row(
            f"a month ({hours_per_month} h)",
            [say.usd(e.cost.usd_per_month) if e.cost else "no price" for e in ends],
            [say.usd(d.usd_per_day * hours_per_month / 24) for d in options],
        ),
    ]
    if any(e.cost and e.cost.tokens for e in ends):
        cost.append(row("per million tokens", [say.usd(e.cost.usd_per_million_tokens) if e.cost else "no price" for e in ends]))
    cold = [
        row("cold-hit rate", [say.percent(e.verdict.realised) for e in ends], by_design),
        row("median wait, cold against warm", [_cold_against_warm(e) for e in ends]),
        row("p95 wait of a cold request", [say.ms(quantile_of(e.total, "latency_ms.cold", 0.95)) for e in ends]),
        row("callers over the SLO because of a cold start", [say.estimate(e.verdict.noticed) for e in ends], by_design),
    ]
    concurrency = [
        row("most requests in flight at once", [say.count(e.total.peak_concurrency) if e.total else say.NOT_KNOWN for e in ends]),
        row("queueing, p95", [say.ms(quantile_of(e.total, "queue_ms", 0.95)) for e in ends]),
        row("throttled requests", [_status_share(e, "throttled") for e in ends]),
        row("busy share of the instances", [_busy_replayed(e) for e in ends], [_busy(d) for d in options]),
    ]
    effort = [
        row("failed requests", [_status_share(e, "error", "timeout") for e in ends]),
        *(
            row(label, [_operation(extras, e.endpoint, key) for e in ends])
            for label, key in (
                ("deployments seen in the logs", "deployments"),
                ("requests with a handler line", "handler_line_share"),
                ("failed collections", "failed_collections"),
                ("warnings of fortnight doctor", "doctor_warnings"),
            )
        ),
    ]
    predictable = [
        row("spread of a day's cost", [say.percent(variation(_usd(days, e))) for e in ends], ["fixed" for _ in options]),
        row("dearest day against the median day", [_worst(_usd(days, e)) for e in ends], ["fixed" for _ in options]),
        row("spread of a day's p95 latency", [say.percent(variation(_p95(days, e))) for e in ends]),
    ]
    return [
        Dimension(name="Cost per inference", rows=cost),
        Dimension(name="Cold-start overhead", rows=cold),
        Dimension(name="Concurrency handling", rows=concurrency),
        Dimension(name="Operational complexity", rows=effort),
        Dimension(name="Predictability", rows=predictable),
    ]


def _options(result: TrialResult) -> list[DedicatedCost]:
    return sorted(result.dedicated, key=lambda d: (d.usd_per_day, d.name))[:1]


def _bounds(e: EndpointResult) -> str:
    if e.cost is None or not e.cost.days:
        return "no price"
    n = len(e.cost.days)
    return say.usd_range(sum((d.low for d in e.cost.days), Decimal(0)) / n, sum((d.high for d in e.cost.days), Decimal(0)) / n)


def _cold_against_warm(e: EndpointResult) -> str:
    cold, warm = (quantile_of(e.total, f"latency_ms.{kind}", 0.5) for kind in ("cold", "warm"))
    return f"{say.ms(cold)} against {say.ms(warm)}" if cold is not None and warm is not None else say.NOT_KNOWN


def _status_share(e: EndpointResult, *statuses: str) -> str:
    total = e.total
    if total is None or not total.requests:
        return say.NOT_KNOWN
    n = sum(total.statuses.get(s, 0) for s in statuses)
    return f"{say.count(n)} ({say.percent(n / total.requests)})"


def _busy_replayed(e: EndpointResult) -> str:
    """From the replay of the setting as it is."""
    now = next((w for w in e.whatifs if w.name == AS_IT_IS), None)
    alive = now.workers.get("alive_mean") if now else None
    return say.percent(now.workers["running_mean"] / alive) if now and alive and "running_mean" in now.workers else say.NOT_KNOWN


def _busy(option: DedicatedCost) -> str:
    return say.NOT_KNOWN if option.busy_share is None else say.percent(option.busy_share)


def _operation(extras: ReportExtras, endpoint: str, key: str) -> str:
    value = (extras.operations or {}).get(endpoint, {}).get(key)
    if value is None:
        return NOT_RECORDED
    return say.percent(float(value)) if key.endswith("_share") else say.count(value)


def _usd(days: Mapping[str, Sequence[DayPoint]], e: EndpointResult) -> list[float]:
    return [float(p.usd) for p in days[e.endpoint] if p.usd is not None]


def _p95(days: Mapping[str, Sequence[DayPoint]], e: EndpointResult) -> list[float]:
    return [v for p in days[e.endpoint] if (v := quantile(latency(p.summary), 0.95)) is not None]


def _worst(values: Sequence[float]) -> str:
    if len(values) < 2:
        return say.NOT_KNOWN
    median = sorted(values)[len(values) // 2]
    return say.ratio(max(values) / median) if median else say.NOT_KNOWN
