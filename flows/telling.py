"""Telling people, once per event: a Prefect event, an artifact, and a notification to wherever the team listens."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from dataclasses import dataclass
from datetime import datetime

from flows import collecting, costs, results
from trial.config import Trial
from trial.results import EndpointResult
from trial.store import Store

log = logging.getLogger("fortnight")

# Any Apprise URLs, separated by spaces: they hold tokens, so they stand in the environment and never in trial.toml.
NOTIFY = "FORTNIGHT_NOTIFY_URLS"
TOLD = "told.json"
FAILED = "fortnight.collection-failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """One thing to tell, and the key under which it is told once."""

    key: str
    event: str
    endpoint: str
    title: str
    body: str


def tell(trial: Trial, store: Store, *, failures: list[str], now: datetime) -> list[News]:
    """Tells what is new since the last time, and remembers it beside the store."""
    told = _told(store)
    endpoints = tuple(_with_bill(trial, store, e, told) for e in results.verdicts(trial, store, now=now))
    news = [*_verdict_news(endpoints), *lost_news(trial, store), *_failure_news(failures, now, trial)]
    fresh = [item for item in news if item.key not in told]
    for item in fresh:
        _publish(trial, item)
    if fresh:
        store.files.write(TOLD, json.dumps(sorted({*told, *(item.key for item in fresh)}), indent=1).encode() + b"\n")
    return fresh


def _with_bill(trial: Trial, store: Store, result: EndpointResult, told: set[str]) -> EndpointResult:
    """A decision that is about to be told is held against the bill first; the others are not worth reading every row for."""
    fresh = result.verdict.evidence == "decided" and _decision_key(result) not in told
    return results.costed(trial, store, result, costs.book_of(trial)) if fresh else result


def _decision_key(result: EndpointResult) -> str:
    return f"{result.endpoint}/decision/{result.verdict.decision}"


def _verdict_news(endpoints: tuple[EndpointResult, ...]) -> list[News]:
    news = []
    for result in endpoints:
        verdict = result.verdict
        reasons = "\n".join(f"- {reason}" for reason in verdict.reasons)
        if verdict.passed_on is not None:
            news.append(
                News(
                    key=f"{result.endpoint}/passed/{verdict.passed_on}",
                    event="fortnight.threshold-passed",
                    endpoint=result.endpoint,
                    title=f"{result.endpoint}: the cold-hit rate passed {verdict.threshold:.0%} on {verdict.passed_on}",
                    body=f"Rule: {verdict.rule}. Decision: {verdict.decision} ({verdict.evidence}).\n\n{reasons}",
                )
            )
        if verdict.decision != "not-decided":
            news.append(
                News(
                    key=_decision_key(result),
                    event="fortnight.decided",
                    endpoint=result.endpoint,
                    title=f"{result.endpoint}: {verdict.decision} ({verdict.evidence})",
                    body=reasons,
                )
            )
    return news


def lost_news(trial: Trial, store: Store) -> list[News]:
    """What no source has any more, a piece for each time without a harvest."""
    return [
        News(
            key=f"{endpoint.name}/lost/{since.isoformat()}",
            event="fortnight.logs-lost",
            endpoint=endpoint.name,
            title=f"{endpoint.name}: logs of RunPod workers are lost",
            body=collecting.lost_logs(since, until),
        )
        for endpoint in trial.endpoints
        if endpoint.platform == "runpod"
        for since, until in collecting.harvest_gaps(store, endpoint.name, calendar=trial.calendar)
    ]


def _failure_news(failures: list[str], now: datetime, trial: Trial) -> list[News]:
    # Once a day and cause: a source that stays down for a week is seven messages, not one a run.
    day = trial.calendar.day_of(now)
    return [
        News(
            key=f"failed/{day}/{hashlib.sha256(text.encode()).hexdigest()[:12]}",
            event=FAILED,
            endpoint=text.split(":", 1)[0],
            title=f"{trial.trial.name}: collection failed",
            body=text,
        )
        for text in failures
    ]


def _told(store: Store) -> set[str]:
    try:
        return set(json.loads(store.files.read(TOLD)))
    except FileNotFoundError:
        return set()


def _publish(trial: Trial, item: News) -> None:
    from prefect.artifacts import create_markdown_artifact
    from prefect.events import emit_event

    slug = "".join(c if c.isalnum() else "-" for c in f"{trial.trial.name}-{item.endpoint}-{item.event}".lower()).strip("-")
    create_markdown_artifact(key=slug, markdown=f"# {item.title}\n\n{item.body}", description=item.title)
    emit_event(
        event=item.event,
        resource={"prefect.resource.id": f"fortnight.{trial.trial.name}.{item.endpoint}", "prefect.resource.name": item.endpoint},
        payload={"title": item.title, "body": item.body},
    )
    if item.event != FAILED:  # logged where it happened
        log.warning("%s", item.title)
    urls = os.environ.get(NOTIFY, "").split()
    if urls:
        import apprise

        # Its own log lines name the URLs, which are keys; what went wrong is said below.
        logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)
        sender = apprise.Apprise()
        for url in urls:
            sender.add(url)
        if not sender.notify(title=item.title, body=item.body):
            log.error("the notification %r did not go out; check the URLs in %s", item.title, NOTIFY)
