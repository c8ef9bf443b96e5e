"""`fortnight verify`: a flipped byte is found wherever it lies, and an undisturbed store has nothing to be found."""

import hashlib
import importlib.util
import json
import random
import shutil
import subprocess
import sys
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flows import collecting, results, verifying
from trial import chain, config, registration
from trial.errors import ConfigError
from trial.store import Store

NOW = datetime(2026, 11, 4, 4, tzinfo=UTC)

_spec = importlib.util.spec_from_file_location("flows_conftest", Path(__file__).with_name("conftest.py"))
shared = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(shared)

EXPORTED = """
[[endpoints]]
name = "old"
platform = "export"
format = "invocations"
path = "old.csv"
"""


def collect(folder, *, now=NOW):
    """What the flow does, without the flow: verify never needs Prefect."""
    trial = config.load(folder / "trial.toml")
    store = Store.at(trial.store_url)
    results.register(trial, store, now=now)
    for endpoint in trial.endpoints:
        for span in collecting.plan(trial, store, endpoint, now=now):
            pulled = collecting.pull_days(trial, endpoint, span, now=now)
            for day in span:
                collecting.compute_day(trial, endpoint, day, pulled.usage[day], now=now)


@pytest.fixture(scope="module")
def collected(tmp_path_factory):
    """A collected two-day trial of two endpoints; tests copy it before they change it."""
    folder = tmp_path_factory.mktemp("collected")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FORTNIGHT_TEST_KEY", "k")
        (folder / "trial.toml").write_text(shared.TOML.format(days=2) + EXPORTED)
        lines = shared.handler_lines(days=2, gap_s=1500)
        # One line that claims to be ours and is broken, so that there is a quarantine file too.
        lines.append({**lines[-1], "request_id": "bad", "gpu_ms": "fast"})
        shared.write_lines(folder / "lines" / "a.jsonl", lines)
        rows = [f"r{n},2026-11-0{2 + n % 2}T1{n}:00:00Z,{'cold' if n % 3 else 'warm'}\n" for n in range(8)]
        (folder / "old.csv").write_text("request_id,started_at,cold\n" + "".join(rows))
        collect(folder)
    return folder


@pytest.fixture
def copied(collected, tmp_path):
    return Path(shutil.copytree(collected, tmp_path / "copied"))


def verify(folder, *, scratch=None):
    trial = config.load(folder / "trial.toml")
    return verifying.verify(trial, Store.at(trial.store_url), now=NOW, scratch=scratch)


def whole(folder, tmp_path):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    return verify(folder, scratch=scratch)


def kinds(outcome):
    return {(f.kind, f.where.split("/")[0]) for f in outcome.findings}


def test_an_undisturbed_store_is_recomputed_to_the_byte_and_left_alone(collected, tmp_path, snapshot):
    before = snapshot(collected)
    outcome = whole(collected, tmp_path)
    assert outcome.findings == []
    assert outcome.ok
    assert outcome.checked["days_recomputed"] == outcome.checked["manifests"] == 4
    assert outcome.checked["links"] == 5
    assert {v.endpoint: v.requests for v in outcome.verdicts} == {"rp": len(shared.handler_lines(days=2, gap_s=1500)), "old": 8}
    assert snapshot(collected) == before


# Where a byte may be flipped; each pattern matches several files.
PLACES = {
    "raw": "fortnight-data/raw/**/*.zst",
    "stored": "fortnight-data/invocations/**/*.parquet",
    "instances": "fortnight-data/instances/**/*.parquet",
    "quarantine": "fortnight-data/quarantine/**/*.parquet",
    "manifest": "fortnight-data/days/**/*.json",
    "registration": "fortnight-data/registration.json",
    "chain": "fortnight-data/chain.ndjson",
}


