"""
Did this request meet an environment that was not ready, and did its caller wait for it?

REPORT's `Init Duration` alone answers neither: it is absent after initialisations over 10 s, failed ones and re-initialised
environments, and present where provisioned concurrency or Lambda itself had initialised ahead of any caller. The rule
weighs what the log stream shows before the request; the handler's own flag decides only where the stream shows nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from collectors.aws_lambda import billing
from collectors.aws_lambda.facts import Init, Report
from trial.records import Cold

# Between the end of an initialisation and the request it was meant for there are milliseconds; AWS's and Datadog's own
# tooling call it proactive from 10 s on.
PROACTIVE_GAP_MS = 10_000.0
# Log timestamps are whole ms and are stamped by different processes: below this, a Duration longer than START to REPORT is noise.
EXCESS_NOISE_MS = 50.0
# An on-demand initialisation is cut off at 10 s; one whose report is missing cannot have kept a caller for longer.
INIT_LIMIT_MS = 10_000.0

MANAGED = "lambda-managed-instances"
PROVISIONED = "provisioned-concurrency"


@dataclass(slots=True)
class InitSeen:
    """What a stream said about one initialisation since its last START. Mutable: lines add to it as they come."""

    started_at: datetime | None = None
    ended_at: datetime | None = None
    type: str | None = None
    restore: bool = False
    failed: str | None = None  # init_timeout or init_error
    before_ms: float | None = None  # reported time before the invocation
    inside_ms: float | None = None  # reported time run again inside the invocation, a part of its Duration
    again: bool = False  # the environment had served requests before

    def add(self, line: Init) -> None:
        self.type = line.type or self.type
        if line.step in ("restore_start", "restore_report"):
            self.restore = True
        if line.step in ("init_start", "restore_start"):
            self.started_at = self.started_at or line.at
            return
        self.ended_at = line.at
        if line.status == "timeout":
            self.failed = "init_timeout"
        elif line.status in ("error", "failure"):
            self.failed = self.failed or "init_error"
        if line.duration_ms is not None:
            if line.phase == "invoke":
                self.inside_ms = (self.inside_ms or 0.0) + line.duration_ms
            else:
                self.before_ms = (self.before_ms or 0.0) + line.duration_ms


class Evidence(NamedTuple):
    """
    Everything the rule looks at, for one attempt that has its REPORT.

    Args:
        init: the initialisation seen since the stream's previous START.
        first: no earlier request of this stream is in what was read.
        reset: how the previous attempt of this environment ended: "reset" (its process is gone), "unclear", or None (well).
        started_at: START's time; None where only the REPORT was seen.
        handler_cold: the handler's own flag.
        load_ms: model loading the handler reports.
        provisioned: the endpoint has provisioned concurrency configured.
    """

    report: Report
    init: InitSeen | None
    first: bool
    reset: str | None
    started_at: datetime | None
    handler_cold: bool | None
    load_ms: float | None
    managed: bool
    provisioned: bool


class Judgement(NamedTuple):
    """
    `init_ms` is what the platform reports for the environment; `wait_ms` what a caller waited before Duration began.

    `inside` says that Duration holds an initialisation, and so is not the handler's time.
    """

    cold: Cold
    reason: str | None = None
    waited: bool | None = None
    init_ms: float | None = None
    wait_ms: float = 0.0
    inside: bool = False


WARM = Judgement("warm")


def judge(seen: Evidence) -> Judgement:
    """The cold rule, case by case."""
    report, init = seen.report, seen.init
    if seen.managed:
        return WARM
    if init is not None or report.init_ms is not None or report.restore_ms is not None:
        return _lazily_loaded(seen, _initialised(seen, init or InitSeen()))
    gap_ms = billing.unexplained_gap_ms(report)
    if gap_ms is not None:
        return Judgement("cold", "billed_gap", None) if seen.provisioned else Judgement("cold", "billed_gap", True, wait_ms=gap_ms)
    if seen.first:
        if seen.handler_cold is None:
            return Judgement("unknown", "mid_stream")
        # The first request of its process; when that began, and so whether anybody waited, lies before what was read.
        return Judgement("cold", "handler_flag", None) if seen.handler_cold else WARM
    if seen.reset == "reset" and (seen.handler_cold is not False or _excess_ms(seen) > EXCESS_NOISE_MS):
        return Judgement("cold", "reinit", True, inside=True)
    if seen.handler_cold:
        return Judgement("cold", "reinit" if seen.reset else "handler_flag", True, inside=seen.reset is not None)
    if seen.reset == "unclear" and seen.handler_cold is None:
        if _excess_ms(seen) > EXCESS_NOISE_MS:
            return Judgement("cold", "reinit", True, inside=True)
        return Judgement("unknown", "after_error")
    return WARM


def _initialised(seen: Evidence, init: InitSeen) -> Judgement:
    report = seen.report
    restored = init.restore or report.restore_ms is not None
    reported = report.restore_ms if restored else report.init_ms
    init_ms = reported if reported is not None else _sum(init.before_ms, init.inside_ms)
    before_ms = reported if reported is not None else init.before_ms
    inside = init.inside_ms is not None or (init.failed is not None and reported is None)
    reason = init.failed if init.failed and reported is None else "restore" if restored else "reinit" if init.again else "init"
    if not init.failed and (init.type == PROVISIONED or _reported_as_provisioned(seen, init)):
        return Judgement("cold", "provisioned", False, init_ms)
    start = began(seen)
    if init.started_at is None and init.ended_at is None:
        # Init Duration without INIT_START: lines of before 2022, or a window that cut it off.
        waited = None if seen.provisioned else True
        return Judgement(
            "cold", "provisioned" if seen.provisioned else reason, waited, init_ms, before_ms or 0.0 if waited else 0.0, inside
        )
    if before_ms is None and init.started_at is not None:
        return _unreported(seen, reason, init_ms, _ms(start, init.started_at), inside)
    gap_ms = _ms(start, _ended(init, before_ms or 0.0))
    if gap_ms >= PROACTIVE_GAP_MS and inside:
        # It had failed long before; the caller waited for the second try alone.
        return Judgement("cold", reason, True, init_ms, 0.0, inside)
    if gap_ms >= PROACTIVE_GAP_MS:
        return Judgement("cold", "provisioned" if seen.provisioned else "proactive", False, init_ms)
    return Judgement("cold", reason, True, init_ms, before_ms or 0.0, inside)


def _reported_as_provisioned(seen: Evidence, init: InitSeen) -> bool:
    """Text streams write INIT_REPORT for on-demand initialisations that failed only: a good one is a provisioned one's."""
    return seen.provisioned and init.type is None and not init.restore and init.ended_at is not None


