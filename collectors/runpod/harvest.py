"""
The logs of workers that are alive now, before they are gone with the worker.

RunPod keeps worker logs only while the worker exists, so a schedule of a few minutes reads them: the live workers, then each
one's log as server-sent events from a moment on. Overlaps with earlier harvests and with shipped files are harmless, because
a line's identity is its content.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import httpx
import orjson

from collectors.json_text import loads
from collectors.rest import LONGEST_PAUSE_S, get_json, pause_s, refuse, unreachable
from collectors.runpod.envelope import instant, unwrap
from collectors.runpod.facts import WORKER_STREAM
from collectors.runpod.fetch import SOURCE, Clients, identity
from trial.errors import Denied, Malformed, NotFound
from trial.meter import Meter
from trial.records import RawEvent

# A stream never ends while the worker lives: it is caught up when it has been silent this long.
SILENCE_S = 2.0
LONGEST_S = 30.0
STREAMS_AT_ONCE = 4
RECONNECTS = 3
_LINE_MAX = 1 << 20


@dataclass(slots=True)
class _Stream:
    """What one worker's stream gave so far; a reconnect resumes after `last_id`."""

    worker: str
    last_id: str | None = None
    data: list[str] = field(default_factory=list)
    got: int = 0
    calls: int = 0


def harvest(
    clients: Clients,
    endpoint: Any,
    *,
    since: datetime,
    meter: Meter,
    silence_s: float = SILENCE_S,
    longest_s: float = LONGEST_S,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[RawEvent]:
    """
    The lines of all live workers from `since` on.

    Args:
        since: when the last harvest was, less a margin; the API fills up to 5,000 lines back.
        longest_s: bound on the time spent on one worker; what comes later is the next harvest's.

    Raises:
        Denied, NotFound, Throttled, Unreachable, Malformed. A worker that ends between the list and its log is passed over.
    """
    where = f"{endpoint.name} (RunPod workers of {endpoint.endpoint_id})"
    if clients.http is None:
        raise Denied("no key to read worker logs with", where=where, do=f"Set {endpoint.api_key_env} to a RunPod API key")
    base = f"/v2/serverless/{quote(endpoint.endpoint_id, safe='')}/workers"
    answer = get_json(clients.http, base, meter=meter, where=where, key_env=endpoint.api_key_env, sleep=sleep)
    workers = answer.get("workers")
    if not isinstance(workers, list):
        raise Malformed("the answer has no list of workers", where=where)
    streams = [_Stream(worker=w["id"]) for w in workers if isinstance(w, dict) and isinstance(w.get("id"), str)]
    http = clients.http

    def read(stream: _Stream) -> _Stream:
        deadline = clock() + longest_s
        url = f"{base}/{quote(stream.worker, safe='')}/logs"
        about = {"where": where, "key_env": endpoint.api_key_env}
        _read(http, url, stream, since=since, silence_s=silence_s, deadline=deadline, clock=clock, sleep=sleep, **about)
        return stream

    with ThreadPoolExecutor(max_workers=STREAMS_AT_ONCE, thread_name_prefix="harvest") as pool:
        for stream in pool.map(read, streams):
            meter.calls += stream.calls
            meter.bytes += stream.got
            for event in _events(stream, endpoint, since):
                meter.events += 1
                yield event


def _read(
    http: httpx.Client,
    url: str,
    stream: _Stream,
    *,
    since: datetime,
    silence_s: float,
    deadline: float,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
    where: str,
    key_env: str,
) -> None:
    timeout = httpx.Timeout(http.timeout.connect, read=silence_s, write=http.timeout.write, pool=http.timeout.pool)
    for attempt in range(1, RECONNECTS + 2):
        headers = {"Accept": "text/event-stream", **({"Last-Event-ID": stream.last_id} if stream.last_id else {})}
        params = {"since": since.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")}
        stream.calls += 1
        try:
            with http.stream("GET", url, params=params, headers=headers, timeout=timeout) as answer:
                if not answer.is_success:
                    answer.read()
                    if answer.status_code == 429 and attempt <= RECONNECTS:
                        sleep(min(LONGEST_PAUSE_S, pause_s(answer) or float(2**attempt)))
                        continue
                    refuse(answer, where=where, key_env=key_env)
                _collect(answer, stream, deadline, clock)
        except NotFound:
            return
        except httpx.ReadTimeout:
            return
        except (httpx.RemoteProtocolError, httpx.ReadError):
            # Cut off in the middle: resume after the last whole event, unless the time is up.
            if clock() >= deadline:
                return
            continue
        except httpx.HTTPError as exc:
            raise unreachable(exc, where) from exc
        return


def _collect(answer: httpx.Response, stream: _Stream, deadline: float, clock: Callable[[], float]) -> None:
    event_id, data = None, []
    for line in _bounded_lines(answer, stream):
        if line.startswith("id:"):
            event_id = line[3:].strip()
        elif line.startswith("data:"):
            data.append(line[5:].removeprefix(" "))
        elif not line and data:
            stream.data.append("\n".join(data))
            stream.last_id, event_id, data = event_id or stream.last_id, None, []
        if clock() >= deadline:
            return


def _bounded_lines(answer: httpx.Response, stream: _Stream) -> Iterator[str]:
    rest = b""
    for chunk in answer.iter_bytes():
        stream.got += len(chunk)
        *lines, rest = (rest + chunk).split(b"\n")
        rest = rest[: _LINE_MAX + 1]
        for line in lines:
            yield line.removesuffix(b"\r").decode("utf-8", errors="replace")


def _events(stream: _Stream, endpoint: Any, since: datetime) -> Iterator[RawEvent]:
    at = since
    for text in stream.data:
        payload: str | dict[str, Any] = text
        try:
            data = loads(text)
            payload = data if isinstance(data, dict) else text
        except orjson.JSONDecodeError:
            pass
        at = (instant(payload.get("ts")) if isinstance(payload, dict) else None) or at
        own = identity(unwrap(payload), endpoint)
        if own is not None:
            yield RawEvent(source=SOURCE, stream=own[0], event_id=own[1], at=own[2], payload=payload)
            continue
        # Two like lines within one second are one event: the API's own ids are not promised to outlive a connection.
        event_id = f"{at:%Y-%m-%dT%H:%M:%SZ}/{hashlib.sha256(text.encode()).hexdigest()[:16]}"
        yield RawEvent(source=SOURCE, stream=WORKER_STREAM + stream.worker, event_id=event_id, at=at, payload=payload)


def harvest_start(last_at: datetime | None, now: datetime, *, margin: timedelta = timedelta(minutes=5)) -> datetime:
    """From when on to read: a margin before the last line the store has, or a day back on the first harvest."""
    return (last_at or now - timedelta(days=1)) - margin