@pytest.mark.parametrize("place", PLACES)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32))
def test_a_flipped_byte_is_found(place, collected, tmp_path_factory, seed):
    rng = random.Random(seed)
    work = tmp_path_factory.getbasetemp() / f"flip-{place}"
    if not work.exists():
        shutil.copytree(collected, work)
    path = rng.choice(sorted(work.glob(PLACES[place])))
    kept = path.read_bytes()
    data = bytearray(kept)
    data[rng.randrange(len(data))] ^= rng.randrange(1, 256)
    path.write_bytes(bytes(data))
    try:
        outcome = verify(work)
    finally:
        path.write_bytes(kept)
    assert not outcome.ok
    assert any(f.kind == "changed" and str(path.relative_to(work / "fortnight-data")) == f.where for f in outcome.findings)


def test_a_flipped_byte_of_a_summary_is_found_wherever_it_lies(collected, tmp_path):
    """The summary stands in its day's manifest: each of its bytes is tried, a bit each."""
    work = Path(shutil.copytree(collected, tmp_path / "work"))
    path = work / "fortnight-data/days/endpoint=old/day=2026-11-02.json"
    kept = path.read_bytes()
    begin, files = kept.index(b'"summary"'), Store.at(str(work / "fortnight-data")).files
    journal = chain.read(files)
    for n in range(begin, len(kept), 7):
        data = bytearray(kept)
        data[n] ^= 1 << n % 8
        path.write_bytes(bytes(data))
        outcome = verifying.Outcome()
        verifying._manifests(Store.at(str(work / "fortnight-data")), journal, outcome)
        assert [(f.kind, f.where) for f in outcome.findings] == [("changed", "days/endpoint=old/day=2026-11-02.json")], n
    path.write_bytes(kept)
    assert verify(work).findings == []


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32))
def test_a_flipped_byte_of_the_configuration_is_found_or_says_nothing_else(collected, tmp_path_factory, seed):
    """It is no TOML any more, no setting, or another one than registered; or it says what it said, or where the store and the API are."""
    rng = random.Random(seed)
    work = tmp_path_factory.getbasetemp() / "flip-configuration"
    if not work.exists():
        shutil.copytree(collected, work)
    path = work / "trial.toml"
    kept = path.read_bytes()
    registered = registration.settings_of(config.load(path))
    data = bytearray(kept)
    data[rng.randrange(len(data))] ^= rng.randrange(1, 128)
    path.write_bytes(bytes(data))
    try:
        trial = config.load(path)
        outcome = verify(work)
    except ConfigError:
        return
    finally:
        path.write_bytes(kept)
    if registration.settings_of(trial) != registered:
        assert any(f.kind == "settings" and f.where == "trial.toml" for f in outcome.findings)
        assert not outcome.ok
    else:
        assert outcome.ok


def test_a_summary_that_was_changed_with_its_hashes_is_found_by_recomputing(copied, tmp_path):
    """Somebody who rewrites the manifest and the whole chain is found out by the raw events, and by the head noted elsewhere."""
    head = chain.read(Store.at(str(copied / "fortnight-data")).files).head
    path = copied / "fortnight-data/days/endpoint=rp/day=2026-11-02.json"
    data = json.loads(path.read_text())
    data["summary"]["cold_hits"] -= 1
    path.write_text(json.dumps(data, indent=1, sort_keys=True) + "\n")
    files = Store.at(str(copied / "fortnight-data")).files
    with chain.turn(files):
        chain.announce_manifest(
            files, endpoint="rp", day=date(2026, 11, 2), manifest=hashlib.sha256(path.read_bytes()).hexdigest(), when=NOW
        )
    assert verify(copied).ok
    outcome = whole(copied, tmp_path)
    assert not outcome.ok
    assert any(f.kind == "differs" and "`cold_hits`" in f.what for f in outcome.findings)
    assert any(f.kind == "differs" and f.where == "verdict of rp" for f in outcome.findings)
    assert outcome.head != head


def test_raw_events_swapped_for_others_with_a_true_name_are_found(copied, tmp_path):
    (path,) = (copied / "fortnight-data/raw/endpoint=rp/day=2026-11-02").rglob("*.zst")
    (other,) = (copied / "fortnight-data/raw/endpoint=rp/day=2026-11-03").rglob("*.zst")
    path.unlink()
    shutil.copy(other, path.parent / other.name)
    outcome = whole(copied, tmp_path)
    assert ("differs", "rp 2026-11-02") in {(f.kind, f.where) for f in outcome.findings}


