"""What is wrong with files on disk before two weeks are read from them: another format, another time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from itertools import islice

from collectors.export.dispatch import parse
from collectors.export.fetch import Clients, events_of
from collectors.files import Source, match_files
from trial.calendar import Window
from trial.config import ExportEndpoint, Trial
from trial.errors import Malformed
from trial.finding import Finding
from trial.records import Ignored, Rejected

FILES = 20
EVENTS = 2_000


def probe(clients: Clients, endpoint: ExportEndpoint, trial: Trial, *, now: datetime) -> Iterator[Finding]:  # noqa: ARG001 (the Protocol's shape)
    """
    Looks into the beginning of the first, the last, and some files between.

    Raises:
        NotFound: no file matches. Denied, Unreachable: as the storage says.
    """
    sources = match_files(endpoint.path, folder=clients.folder)
    days = trial.calendar.all_days()
    window = Window(start=trial.calendar.window(days[0]).start, end=trial.calendar.window(days[-1]).end)
    step = max(1, len(sources) // FILES)
    chosen = sources[::step][: FILES - 1]
    looks = [_look(source, endpoint) for source in (*chosen, *(s for s in sources[-1:] if s not in chosen))]
    for name, _, _, flaw in looks:
        if flaw is not None:
            yield Finding(
                endpoint=endpoint.name, check="format", state="fail", detail=f"{name}: {flaw.what}", do=flaw.do or "Check `format`"
            )
    times = [at for _, found, _, _ in looks for at in found]
    if not times:
        return
    if not any(facts for _, _, facts, _ in looks):
        yield Finding(
            endpoint=endpoint.name,
            check="format",
            state="warn",
            detail=f"{len(times):,} events of {len(looks)} files, none of which tells of a request as {endpoint.format} has them",
            do="Check `format`: it names the platform that wrote the lines",
        )
    outside = not any(at in window for at in times)
    whole = len(looks) == len(sources) and all(len(found) < EVENTS for _, found, _, _ in looks)
    yield Finding(
        endpoint=endpoint.name,
        check="time",
        state="warn" if outside else "ok",
        detail=f"{'' if whole else 'looked at in part: '}events of {min(times):%Y-%m-%d %H:%M} to {max(times):%Y-%m-%d %H:%M} UTC, "
        f"{'none of them in the trial' if outside else 'the trial is'} {days[0]} to {days[-1]}",
        do="Set `start` and `days` of [trial] to the days the files hold" if outside else None,
    )


def _look(source: Source, endpoint: ExportEndpoint) -> tuple[str, list[datetime], int, Malformed | None]:
    """The file's name, its first events' times, how many of them are facts, and what is wrong with it."""
    times: list[datetime] = []
    facts = 0
    try:
        for event in islice(events_of(source, endpoint), EVENTS):
            times.append(event.at)
            facts += not isinstance(parse(event, endpoint), (Ignored, Rejected))
    except Malformed as exc:
        return source.name, times, facts, exc
    return source.name, times, facts, None
