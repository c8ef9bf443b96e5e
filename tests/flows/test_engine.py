"""Days computed in parts, on threads and on a real Dask cluster: the same results, and on both engines the same bytes."""

import os
from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from collectors.registry import collector
from flows import collecting, day
from sandbox.faults import NO_FAULTS
from sandbox.plans import default_plans
from sandbox.world import build_world
from trial import config
from trial.store import Store
from trial.summary import DaySummary

START = date(2026, 11, 2)
RESULTS = ("raw", "invocations", "instances", "quarantine", "days", "registration.json")


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Three days of all platforms, served: long Lambda requests straddle midnights, and the two-day-old environments do too."""
    folder = tmp_path_factory.mktemp("world")
    built = build_world(seed=11, start=START, days=3, scale=0.15, plans=default_plans())
    built.set_now(built.clock.now + timedelta(hours=60))
    before = {name: os.environ.get(name) for name in built.environment()}
    os.environ.update(built.environment())
    with built.serve(folder, faults=NO_FAULTS) as addresses:
        yield built, addresses, folder
    for name, value in before.items():
        os.environ.pop(name) if value is None else os.environ.__setitem__(name, value)


def toml(world, name, *, engine):
    built, addresses, folder = world
    text = built.trial_toml(addresses, folder).replace(str(folder / "store"), str(folder / name))
    path = folder / f"{name}.toml"
    path.write_text(f"{text}\n[engine]\n{engine}\n")
    return path


def stored(path):
    root = Path(config.load(path).store_url)
    files = [file for name in RESULTS for file in ([root / name] if (root / name).is_file() else sorted((root / name).rglob("*")))]
    return {str(file.relative_to(root)): file.read_bytes() for file in files if file.is_file()}


def collect(path, world):
    from flows.daily import collect_missing

    return collect_missing(str(path), now=world[0].clock.now, publish=False)


@pytest.fixture(scope="module")
def pulled(world):
    """Lambda's raw events, in a store of its own."""
    path = toml(world, "pulled", engine="")
    trial = config.load(path)
    endpoint = next(e for e in trial.endpoints if e.platform == "aws-lambda")
    for offset in range(3):
        collecting.pull_days(trial, endpoint, (START + timedelta(days=offset),), now=world[0].clock.now)
    return trial, endpoint


def computed(pulled, which, *, part_mb):
    trial, endpoint = pulled
    store = Store.at(trial.store_url)
    summary = day.process(store, collector("aws-lambda"), endpoint, which, trial.calendar, slo_ms=500, usage=(), part_mb=part_mb)
    manifest = store.manifest(endpoint.name, which)
    tables = {name: pa.concat_tables([store.table(name, endpoint.name, [which])]) for name in manifest.files}
    rows = {name: sorted(map(repr, table.to_pylist())) for name, table in tables.items()}
    return summary, manifest, rows


@pytest.mark.parametrize("offset", [0, 1, 2])
def test_a_day_in_parts_is_the_day_as_a_whole(pulled, offset):
    which = START + timedelta(days=offset)
    whole, one, rows = computed(pulled, which, part_mb=32)
    assert whole.requests > 50 and len(one.files["invocations"]) == 1
    parts, many, same = computed(pulled, which, part_mb=0.001)
    assert len(many.files["invocations"]) > 5
    assert parts == whole
    assert same == rows
    assert {r["name"]: r["broken"] for r in many.validation["rules"]} == {r["name"]: r["broken"] for r in one.validation["rules"]}
    assert many.validation["rows"] == one.validation["rows"]


def test_what_is_dealt_out_does_not_stay(pulled):
    trial, _ = pulled
    computed(pulled, START, part_mb=0.001)
    assert [p for p in (Path(trial.store_url) / ".scratch").rglob("*") if p.is_file()] == []


def test_a_day_again_in_parts_leaves_every_byte(pulled):
    trial, _ = pulled
    computed(pulled, START, part_mb=0.002)
    before = stored(Path(trial.folder / "pulled.toml"))
    computed(pulled, START, part_mb=0.002)
    assert stored(Path(trial.folder / "pulled.toml")) == before


def test_two_dask_workers_store_the_same_bytes_as_threads(world, prefect_api):
    """Every platform, days in several parts, pulls and computations on two processes that share nothing but the store."""
    from distributed import LocalCluster

    threads = toml(world, "threads", engine="part_mb = 0.004")
    assert collect(threads, world) == []
    with LocalCluster(n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None) as cluster:
        dask = toml(world, "dask", engine=f'part_mb = 0.004\ndask = "{cluster.scheduler_address}"')
        assert collect(dask, world) == []
    theirs, ours = stored(dask), stored(threads)
    assert sorted(theirs) == sorted(ours)
    assert [name for name in ours if ours[name] != theirs[name]] == []
    names = [e.name for e in config.load(dask).endpoints]
    assert all(
        isinstance(m.summary, DaySummary) and m.summary.requests for n in names for m in Store.at(config.load(dask).store_url).manifests(n)
    )
    assert any(len(m.files["invocations"]) > 1 for n in names for m in Store.at(config.load(dask).store_url).manifests(n))


def test_workers_here_report_to_the_flows_own_prefect_server_and_others_do_not(prefect_api):
    """Else each worker would start a server of its own; one on another machine could not reach this one."""
    from prefect.server.api.server import SubprocessASGIServer
    from prefect.settings import PREFECT_API_URL, temporary_settings

    from flows import engine

    with temporary_settings(restore_defaults={PREFECT_API_URL}):
        for where in ("local", "tcp://127.0.0.1:8786"):
            with engine._one_prefect_server(where):
                assert PREFECT_API_URL.value() == SubprocessASGIServer().api_url
        with engine._one_prefect_server("tcp://scheduler:8786"):
            assert PREFECT_API_URL.value() is None
    with engine._one_prefect_server("local"):
        assert PREFECT_API_URL.value() is not None


def test_a_scheduler_that_does_not_answer_is_one_line(world, prefect_api):
    from trial.errors import ConfigError

    path = toml(world, "nobody", engine='dask = "tcp://127.0.0.1:9"')
    with pytest.raises(ConfigError, match=r"no scheduler answers at tcp://127.0.0.1:9.*Start it with `dask scheduler`"):
        collect(path, world)


def test_an_endpoint_that_fails_stops_no_other(world, prefect_api):
    path = toml(world, "fails", engine="")
    path.write_text(path.read_text().replace("summariser-run", "gone-run", 1).replace('function = "summariser"', 'function = "gone"'))
    failures = collect(path, world)
    assert [line.split(":")[0] for line in failures] == ["summariser-lambda"]
    store = Store.at(config.load(path).store_url)
    assert store.days("summariser-runpod") == [START + timedelta(days=n) for n in range(3)]