def test_damaged_raw_events_are_named_once_and_their_days_not_recomputed(copied, tmp_path):
    (path,) = (copied / "fortnight-data/raw/endpoint=rp/day=2026-11-02").rglob("*.zst")
    path.write_bytes(path.read_bytes()[:-3])
    outcome = whole(copied, tmp_path)
    assert [(f.kind, f.where.split("/")[0]) for f in outcome.findings] == [
        ("changed", "raw"),
        ("note", "rp 2026-11-02"),
        ("note", "rp 2026-11-03"),
    ]
    assert [v.endpoint for v in outcome.verdicts] == ["old"]


@pytest.mark.parametrize(
    ("victim", "kind", "where"),
    [
        ("days/endpoint=rp/day=2026-11-02.json", "missing", "days"),
        ("registration.json", "missing", "registration.json"),
        ("chain.ndjson", "missing", "chain.ndjson"),
    ],
)
def test_a_deleted_file_is_missed(victim, kind, where, copied):
    (copied / "fortnight-data" / victim).unlink()
    outcome = verify(copied)
    assert (kind, where) in kinds(outcome)
    assert not outcome.ok


def test_a_deleted_table_is_missed(copied):
    path = next((copied / "fortnight-data/invocations/endpoint=rp").rglob("*.parquet"))
    path.unlink()
    assert ("missing", "invocations") in kinds(verify(copied))


def test_an_old_manifest_put_back_is_not_taken_for_the_newest(copied):
    path = copied / "fortnight-data/days/endpoint=rp/day=2026-11-03.json"
    old = path.read_bytes()
    more = shared.handler_lines(days=2, gap_s=1500)[-1]
    shared.write_lines(copied / "lines" / "late.jsonl", [{**more, "request_id": "late", "ts": "2026-11-03T23:30:00+00:00"}])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FORTNIGHT_TEST_KEY", "k")
        collect(copied)
    assert verify(copied).ok
    new = path.read_bytes()
    assert new != old
    path.write_bytes(old)
    assert ("unfinished", "days") in kinds(verify(copied))


def test_a_changed_configuration_is_named_by_its_key(copied):
    path = copied / "trial.toml"
    path.write_text(path.read_text().replace("runpod-flex-4090", "runpod-flex-4080"))
    outcome = verify(copied)
    assert [(f.kind, f.where) for f in outcome.findings] == [("settings", "trial.toml")]
    assert "`endpoints.rp.price`" in outcome.findings[0].what
    assert not outcome.ok


def test_a_changed_price_book_is_found(copied):
    import analysis.prices

    book = copied / "book.toml"
    shutil.copy(Path(analysis.prices.__file__).with_name("prices.toml"), book)
    path = copied / "trial.toml"
    path.write_text(path.read_text() + '\n[prices]\nbook = "book.toml"\n')
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FORTNIGHT_TEST_KEY", "k")
        collect(copied)
    assert verify(copied).ok
    book.write_text(book.read_text() + "# changed\n")
    assert [(f.kind, f.where) for f in verify(copied).findings] == [("settings", "price book")]


def test_settings_changed_since_a_day_was_computed_are_told_apart_from_changed_bytes(copied, tmp_path):
    path = copied / "trial.toml"
    path.write_text(path.read_text().replace('timezone = "UTC"', 'timezone = "UTC"\nlatency_slo_ms = 10'))
    outcome = whole(copied, tmp_path)
    assert {f.kind for f in outcome.findings} == {"settings", "differs"}
    assert all("noticed" in f.what for f in outcome.findings if f.kind == "differs" and f.where.startswith("rp"))


def test_a_registration_changed_before_a_collection_stays_visible(copied):
    """The collection notes the difference as a change of settings, but the chain remembers that it replaced a foreign file."""
    path = copied / "fortnight-data" / registration.NAME
    path.write_bytes(path.read_bytes().replace(b'"trial.cold_hit_threshold": "0.2"', b'"trial.cold_hit_threshold": "0.9"'))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FORTNIGHT_TEST_KEY", "k")
        collect(copied)
    assert [(f.kind, f.where) for f in verify(copied).findings] == [("changed", "registration.json")]