def _unreported(seen: Evidence, reason: str, init_ms: float | None, span_ms: float, inside: bool) -> Judgement:
    """
    INIT_START, and nobody says how long it took: ahead of its caller, REPORT would carry an Init Duration; so it failed.

    That stands only as far as one initialisation can have lasted; beyond, whether a caller waited cannot be known.
    """
    if span_ms <= INIT_LIMIT_MS + PROACTIVE_GAP_MS:
        reason = reason if reason in ("init_timeout", "init_error", "restore", "reinit") else "init"
        return Judgement("cold", reason, True, init_ms, max(0.0, span_ms), inside)
    return Judgement("cold", "provisioned" if seen.provisioned else "init_unreported", None, init_ms)


def _lazily_loaded(seen: Evidence, judged: Judgement) -> Judgement:
    """
    A model load that fits into the request happened inside it, and its caller waited, whoever waited for the initialisation.

    One longer than the request must have been part of the initialisation; then the platform's evidence stands.
    """
    load_ms, duration_ms = seen.load_ms, seen.report.duration_ms
    if not load_ms or judged.inside or duration_ms is None or load_ms > duration_ms + 1:
        return judged
    return judged._replace(reason="lazy_load", waited=True)


def began(seen: Evidence) -> datetime:
    """When the invocation began: at START, unless START was written only after an initialisation inside it."""
    report = seen.report
    if seen.started_at is not None and _excess_ms(seen) <= EXCESS_NOISE_MS:
        return seen.started_at
    return report.at - timedelta(milliseconds=report.duration_ms or 0.0)


def _excess_ms(seen: Evidence) -> float:
    if seen.started_at is None or seen.report.duration_ms is None:
        return 0.0
    return seen.report.duration_ms - _ms(seen.report.at, seen.started_at)


def _ended(init: InitSeen, before_ms: float) -> datetime:
    if init.started_at is not None and (init.ended_at is None or init.inside_ms is not None):
        # With a part inside the invocation, the last report's time is the invocation's own.
        return init.started_at + timedelta(milliseconds=before_ms)
    assert init.ended_at is not None
    return init.ended_at


def _sum(a: float | None, b: float | None) -> float | None:
    return None if a is None and b is None else (a or 0.0) + (b or 0.0)


def _ms(later: datetime, earlier: datetime) -> float:
    return (later - earlier).total_seconds() * 1000
