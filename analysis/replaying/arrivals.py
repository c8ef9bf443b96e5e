"""The arrivals a replay starts from: a trial's invocations, or a CSV file, as one frozen record of columns."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from analysis.replaying.identity import ages_us
from analysis.replaying.result import Flags
from trial.calendar import Window
from trial.errors import ConfigError

Floats = npt.NDArray[np.float64]

COLUMNS = ("arrival_ms", "service_ms")
_TIMES = ("queue_ms", "init_ms", "load_ms", "handler_ms", "latency_ms", "billed_ms", "gpu_ms")
# What from_invocations looks at, of trial.schema.INVOCATIONS.
READ = ("platform", "day", "started_at", "status", "cold", "waited", "synthetic", *_TIMES)
DAY_MS = 86_400_000.0
SEED = 20_201  # of the draws of start-up times; fixed, so that a replay is repeatable


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Arrivals:
    """
    One endpoint's requests as they came, sorted, in milliseconds after `origin_us`.

    Args:
        service_ms: handler time on a ready worker.
        cold_extra_ms: what a cold start adds to each, if it should be cold; None where no cold start was ever measured.
        synthetic: keep-warm pings and health checks.
        day: number of the local day each came on, from 0.
        days: how many complete days these are.
        cold, known: the observed cold hits, and where that is known; None where nothing was observed.
        telling: which flags tell something about the idle time-out: starts nobody waited for do not.
        horizon_ms: the span of the trial; means and kept workers live in it.
        throttled: requests the platform turned away.
        ended_ms: when each was done in the trial.
        overhead_ms: what the platform's latency holds beyond waiting and handler, as a median.
        notes: what was imputed or left out, in plain sentences.
    """

    arrival_ms: Floats
    service_ms: Floats
    cold_extra_ms: Floats | None
    synthetic: Flags
    day: npt.NDArray[np.int64]
    days: int
    cold: Flags | None = None
    known: Flags | None = None
    telling: Flags | None = None
    ended_ms: Floats | None = None
    overhead_ms: float = 0.0
    origin_us: int = 0
    horizon_ms: tuple[float, float] | None = None
    throttled: int = 0
    notes: tuple[str, ...] = field(default=())

    def __len__(self) -> int:
        return len(self.arrival_ms)

    @property
    def requests(self) -> int:
        return int(np.count_nonzero(~self.synthetic))

    @property
    def observed_rate(self) -> float | None:
        """Cold hits among the requests whose coldness is known."""
        if self.cold is None or self.known is None:
            return None
        counted = self.known & ~self.synthetic
        return float(self.cold[counted].mean()) if counted.any() else None


def read_csv(path: Path, *, allow_simultaneous: bool = False) -> Arrivals:
    """
    Reads arrival_ms and service_ms from a CSV file with a header; other columns are passed over.

    Args:
        allow_simultaneous: two requests may carry the same arrival_ms. Without it they are taken for rows written twice.

    Raises:
        ConfigError: no such file, a missing column, or a value that is missing, no number, negative, unsorted or duplicate.
    """
    columns = _fast_columns(path, allow_simultaneous)
    at, service = columns if columns is not None else _careful_columns(path, allow_simultaneous)
    day = (at // DAY_MS).astype(np.int64) - int(at[0] // DAY_MS)
    return Arrivals(
        arrival_ms=at,
        service_ms=service,
        cold_extra_ms=None,
        synthetic=np.zeros(len(at), np.bool_),
        day=day,
        days=int(day[-1]) + 1,
    )


def _fast_columns(path: Path, allow_simultaneous: bool) -> tuple[Floats, Floats] | None:
    """Both columns, if there is nothing to object to; the careful reader knows what to say otherwise."""
    options = pa_csv.ConvertOptions(include_columns=list(COLUMNS), column_types=dict.fromkeys(COLUMNS, pa.float64()))
    try:
        table = pa_csv.read_csv(path, convert_options=options)
    except (pa.ArrowException, OSError):
        return None
    at, service = (table[name].to_numpy() for name in COLUMNS)
    steps = np.diff(at)
    fine = len(at) and np.isfinite(at).all() and np.isfinite(service).all() and at[0] >= 0 and service.min() >= 0
    return (at, service) if fine and (steps >= 0 if allow_simultaneous else steps > 0).all() else None


def _careful_columns(path: Path, allow_simultaneous: bool) -> tuple[Floats, Floats]:
    arrival: list[float] = []
    service: list[float] = []
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.reader(file)
            places = _places(next(rows, []), path)
            for row in rows:
                if row:
                    line = rows.line_num
                    arrival.append(_number(row, places[0], COLUMNS[0], path, line))
                    service.append(_number(row, places[1], COLUMNS[1], path, line))
                    if len(arrival) > 1:
                        _check_order(arrival[-2], arrival[-1], path, line, allow_simultaneous)
    except FileNotFoundError as exc:
        raise ConfigError("no such file", where=str(path)) from exc
    except (OSError, UnicodeDecodeError, csv.Error) as exc:
        raise ConfigError(f"cannot be read as CSV: {exc}", where=str(path)) from exc
    if not arrival:
        raise ConfigError("no arrivals in it", where=str(path), do="Give at least one row after the header")
    return np.array(arrival), np.array(service)


def from_invocations(table: pa.Table, *, window: Window | None = None) -> Arrivals:
    """
    One endpoint's invocations (trial.schema, or the columns of READ) as arrivals.

    Args:
        window: the complete days they come from; without it, whole times 24 hours from the first arrival on.

    Requests aborted before they reached an instance are left out. A service time that is missing (a request that was throttled,
    or has no handler line) is set to the median, and said in `notes`. A request that becomes cold in a replay and was not cold in the
    trial takes a start-up drawn, with a fixed seed, from those measured.

    Raises:
        ConfigError: no request, or no service time at all.
    """
    table = _by_arrival(table.filter(pc.not_equal(table["status"], "aborted")))
    if not table.num_rows:
        raise ConfigError("there are no invocations to replay", do="Run `fortnight collect` first")
    at_us = table["started_at"].cast(pa.int64()).to_numpy()
    columns = {name: _floats(table, name) for name in _TIMES}
    cold, known, telling = _coldness(table)
    notes: list[str] = []
    service, loaded_inside = _service(columns, cold, notes)
    waited, overhead = _waits(columns, service, loaded_inside, known & ~cold)
    took = service + np.where(cold, waited, 0.0)
    day = table["day"].cast(pa.int32()).to_numpy().astype(np.int64)
    origin = int(at_us[0])
    arrival = (at_us - origin) / 1000
    days = int(day.max() - day.min()) + 1
    return Arrivals(
        arrival_ms=arrival,
        service_ms=service,
        cold_extra_ms=_start_ups(at_us, took, waited, cold),
        synthetic=_flags(table["synthetic"]),
        day=day - day.min(),
        days=days,
        cold=cold,
        known=known,
        telling=telling,
        ended_ms=arrival + took,
        overhead_ms=overhead,
        origin_us=origin,
        horizon_ms=_horizon(arrival, origin, days, window),
        throttled=pc.sum(pc.equal(table["status"], "throttled")).as_py() or 0,
        notes=tuple(notes),
    )


def _by_arrival(table: pa.Table) -> pa.Table:
    """
    Sorted by when each request came.

    RunPod's handler lines tell when the handler began; without a job object, a request that waited for a start came that much
    earlier. The container's own boot, before the handler's process, stays unknown.
    """
    early = pc.and_(pc.equal(table["platform"], "runpod"), pc.and_(pc.is_null(table["queue_ms"]), pc.is_valid(table["init_ms"])))
    before_us = np.where(_flags(early), np.rint(np.nan_to_num(_floats(table, "init_ms")) * 1000), 0)
    at = pa.array(table["started_at"].cast(pa.int64()).to_numpy() - before_us.astype(np.int64)).cast(table.schema.field("started_at").type)
    return table.set_column(table.schema.get_field_index("started_at"), "started_at", at).sort_by("started_at")


def _coldness(table: pa.Table) -> tuple[Flags, Flags, Flags]:
    """Cold hits (of pings: cold starts), where that is known, and where it tells something about the idle time-out."""
    cold, unknown = _flags(pc.equal(table["cold"], "cold")), _flags(pc.equal(table["cold"], "unknown"))
    by_caller, synthetic = _flags(pc.fill_null(table["waited"], False)), _flags(table["synthetic"])
    hits = cold & (by_caller | synthetic)
    known = ~unknown & ~(cold & _flags(pc.is_null(table["waited"])) & ~synthetic)
    return hits, known, known & ~(cold & ~hits)


def _service(columns: dict[str, Floats], cold: Flags, notes: list[str]) -> tuple[Floats, Flags]:
    """Handler time without a model load inside it: what the request takes on a ready worker."""
    handler = columns["handler_ms"]
    load = np.nan_to_num(columns["load_ms"])
    # A load no longer than the handler's own time happened inside it; a longer one before it, at start-up.
    inside = (load > 0) & (load <= handler)
    service = np.where(inside, handler - load, handler)
    for name in ("gpu_ms", "billed_ms"):
        warm = ~cold & np.isnan(service)
        service = np.where(warm, columns[name], service)
    missing = np.isnan(service)
    if missing.all():
        raise ConfigError(
            "no service time on any request", where="handler_ms", do="Let the handler print its line (`fortnight handler-line`)"
        )
    if missing.any():
        median = float(np.median(service[~missing]))
        notes.append(f"{int(missing.sum()):,} of {len(service):,} requests have no service time: the median, {median:,.0f} ms, stands in")
        service = np.where(missing, median, service)
    return np.maximum(service, 0.0), inside


def _waits(columns: dict[str, Floats], service: Floats, inside: Flags, warm: Flags) -> tuple[Floats, float]:
    """What each request waited beyond its service, at least 0; and the latency nobody accounts for, from warm requests."""
    latency, load = columns["latency_ms"], np.nan_to_num(columns["load_ms"])
    beyond = (latency - service)[warm]
    beyond = beyond[~np.isnan(beyond)]
    overhead = max(0.0, float(np.median(beyond))) if len(beyond) else 0.0
    phases = np.nan_to_num(columns["queue_ms"]) + np.maximum(np.nan_to_num(columns["init_ms"]), np.where(inside, 0, load))
    phases += np.where(inside, load, 0)
    return np.maximum(np.where(np.isnan(latency), phases, latency - service - overhead), 0.0), overhead


def _start_ups(at_us: npt.NDArray[np.int64], took_ms: Floats, waited_ms: Floats, cold: Flags) -> Floats | None:
    """
    What a cold start adds to each request: measured where it was one, else drawn from those measured.

    A request that came while others were in progress may have waited in a queue as well, or for the rest of somebody else's
    start-up. Those that found nothing in progress did not, so they alone count where there are any.
    """
    measured = cold & (waited_ms > 0)
    alone = measured & (ages_us(at_us, np.maximum(np.rint(took_ms * 1000), 1).astype(np.int64)).in_progress == 0)
    use = alone if alone.any() else measured
    if not use.any():
        return None
    drawn = np.random.default_rng(SEED).choice(waited_ms[use], len(waited_ms))
    return np.where(use, waited_ms, drawn)


def _horizon(arrival: Floats, origin_us: int, days: int, window: Window | None) -> tuple[float, float]:
    if window is None:
        return 0.0, max(float(arrival[-1]), days * DAY_MS)
    start, end = (at.timestamp() * 1000 - origin_us / 1000 for at in (window.start, window.end))
    return min(start, 0.0), max(end, float(arrival[-1]))


def _flags(column: pa.ChunkedArray) -> Flags:
    return column.to_numpy(zero_copy_only=False).astype(np.bool_)


def _floats(table: pa.Table, name: str) -> Floats:
    return table[name].to_numpy(zero_copy_only=False).astype(np.float64)


def _places(header: list[str], path: Path) -> tuple[int, int]:
    names = [name.strip() for name in header]
    for column in COLUMNS:
        if column not in names:
            raise ConfigError(f"no column {column}", where=f"{path}, line 1", do=f"Name the columns {','.join(COLUMNS)} in the first line")
    return names.index(COLUMNS[0]), names.index(COLUMNS[1])


def _number(row: list[str], place: int, column: str, path: Path, line: int) -> float:
    text = row[place].strip() if place < len(row) else ""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or value < 0:
        said = f"{column} is missing" if not text else f"{column} is {text!r}"
        raise ConfigError(said, where=f"{path}, line {line}", do="Give milliseconds, 0 or more")
    return value


def _check_order(before: float, now: float, path: Path, line: int, allow_simultaneous: bool) -> None:
    if now < before:
        raise ConfigError(
            f"arrivals are not sorted: {now:g} ms comes after {before:g} ms", where=f"{path}, line {line}", do="Sort the file by arrival_ms"
        )
    if now == before and not allow_simultaneous:
        raise ConfigError(
            f"duplicate arrival at {now:g} ms",
            where=f"{path}, line {line}",
            do="Drop the row written twice, or give fractions of a millisecond to requests that came together",
        )