def test_the_same_rows_in_other_bytes_are_a_note(copied, tmp_path):
    """As an upgrade of Arrow writes them: bytes and names differ, rows do not, and nobody is blamed."""
    import pyarrow.parquet as pq

    files = Store.at(str(copied / "fortnight-data")).files
    (path,) = (copied / "fortnight-data/invocations/endpoint=old/day=2026-11-02").glob("*.parquet")
    pq.write_table(pq.read_table(path), path, compression="snappy")
    renamed = path.with_name(f"{hashlib.sha256(path.read_bytes()).hexdigest()}.parquet")
    path.rename(renamed)
    manifest = copied / "fortnight-data/days/endpoint=old/day=2026-11-02.json"
    manifest.write_text(manifest.read_text().replace(path.stem, renamed.stem))
    chain.announce_manifest(
        files, endpoint="old", day=date(2026, 11, 2), manifest=hashlib.sha256(manifest.read_bytes()).hexdigest(), when=NOW
    )
    outcome = whole(copied, tmp_path)
    assert outcome.ok
    assert [f.what for f in outcome.findings] == ["invocations: the same rows in other bytes, as another version of Arrow writes them"]


def run(*args, cwd):
    code = (
        "import sys\nfrom flows.cli import main\ntry:\n    main()\nfinally:\n"
        "    print([m for m in ('prefect', 'mlflow', 'matplotlib', 'great_expectations', 'pandas', 'boto3', 'google.cloud') if m in sys.modules], file=sys.stderr)"
    )
    return subprocess.run([sys.executable, "-c", code, "verify", *args], cwd=cwd, capture_output=True, text=True, timeout=120)


def test_the_command_says_it_in_one_line_each_and_exits_with_1(copied):
    done = run("--json", cwd=copied)
    document = json.loads(done.stdout)
    assert done.returncode == 0
    # What is needed to check the expectations again, and what that library imports by itself.
    assert "prefect" not in done.stderr and "mlflow" not in done.stderr and "matplotlib" not in done.stderr
    assert document["ok"] is True
    assert document["chain_head"] == chain.read(Store.at(str(copied / "fortnight-data")).files).head
    (path,) = (copied / "fortnight-data/raw/endpoint=old/day=2026-11-02").rglob("*.zst")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    done = run("--quick", cwd=copied)
    assert (done.returncode, done.stderr.strip()) == (1, "[]")
    assert done.stdout.startswith(f"changed: {path.relative_to(copied / 'fortnight-data')}: its content is not what its name says.")
    assert json.loads(run("--json", "--quick", cwd=copied).stdout)["ok"] is False


def test_a_store_in_a_bucket_is_verified_as_a_folder_is(copied, tmp_path, monkeypatch):
    import pyarrow.fs as pafs

    server = pytest.importorskip("moto.server", reason="the sandbox extra is not installed").ThreadedMotoServer(port=0)
    server.start()
    try:
        address = ":".join(map(str, server.get_host_and_port()))
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "k")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
        bucket = pafs.S3FileSystem(endpoint_override=address, scheme="http", allow_bucket_creation=True)
        bucket.create_dir("verified")
        pafs.copy_files(
            str(copied / "fortnight-data"), "verified/t", source_filesystem=pafs.LocalFileSystem(), destination_filesystem=bucket
        )
        path = copied / "trial.toml"
        path.write_text(path.read_text() + f'\n[store]\nurl = "s3://verified/t?endpoint_override={address}&scheme=http"\n')
        outcome = whole(copied, tmp_path)
        assert outcome.findings == []
        assert outcome.checked["days_recomputed"] == 4
        trial = config.load(path)
        files = Store.at(trial.store_url).files
        name = files.list("raw/endpoint=old")[0]
        files.write(name, files.read(name)[:-1] + b"x")
        assert [(f.kind, f.where) for f in verify(copied).findings] == [("changed", name)]
    finally:
        server.stop()
