"""Telling people, once per event: a Prefect event, an artifact, and a notification to wherever the team listens."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from flows import collecting, costs, results
from flows.seen import Seen
from trial import registration
from trial.config import Trial
from trial.results import EndpointResult
from trial.store import Store

log = logging.getLogger("fortnight")

# Any Apprise URLs, separated by spaces: they hold tokens, so they stand in the environment and never in trial.toml.
NOTIFY = "FORTNIGHT_NOTIFY_URLS"
TOLD = "told.json"
PASSED = "fortnight.threshold-passed"
FAILED = "fortnight.collection-failed"
MISSED = "fortnight.collection-missed"
# A daily run that is this late did not run: the schedule, or the machine that serves it, was down.
LATE = timedelta(hours=24)
# Beside a key in TOLD: the event is out, and the notification is still to be sent.
UNSENT = " (not sent)"
_VARIES = re.compile(r"[0-9a-fA-F-]{8,}|\d+")


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """One thing to tell, and the keys under which it is told once."""

    keys: tuple[str, ...]
    event: str
    endpoint: str
    title: str
    body: str


def tell(trial: Trial, store: Store, *, failures: list[str], now: datetime, missed: Iterable[tuple[str, date]] = ()) -> list[News]:
    """
    Tells what is new since the last time, each piece as an event and an artifact and all of them in one notification, and
    remembers it beside the store.

    A notification that reaches none of the URLs is tried again by the next run to which it is still news; the event and the
    artifact stay as they are.

    Args:
        missed: what `missed_days` found before the collection.
    """
    told = _told(store)
    endpoints = tuple(_with_bill(trial, store, e, told) for e in results.verdicts(trial, store, now=now))
    news = [
        *_verdict_news(endpoints, told),
        *lost_news(trial, store),
        *_missed_news(store, missed, told),
        *_failure_news(failures, now, trial),
    ]
    fresh, unsent = [], []
    again = {key for key in told if key.endswith(UNSENT)}
    for item in news:
        if not told.issuperset(item.keys):
            _publish(trial, item)
            fresh.append(item)
        elif item.keys[0] + UNSENT in again:
            again.remove(item.keys[0] + UNSENT)
        else:
            continue
        unsent.append(item)
        told.update(item.keys, (key + UNSENT for key in item.keys))
        _remember(store, told)
    if unsent and _notify(trial, unsent):
        told.difference_update(key + UNSENT for item in unsent for key in item.keys)
        _remember(store, told)
    return fresh


def missed_days(trial: Trial, store: Store, *, now: datetime) -> list[tuple[str, date]]:
    """
    Endpoint and day of what a daily run should have collected by now and none did, from the first collection on.

    Files on disk are read when they are there; nobody waits for a run.
    """
    known = registration.read(store.files)
    if known is None:
        return []
    due = trial.calendar.complete_days(now - LATE - timedelta(minutes=trial.collect.watermark_minutes))
    due = [day for day in due if trial.calendar.window(day).end > known.at]
    return [(e.name, day) for e in trial.endpoints if e.platform != "export" for day in sorted(set(due) - set(store.days(e.name)))]


def _with_bill(trial: Trial, store: Store, result: EndpointResult, told: set[str]) -> EndpointResult:
    """A decision that is about to be told is held against the bill first; the others are not worth reading every row for."""
    fresh = result.verdict.evidence == "decided" and _decision_key(result) not in told
    return results.costed(trial, store, result, costs.book_of(trial), Seen(trial, store)) if fresh else result


def _decision_key(result: EndpointResult) -> str:
    return f"{result.endpoint}/decision/{result.verdict.decision}"


def _verdict_news(endpoints: tuple[EndpointResult, ...], told: set[str]) -> list[News]:
    news = []
    for result in endpoints:
        verdict = result.verdict
        reasons = "\n".join(f"- {reason}" for reason in verdict.reasons)
        if verdict.passed_on is not None:
            # Late events can move the day; it was passed once all the same.
            before = [key for key in sorted(told) if key.startswith(f"{result.endpoint}/passed/") and not key.endswith(UNSENT)]
            news.append(
                News(
                    keys=(before[0] if before else f"{result.endpoint}/passed/{verdict.passed_on}",),
                    event=PASSED,
                    endpoint=result.endpoint,
                    title=f"{result.endpoint}: the cold-hit rate passed {verdict.threshold:.0%} on {verdict.passed_on}",
                    body=f"Rule: {verdict.rule}. Decision: {verdict.decision} ({verdict.evidence}).\n\n{reasons}",
                )
            )
        if verdict.decision != "not-decided":
            news.append(
                News(
                    keys=(_decision_key(result),),
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
            keys=(f"{endpoint.name}/lost/{since.isoformat()}",),
            event="fortnight.logs-lost",
            endpoint=endpoint.name,
            title=f"{endpoint.name}: logs of RunPod workers are lost",
            body=collecting.lost_logs(since, until),
        )
        for endpoint in trial.endpoints
        if endpoint.platform == "runpod"
        for since, until in collecting.harvest_gaps(store, endpoint.name, calendar=trial.calendar)
    ]


def _missed_news(store: Store, missed: Iterable[tuple[str, date]], told: set[str]) -> list[News]:
    """One piece for an endpoint, however many days a run was missed."""
    days: dict[str, list[date]] = {}
    for endpoint, day in missed:
        if f"{endpoint}/missed/{day}" not in told:
            days.setdefault(endpoint, []).append(day)
    news = []
    for endpoint, late in days.items():
        named = ", ".join(map(str, late))
        still = set(late) - set(store.days(endpoint))
        news.append(
            News(
                keys=tuple(f"{endpoint}/missed/{day}" for day in late),
                event=MISSED,
                endpoint=endpoint,
                title=f"{endpoint}: no collection in time of {named}",
                body=f"No run collected {named} within a day. "
                + (f"Still missing: {', '.join(map(str, sorted(still)))}." if still else "Collected now; lines may have expired meanwhile.")
                + " `fortnight serve` has to be running for the daily runs.",
            )
        )
    return news


def _failure_news(failures: list[str], now: datetime, trial: Trial) -> list[News]:
    # Once a day and cause, whatever request id or delay it names: a source that stays down for a week is seven messages, not one a run.
    day = trial.calendar.day_of(now)
    return [
        News(
            keys=(f"failed/{day}/{text.split(':', 1)[0]}/{hashlib.sha256(_VARIES.sub('#', text).encode()).hexdigest()[:12]}",),
            event=FAILED,
            endpoint=text.split(":", 1)[0],
            title=f"{trial.trial.name}: collection failed",
            body=text,
        )
        for text in failures
    ]


def _remember(store: Store, told: set[str]) -> None:
    store.files.write(TOLD, json.dumps(sorted(told), indent=1).encode() + b"\n")


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


def _notify(trial: Trial, news: list[News]) -> bool:
    """
    All that one run has to say, in one notification.

    Returns:
        whether it is out, or nobody is to be notified: one URL that works is enough, for more tries would reach that one again.
    """
    urls = os.environ.get(NOTIFY, "").split()
    if not urls:
        return True
    import apprise

    title, body = news[0].title, news[0].body
    if len(news) > 1:
        title = f"{trial.trial.name}: {len(news)} pieces of news"
        body = "\n\n".join(f"{item.title}\n{item.body}" for item in news)
    # Its own log lines name the URLs, which are keys; what went wrong is said below.
    logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)
    senders = [apprise.Apprise.instantiate(url) for url in urls]
    sent = [sender is not None and bool(sender.notify(title=title, body=body)) for sender in senders]
    for number, (sender, out) in enumerate(zip(senders, sent, strict=True), start=1):
        if not out:
            why = "is none that Apprise knows" if sender is None else "did not take it"
            log.error("the notification %r: URL %d of %d in %s %s", title, number, len(urls), NOTIFY, why)
    return any(sent)
