"""Requests that come like clockwork and do not call themselves synthetic: `doctor` suggests what to set, nothing assumes it."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import orjson

from analysis.pings import PingTrain, find_pings
from collectors.protocol import Collector
from trial.calendar import Calendar
from trial.finding import Finding
from trial.records import Ignored, Invocation, RawEvent, Rejected

# A mark must be on all pings but for a few that were no pings, and on next to no other request.
ON_PINGS, ON_OTHERS = 0.9, 0.01
_WORD = re.compile(r"[\w-]+")
_PATH = re.compile(r'"requestUrl":"https?://[^/"]+(/[^"?]*)')
_TEXT_FIELD = re.compile(r'\\*"([\w.-]+)\\*":\s*\\*"([^"\\]{3,80})\\*"')
_ORDER = ("at", "stream", "event_id")


def suggest(source: Collector, endpoint: Any, events: Sequence[RawEvent], calendar: Calendar) -> Iterator[Finding]:
    """A finding where the requests among these events hold a train of pings that no line and no setting names."""
    requests = [r for r in _requests(source, endpoint, events, calendar) if not r.synthetic]
    train = find_pings([r.started_at for r in requests])
    if train is None:
        return
    minutes = round(train.period.total_seconds() / 60)
    yield Finding(
        endpoint=endpoint.name,
        check="keep-warm pings",
        state="warn",
        detail=f"{len(train.members)} of {len(requests):,} requests come every {minutes} min, at {train.phase:%M:%S} past: "
        "they look like pings, and count as users' requests",
        do=_setting(train, requests, events),
    )


def _requests(source: Collector, endpoint: Any, events: Sequence[RawEvent], calendar: Calendar) -> list[Invocation]:
    ordered = sorted({(e.stream, e.event_id): e for e in events}.values(), key=lambda e: tuple(getattr(e, name) for name in _ORDER))
    outcomes = (source.parse(event, endpoint) for event in ordered)
    facts = [outcome for outcome in outcomes if not isinstance(outcome, (Ignored, Rejected))]
    return [row for row in source.assemble(facts, endpoint, calendar) if isinstance(row, Invocation)]


def _setting(train: PingTrain, requests: Sequence[Invocation], events: Sequence[RawEvent]) -> str:
    """The keep_warm setting that names these requests and no others, or how to make one possible."""
    members = {requests[i].request_id for i in train.members} - {None}
    ids = {r.request_id for r in requests} - {None}
    texts: dict[str, list[str]] = defaultdict(list)
    for event in events:
        text = event.payload if isinstance(event.payload, str) else orjson.dumps(event.payload).decode()
        for request_id in ids.intersection(_WORD.findall(text)):
            texts[str(request_id)].append(text)
    on_pings: Counter[tuple[str, str]] = Counter()
    on_others: Counter[tuple[str, str]] = Counter()
    for request_id, lines in texts.items():
        (on_pings if request_id in members else on_others).update(_marks("\n".join(lines)))
    others = sum(request_id not in members for request_id in texts)
    for (key, value), count in sorted(on_pings.items(), key=lambda item: (item[0][0] != "path", -item[1], item[0])):
        if members and count >= ON_PINGS * len(members) and on_others[key, value] <= ON_OTHERS * others:
            pattern = f"^{re.escape(value)}" if key == "path" else re.escape(value)
            return f"If they are, add to the endpoint: keep_warm = {{ {key} = '{pattern}' }}"
    return 'If they are, let the handler print "synthetic": true for them; nothing in their lines tells them apart yet'


def _marks(text: str) -> set[tuple[str, str]]:
    marks = {("path", path) for path in _PATH.findall(text) if len(path) > 1}
    return marks | {("payload", value) for _, value in _TEXT_FIELD.findall(text)}
