"""`fortnight export`: the stored invocations in one file."""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow as pa

from trial import config, schema
from trial.errors import ConfigError, StoreError
from trial.store import Store

# What a spreadsheet takes for the beginning of a formula; the last four are the full-width forms East Asian ones accept.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def run(path: Path, *, out: Path, endpoint: str | None) -> None:
    trial = config.load(path)
    store = Store.at(trial.store_url)
    names = [trial.endpoint(endpoint).name] if endpoint else [e.name for e in trial.endpoints]
    batches = [batch for name in names for batch in store.batches("invocations", name)]
    table = pa.Table.from_batches(batches, schema=schema.INVOCATIONS)
    draft = out.with_name(f".{out.name}.draft")
    try:
        _write(table, draft, out.suffix)
        os.replace(draft, out)
    except OSError as exc:
        raise StoreError(f"cannot be written: {exc.strerror}", where=str(out), do="Name another file with --out") from exc
    finally:
        draft.unlink(missing_ok=True)


def _write(table: pa.Table, draft: Path, ending: str) -> None:
    match ending:
        case ".parquet":
            import pyarrow.parquet as pq

            pq.write_table(table, draft, compression="zstd")
        case ".csv":
            import pyarrow.csv as pc

            pc.write_csv(_without_formulas(table), draft)
        case ".json":
            table.to_pandas().to_json(draft, orient="records", lines=True, date_format="iso", date_unit="us")
        case _:
            raise ConfigError(f"--out ends in {ending!r}", do="End it in .parquet, .csv or .json (one object a line)")


def _without_formulas(table: pa.Table) -> pa.Table:
    """Text that a spreadsheet would run gets a leading apostrophe: ids and model names come from logs."""
    for name in table.column_names:
        if pa.types.is_string(table[name].type):
            safe = [f"'{v}" if v is not None and v.lstrip(" \n")[:1] in _FORMULA else v for v in table[name].to_pylist()]
            table = table.set_column(table.column_names.index(name), name, pa.array(safe, type=pa.string()))
    return table
