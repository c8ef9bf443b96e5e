"""The hash chain: what appends, what does not, what it notices, and that two writers lose no line."""

import hashlib
import json
import subprocess
import sys
from datetime import UTC, date, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trial import chain, registration
from trial.errors import StoreError
from trial.files import Files
from trial.store import Store
from trial.summary import DaySummary

DAY = date(2026, 11, 3)
NOW = datetime(2026, 11, 4, 3, 30, tzinfo=UTC)


def commit(store, n=1, *, day=DAY, endpoint="e"):
    with store.day_writer(endpoint, day) as writer:
        return writer.commit(DaySummary(endpoint=endpoint, platform="aws-lambda", days=(day,), requests=n), when=NOW)


def stored_sha(store, endpoint="e", day=DAY):
    return hashlib.sha256(store.files.read(f"days/endpoint={endpoint}/day={day}.json")).hexdigest()


def test_every_manifest_that_changes_has_a_line_and_no_other(tmp_path):
    store = Store.at(str(tmp_path))
    commit(store, 1)
    before = (tmp_path / chain.NAME).read_bytes()
    commit(store, 1)
    assert (tmp_path / chain.NAME).read_bytes() == before
    first = stored_sha(store)
    commit(store, 2)
    journal = chain.read(store.files)
    assert journal.problems == ()
    assert journal.manifests("e", DAY) == [first, stored_sha(store)]
    assert [link.sequence for link in journal.links] == [1, 2]
    assert {link.when for link in journal.links} == {NOW.isoformat()}


def test_the_registration_and_the_price_book_stand_on_every_line(tmp_path):
    store = Store.at(str(tmp_path))
    settings = {"trial.cold_hit_threshold": "0.2", "prices.sha256": json.dumps("a" * 64)}
    registration.register(store.files, settings, now=NOW)
    registration.register(store.files, settings, now=NOW)
    commit(store)
    registration.register(store.files, {**settings, "trial.cold_hit_threshold": "0.3"}, now=NOW)
    first, day, second = chain.read(store.files).links
    assert (first.endpoint, first.prices, first.replaced) == (None, "a" * 64, None)
    assert (day.registration, day.prices) == (first.registration, "a" * 64)
    assert second.replaced == first.registration
    assert second.registration == hashlib.sha256(store.files.read(registration.NAME)).hexdigest()


def test_a_crash_between_line_and_manifest_is_healed_by_the_next_commit(tmp_path):
    """The line comes first, so what a crash leaves is a line whose manifest is missing; it is then written, without a further line."""
    store = Store.at(str(tmp_path))
    commit(store, 1)
    old = store.files.read(f"days/endpoint=e/day={DAY}.json")
    commit(store, 2)
    after = (tmp_path / chain.NAME).read_bytes(), stored_sha(store)
    store.files.write(f"days/endpoint=e/day={DAY}.json", old)
    assert commit(store, 2) is True
    assert ((tmp_path / chain.NAME).read_bytes(), stored_sha(store)) == after


def test_a_full_disk_before_the_manifest_leaves_the_day_as_it_was(tmp_path):
    store = Store.at(str(tmp_path))
    commit(store, 1)
    before = stored_sha(store)
    (tmp_path / chain.NAME).unlink()
    (tmp_path / chain.NAME).mkdir()
    with pytest.raises(StoreError):
        commit(store, 2)
    assert stored_sha(store) == before


def test_a_registration_somebody_else_changed_is_not_taken_into_the_chain(tmp_path):
    store = Store.at(str(tmp_path))
    settings = {"trial.cold_hit_threshold": "0.2"}
    registration.register(store.files, settings, now=NOW)
    path = tmp_path / registration.NAME
    path.write_bytes(path.read_bytes().replace(b"2026-11-04T03", b"2026-11-04T02"))
    registration.register(store.files, settings, now=NOW)
    assert len(chain.read(store.files).links) == 1


def journal_of(root, lines):
    store = Store.at(str(root))
    for n in range(lines):
        commit(store, n, endpoint=f"e{n % 2}")
    return store.files


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0, 1, exclude_max=True), mask=st.integers(1, 255))
def test_any_flipped_byte_of_the_journal_is_found(tmp_path_factory, place, mask):
    root = tmp_path_factory.getbasetemp() / "flipped-journal"
    if not root.exists():
        journal_of(root, 5)
    data = bytearray((root / chain.NAME).read_bytes())
    data[int(place * len(data))] ^= mask
    copy = tmp_path_factory.mktemp("copy")
    (copy / chain.NAME).write_bytes(bytes(data))
    assert chain.read(Files.at(str(copy))).problems


@pytest.mark.parametrize(
    "change", [lambda x: x[1:], lambda x: x[:2] + x[3:], lambda x: [x[1], x[0], *x[2:]], lambda x: [*x[:2], x[1], *x[2:]]]
)
def test_lines_taken_out_moved_or_doubled_are_found(tmp_path, change):
    files = journal_of(tmp_path, 5)
    lines = files.read(chain.NAME).splitlines(keepends=True)
    files.write(chain.NAME, b"".join(change(lines)))
    assert chain.read(files).problems


def test_a_journal_cut_at_its_end_no_longer_names_the_newest_manifest(tmp_path):
    files = journal_of(tmp_path, 3)
    head = chain.read(files).head
    lines = files.read(chain.NAME).splitlines(keepends=True)
    files.write(chain.NAME, b"".join(lines[:-1]))
    journal = chain.read(files)
    assert journal.problems == ()
    assert journal.head != head
    assert journal.manifests("e0", DAY)[-1] != stored_sha(Store(files), "e0")


def test_a_damaged_journal_stops_no_collection_and_stays_damaged(tmp_path):
    files = journal_of(tmp_path, 3)
    files.write(chain.NAME, files.read(chain.NAME).replace(b'"sequence":2', b'"sequence":7'))
    commit(Store(files), 9, endpoint="late")
    journal = chain.read(files)
    assert len(journal.problems) == 2  # the line itself, and the one after it, which no longer follows
    assert journal.manifests("late", DAY) == [stored_sha(Store(files), "late")]


WRITER = """
import sys
from datetime import date, timedelta
from trial.store import Store
from trial.summary import DaySummary
url, endpoint, days = sys.argv[1:]
store = Store.at(url)
for n in range(int(days)):
    day = date(2026, 11, 2) + timedelta(days=n)
    with store.day_writer(endpoint, day) as writer:
        writer.commit(DaySummary(endpoint=endpoint, platform="runpod", days=(day,), requests=n))
"""


def at_once(url, *, days):
    """Three collectors of different endpoints, in processes of their own; the journal they leave."""
    running = [subprocess.Popen([sys.executable, "-c", WRITER, url, f"e{n}", str(days)]) for n in range(3)]
    assert [process.wait(120) for process in running] == [0, 0, 0]
    return chain.read(Files.at(url))


def test_collectors_of_different_endpoints_at_once_lose_no_line(tmp_path):
    journal = at_once(str(tmp_path), days=25)
    assert journal.problems == ()
    assert len(journal.links) == len(journal.days()) == 75


def test_nor_do_they_on_an_object_store(bucket):
    journal = at_once(bucket, days=5)
    assert journal.problems == ()
    assert len(journal.links) == len(journal.days()) == 15
