"""
The store: raw events, invocations, instances, quarantine, usage and one manifest per endpoint and day.

    raw/endpoint=E/day=D/source=S/<sha256>.ndjson.zst       as fetched (trial.raw)
    invocations/endpoint=E/day=D/<sha256>.parquet           the contract columns (trial.schema)
    instances/..., quarantine/...                           likewise
    days/endpoint=E/day=D.json                              the manifest: names the day's files, holds its summary
    chain.ndjson                                            one line for each manifest that changes (trial.chain)
    pulls/endpoint=E/day=D.ndjson                           what collecting took, one line a pull (trial.pulls)

A day becomes visible when its manifest is replaced, in one step; files that no manifest names are swept. Collecting a
day again with nothing new leaves every byte of it as it was; that it was collected again is one more line under pulls/.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from trial import chain, lease, schema
from trial.errors import LedgerError, StoreError
from trial.files import Files, sha256_of
from trial.records import UsageBucket
from trial.summary import DaySummary

VERSION = 1
TABLES: Mapping[str, pa.Schema] = {"invocations": schema.INVOCATIONS, "instances": schema.INSTANCES, "quarantine": schema.QUARANTINE}


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """
    What is stored of one endpoint's day.

    Args:
        files: per table, the names of its files under the store's root.
        raw: the raw files it was computed from, this day's and its neighbours'.
        usage: the provider's own buckets.
        validation: the expectation results, as plain data.
    """

    endpoint: str
    day: date
    summary: DaySummary
    files: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    raw: tuple[str, ...] = ()
    usage: tuple[UsageBucket, ...] = ()
    validation: Mapping[str, Any] = field(default_factory=dict)


class Store:
    """A trial's store; cheap to make, nothing is read until asked."""

    def __init__(self, files: Files) -> None:
        self.files = files

    @classmethod
    def at(cls, url: str) -> Store:
        return cls(Files.at(url))

    def manifest(self, endpoint: str, day: date) -> Manifest | None:
        """
        Raises:
            StoreError: it is damaged, or written by a newer Fortnight.
        """
        name = _manifest_name(endpoint, day)
        try:
            text = self.files.read(name)
        except FileNotFoundError:
            return None
        try:
            data = json.loads(text)
            version = data["version"]
            if version == VERSION:
                return _manifest_from_json(data)
        except (ValueError, KeyError, TypeError, AttributeError, ArithmeticError, RecursionError, LedgerError) as exc:
            raise StoreError(f"damaged manifest: {exc}", where=name, do="Collect the day again") from exc
        raise StoreError(f"written in format {version}, this Fortnight reads {VERSION}", where=name, do="Upgrade Fortnight")

    def days(self, endpoint: str) -> list[date]:
        """The collected days, ascending: the watermark is read off here, not remembered beside it."""
        return [date.fromisoformat(n.rsplit("day=", 1)[1].removesuffix(".json")) for n in self.files.list(f"days/endpoint={endpoint}")]

    def manifests(self, endpoint: str) -> list[Manifest]:
        found = (self.manifest(endpoint, day) for day in self.days(endpoint))
        return [m for m in found if m is not None]

    def table(self, name: str, endpoint: str, days: Iterable[date] | None = None, *, columns: Sequence[str] | None = None) -> pa.Table:
        """One table's rows of the given days (all collected ones), in day order; see TABLES for its schema, `columns` for less of it."""
        schema = TABLES[name] if columns is None else pa.schema([TABLES[name].field(column) for column in columns])
        return pa.Table.from_batches(self.batches(name, endpoint, days, columns=columns), schema=schema)

    def batches(
        self, name: str, endpoint: str, days: Iterable[date] | None = None, *, columns: Sequence[str] | None = None
    ) -> Iterator[pa.RecordBatch]:
        """As `table`, a row group at a time."""
        for day in self.days(endpoint) if days is None else days:
            manifest = self.manifest(endpoint, day)
            for file in manifest.files.get(name, ()) if manifest else ():
                yield from self.read_parquet(file, columns=columns)

    def read_parquet(self, file: str, *, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """One stored file, a row group at a time; of `columns` those, in their order."""
        with contextlib.closing(self._open_parquet(file)) as parquet:
            try:
                for batch in parquet.iter_batches(columns=columns and list(columns)):
                    yield batch if columns is None else batch.select(list(columns))
            except (pa.ArrowException, OSError) as exc:
                raise _damaged(file, exc) from exc

    def _open_parquet(self, name: str) -> pq.ParquetFile:
        try:
            file = self.files.open(name)
        except FileNotFoundError as exc:
            raise StoreError("the manifest names a file that is not there", where=name, do="Collect the day again") from exc
        try:
            return pq.ParquetFile(file)
        except (pa.ArrowException, OSError, UnicodeDecodeError) as exc:
            raise _damaged(name, exc) from exc

    @contextlib.contextmanager
    def day_writer(self, endpoint: str, day: date) -> Iterator[DayWriter]:
        """Drafts of one day's files; nothing is visible before DayWriter.commit."""
        with self.files.scratch() as scratch:
            writer = DayWriter(self, endpoint, day, scratch)
            try:
                yield writer
            finally:
                writer.close()


def _damaged(name: str, exc: Exception) -> StoreError:
    said = "cannot be read" if isinstance(exc, OSError) else "damaged"
    return StoreError(f"{said}: {exc}", where=name, do="Collect the day again")


class DayWriter:
    """Takes a day's rows batch by batch and commits them in one step."""

    def __init__(self, store: Store, endpoint: str, day: date, scratch: Path) -> None:
        self._store, self._endpoint, self._day, self._scratch = store, endpoint, day, scratch
        self._open: dict[str, pq.ParquetWriter] = {}

    def add(self, name: str, table: pa.Table) -> None:
        """Appends rows to one of TABLES."""
        if table.num_rows == 0:
            return
        if name not in self._open:
            self._open[name] = pq.ParquetWriter(self._scratch / f"{name}.parquet", TABLES[name], compression="zstd")
        self._open[name].write_table(table)

    def close(self) -> None:
        for writer in self._open.values():
            writer.close()

    def commit(
        self,
        summary: DaySummary,
        *,
        raw: Iterable[str] = (),
        usage: Iterable[UsageBucket] = (),
        validation: Mapping[str, Any] | None = None,
        when: datetime | None = None,
        current: Callable[[], bool] = lambda: True,
        published: Mapping[str, tuple[str, ...]] | None = None,
    ) -> bool | None:
        """
        Publishes the files, announces the manifest in the chain, replaces it, then sweeps what the day no longer names.

        Args:
            when: the moment to note in the chain.
            current: whether what was computed still stands, asked when nobody else can commit a day of the endpoint.
            published: the day's files by table, where other writers published them; this one's own are then none.

        Returns:
            whether anything differs from what was stored; None where it no longer stands, and nothing was changed.
        """
        with lease.held(self._store.files, f"days-{self._endpoint}"):
            if not current():
                return None
            named = self.publish() if published is None else published
            # What another collection of the day swept meanwhile has to be written again.
            if published is not None and not all(self._store.files.exists(file) for group in named.values() for file in group):
                return None
            return self._commit(summary, named=named, raw=raw, usage=usage, validation=validation, when=when)

    def publish(self) -> dict[str, tuple[str, ...]]:
        """The files written so far into their places, where no reader sees them before a manifest names them; by table."""
        self.close()
        files = self._store.files
        named: dict[str, tuple[str, ...]] = {}
        for table in self._open:
            draft = self._scratch / f"{table}.parquet"
            name = f"{_folder(table, self._endpoint, self._day)}/{sha256_of(draft)}.parquet"
            named[table] = (name,)
            if not files.exists(name):
                files.publish(draft, name)
        return named

    def _commit(
        self,
        summary: DaySummary,
        *,
        named: Mapping[str, tuple[str, ...]],
        raw: Iterable[str],
        usage: Iterable[UsageBucket],
        validation: Mapping[str, Any] | None,
        when: datetime | None,
    ) -> bool:
        files, store = self._store.files, self._store
        manifest = Manifest(
            endpoint=self._endpoint,
            day=self._day,
            summary=summary,
            files=named,
            raw=tuple(sorted(raw)),
            usage=tuple(usage),
            validation=validation or {},
        )
        text = json.dumps(_manifest_to_json(manifest), indent=1, sort_keys=True, allow_nan=False).encode() + b"\n"
        name = _manifest_name(self._endpoint, self._day)
        with chain.turn(files):
            chain.announce_manifest(files, endpoint=self._endpoint, day=self._day, manifest=hashlib.sha256(text).hexdigest(), when=when)
            changed = not (files.exists(name) and files.read(name) == text)
            if changed:
                files.write(name, text)
        kept = {file for group in named.values() for file in group}
        for table in TABLES:
            for file in store.files.list(_folder(table, self._endpoint, self._day)):
                if file not in kept:
                    files.delete(file)
        return changed


def _folder(table: str, endpoint: str, day: date) -> str:
    return f"{table}/endpoint={endpoint}/day={day}"


def _manifest_name(endpoint: str, day: date) -> str:
    return f"days/endpoint={endpoint}/day={day}.json"


def _manifest_to_json(manifest: Manifest) -> dict[str, Any]:
    return {
        "version": VERSION,
        "endpoint": manifest.endpoint,
        "day": manifest.day.isoformat(),
        "summary": manifest.summary.to_json(),
        "files": {k: list(v) for k, v in manifest.files.items()},
        "raw": list(manifest.raw),
        "usage": [_usage_to_json(bucket) for bucket in manifest.usage],
        "validation": dict(manifest.validation),
    }


def _manifest_from_json(data: Mapping[str, Any]) -> Manifest:
    return Manifest(
        endpoint=data["endpoint"],
        day=date.fromisoformat(data["day"]),
        summary=DaySummary.from_json(data["summary"]),
        files={k: tuple(v) for k, v in data["files"].items()},
        raw=tuple(data["raw"]),
        usage=tuple(_usage_from_json(bucket) for bucket in data["usage"]),
        validation=data["validation"],
    )


def _usage_to_json(bucket: UsageBucket) -> dict[str, Any]:
    return {
        "endpoint": bucket.endpoint,
        "source": bucket.source,
        "start": bucket.start.isoformat(),
        "end": bucket.end.isoformat(),
        "requests": bucket.requests,
        "errors": bucket.errors,
        "throttled": bucket.throttled,
        "billed_usd": {k: str(v) for k, v in sorted(bucket.billed_usd.items())},
        "billed_ms": bucket.billed_ms,
        "latency_ms_sum": bucket.latency_ms_sum,
        "latency_ms": dict(sorted(bucket.latency_ms.items())),
        "gpu_utilisation": bucket.gpu_utilisation,
        "gpu_ms": bucket.gpu_ms,
        "instances": bucket.instances,
        "starts": bucket.starts,
        "final": bucket.final,
    }


def _usage_from_json(data: Mapping[str, Any]) -> UsageBucket:
    return UsageBucket(
        **{
            **data,
            "start": datetime.fromisoformat(data["start"]),
            "end": datetime.fromisoformat(data["end"]),
            "billed_usd": {k: Decimal(v) for k, v in data["billed_usd"].items()},
        }
    )
