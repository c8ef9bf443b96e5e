"""Triton's statistics, cumulative since its start, as usage buckets between one reading and the next."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from collectors.files import Line, open_lines
from collectors.google_monitoring import buckets_of
from trial.calendar import Window
from trial.errors import Malformed
from trial.meter import Meter
from trial.records import UsageBucket

SOURCE = "triton-statistics"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Counters:
    """Of one model version; times in ns, all growing until the server restarts."""

    success: int
    fail: int
    success_ns: int
    busy_ns: int

    def since(self, before: _Counters | None) -> _Counters:
        """The growth; everything there is where the server restarted in between, as no counter can shrink."""
        if before is None or any(getattr(self, n) < getattr(before, n) for n in ("success", "fail", "success_ns", "busy_ns")):
            return self
        return _Counters(
            success=self.success - before.success,
            fail=self.fail - before.fail,
            success_ns=self.success_ns - before.success_ns,
            busy_ns=self.busy_ns - before.busy_ns,
        )


Reading = tuple[datetime, Mapping[str, Any]]


def fetch_usage(endpoint: Any, window: Window, *, folder: Path, meter: Meter) -> Iterator[UsageBucket]:
    """
    The growth between the readings that `triton.stats` matches, of all servers together, by the hour; what grew between two
    readings is counted where the later one lies. Hours without one are absent.

    A line that breaks off at its file's end is still being written, and one in which Triton tells of an error is no reading:
    both are passed over.

    Raises:
        NotFound: no file matches. Denied, Unreachable: as the storage says. Malformed: a line that is no reading, or several
        models and none of them named.
    """
    settings = endpoint.triton
    servers: dict[str, dict[datetime, Mapping[str, Any]]] = defaultdict(dict)
    broken: Line | None = None
    for line in open_lines(settings.stats, folder=folder):
        meter.bytes += len(line.data) + 1
        if broken is not None and broken.file == line.file:
            raise _no_reading("no JSON object", broken)
        broken = None
        try:
            found = _reading(orjson.loads(line.data), line)
        except orjson.JSONDecodeError:
            broken = line
            continue
        if found is not None:
            servers[line.file].setdefault(*found)
    hours = buckets_of(window)
    step = (window.end - window.start) / len(hours)
    grown: dict[int, list[UsageBucket]] = defaultdict(list)
    for name, readings in sorted(servers.items()):
        try:
            for bucket in triton_buckets(sorted(readings.items()), endpoint=endpoint.name, model=settings.model):
                number = -((window.start - bucket.end) // step) - 1
                if 0 <= number < len(hours):
                    grown[number].append(bucket)
        except ValueError as exc:
            raise Malformed(str(exc), where=name, do="Keep what `GET /v2/models/stats` answers, as it is") from exc
    for number, parts in sorted(grown.items()):
        gpu_ms = sum(b.gpu_ms or 0.0 for b in parts)
        yield UsageBucket(
            endpoint=endpoint.name,
            source=SOURCE,
            start=hours[number].start,
            end=hours[number].end,
            requests=sum(b.requests or 0 for b in parts),
            errors=sum(b.errors or 0 for b in parts),
            latency_ms_sum=sum(b.latency_ms_sum or 0.0 for b in parts),
            gpu_ms=gpu_ms,
            gpu_utilisation=min(1.0, gpu_ms / sum((b.end - b.start).total_seconds() * 1000 for b in parts)),
        )


def _reading(answer: Any, line: Line) -> Reading | None:
    if not isinstance(answer, dict):
        raise _no_reading("no JSON object", line)
    if "error" in answer and "model_stats" not in answer:
        return None
    ts = answer.get("ts")
    try:
        at = datetime.fromtimestamp(ts, UTC) if isinstance(ts, int | float) else datetime.fromisoformat(str(ts))
    except (ValueError, OverflowError, OSError) as exc:
        raise _no_reading(f"no time of the reading as `ts`, got {ts!r}", line) from exc
    if at.utcoffset() is None:
        raise _no_reading(f"`ts` without a time zone: {ts!r}", line)
    return at.astimezone(UTC), answer


def _no_reading(what: str, line: Line) -> Malformed:
    do = 'Write each reading as one line: {"ts": "2026-11-02T10:00:00Z", "model_stats": [...]}'
    return Malformed(what, where=f"{line.file}, line {line.number}", do=do)


def triton_buckets(readings: Iterable[Reading], *, endpoint: str, model: str | None = None) -> Iterator[UsageBucket]:
    """
    One bucket between each two readings of one server's `GET /v2/models/stats`.

    Requests are those of `model`, since one request may pass through several; the time is that of all models.

    GPU time comes from batch_stats, which count a batch's compute time once; inference_stats count it once per request in
    the batch. After a restart the counters begin at zero: what ran between the last reading and the restart is lost, so that
    bucket is a lower bound. A model that was not there before counts from its load.

    Args:
        readings: (when, answer), in order of time.
        model: the one that callers ask for; not needed where the server holds no other.

    Raises:
        ValueError: an answer that is no Triton statistics, readings out of order, or several models and none named.
    """
    previous: tuple[datetime, dict[tuple[str, str], _Counters]] | None = None
    for at, answer in readings:
        counters = _read(answer)
        if previous is not None:
            before_at, before = previous
            if at <= before_at:
                raise ValueError(f"readings out of order: {at} after {before_at}")
            growth = {key: now.since(before.get(key)) for key, now in sorted(counters.items())}
            asked = _asked({name for name, _ in growth}, model)
            served = [g for (name, _), g in growth.items() if name == asked]
            busy_ms = sum(g.busy_ns for g in growth.values()) / 1e6
            yield UsageBucket(
                endpoint=endpoint,
                source=SOURCE,
                start=before_at,
                end=at,
                requests=sum(g.success + g.fail for g in served),
                errors=sum(g.fail for g in served),
                latency_ms_sum=sum(g.success_ns for g in served) / 1e6,
                gpu_ms=busy_ms,
                gpu_utilisation=min(1.0, busy_ms / ((at - before_at).total_seconds() * 1e3)),
            )
        previous = (at, counters)


def _asked(names: set[str], model: str | None) -> str | None:
    if model is not None or len(names) < 2:
        return model or next(iter(names), None)
    raise ValueError(f"several models, {', '.join(sorted(names))}: name the one that callers ask for as triton.model")


def _read(answer: Mapping[str, Any]) -> dict[tuple[str, str], _Counters]:
    models = answer.get("model_stats")
    if not isinstance(models, list):
        raise ValueError("no model_stats: not an answer of Triton's statistics")
    try:
        return {(str(m["name"]), str(m.get("version", ""))): _counters(m) for m in models}
    except (KeyError, TypeError, AttributeError) as exc:
        raise ValueError(f"Triton statistics without {exc}") from exc


def _counters(model: Mapping[str, Any]) -> _Counters:
    stats = model["inference_stats"]
    batches = model.get("batch_stats") or []
    # An ensemble has no batches of its own: its parts, which are models too, hold the time.
    busy_ns = sum(_whole(b["compute_infer"]["ns"]) for b in batches)
    return _Counters(
        success=_whole(stats["success"]["count"]),
        fail=_whole(stats["fail"]["count"]),
        success_ns=_whole(stats["success"]["ns"]),
        busy_ns=busy_ns,
    )


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise TypeError(f"a whole number: {value!r}")
    return value
