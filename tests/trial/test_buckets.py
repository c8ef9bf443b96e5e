"""The store in a bucket, on both kinds of object store: files whole or not at all, one holder of a lease, the bytes of a folder."""

import subprocess
import sys
import threading
import time
from datetime import UTC, date, datetime, timedelta

import pytest

from trial import lease, raw, schema
from trial.errors import StoreError
from trial.files import Files
from trial.records import Invocation, RawEvent
from trial.store import Store
from trial.summary import DaySummary

DAY = date(2026, 11, 3)
NOON = datetime(2026, 11, 3, 12, tzinfo=UTC)


def contents(files):
    found = (name.removeprefix("./") for name in files.list("." if files.local else ""))
    return {name: files.read(name) for name in found if not name.startswith((".locks", ".scratch"))}


def event(n):
    return RawEvent(source="logs", stream=f"s{n % 3}", event_id=f"{n:04}", at=NOON + timedelta(milliseconds=n), payload=f"line {n}")


def fill(store, n):
    raw.merge(store.files, endpoint="e", events=[event(i) for i in reversed(range(n))], day_of=lambda at: at.date())
    rows = [
        Invocation(platform="runpod", endpoint="e", day=DAY, request_id=str(i), instance_id="i", started_at=NOON, cold="warm")
        for i in range(n)
    ]
    with store.day_writer("e", DAY) as writer:
        writer.add("invocations", schema.invocations_table(rows))
        return writer.commit(DaySummary(endpoint="e", platform="runpod", days=(DAY,), requests=n), when=NOON)


def test_a_store_in_a_bucket_holds_the_bytes_of_one_in_a_folder(bucket, tmp_path):
    stores = [Store.at(url) for url in (bucket, str(tmp_path / "folder"))]
    for n in (3, 5):
        assert [fill(store, n) for store in stores] == [True, True]
    assert fill(stores[0], 5) is False
    there, here = (contents(store.files) for store in stores)
    assert there == here
    assert len([name for name in there if name.startswith("invocations")]) == 1
    assert [e.event_id for e in raw.read(stores[0].files, endpoint="e", day=DAY, source="logs")] == [f"{n:04}" for n in range(5)]
    assert stores[0].table("invocations", "e").num_rows == 5
    assert stores[0].days("e") == [DAY]


def test_a_reader_meets_the_old_file_or_the_new_one(bucket):
    files = Files.at(bucket)
    size = 3_000_000
    files.write("manifest", b"0" * size)
    over = threading.Event()

    def replace():
        for n in range(1, 16):
            files.write("manifest", b"%d" % (n % 10) * size)
        over.set()

    writer = threading.Thread(target=replace)
    writer.start()
    seen = []
    while not over.is_set() or len(seen) < 3:
        data = files.read("manifest")
        seen.append((len(data), len(set(data))))
    writer.join()
    assert set(seen) == {(size, 1)}


def test_what_is_not_there(bucket):
    files = Files.at(bucket)
    assert (files.exists("x"), files.list("folder"), files.modified("folder")) == (False, [], {})
    with pytest.raises(FileNotFoundError):
        files.read("x")
    files.delete("x")


def test_a_bucket_that_is_not_there_is_one_line(bucket):
    files = Files.at(bucket.replace("trial", "nobodys", 1))
    with pytest.raises((StoreError, FileNotFoundError)):
        files.write("x", b"1")


HOLDER = """
import sys, time
from trial import lease
from trial.files import Files
url, me = sys.argv[1:]
files = Files.at(url)
for n in range(4):
    with lease.held(files, "raw-e"):
        count = int(files.read("count"))
        time.sleep(0.05)
        files.write("count", b"%d" % (count + 1))
"""


def test_one_process_at_a_time_holds_the_lease(bucket):
    """Reading, waiting and writing back loses a count wherever two hold it at once."""
    files = Files.at(bucket)
    files.write("count", b"0")
    running = [subprocess.Popen([sys.executable, "-c", HOLDER, bucket, str(n)]) for n in range(3)]
    assert [process.wait(120) for process in running] == [0, 0, 0]
    assert files.read("count") == b"12"
    assert files.list(lease.FOLDER) == []


def test_a_dead_holder_is_waited_out_and_its_ticket_is_gone(bucket):
    files = Files.at(bucket)
    program = (
        "import os, sys; from trial import lease; from trial.files import Files\n"
        "with lease.held(Files.at(sys.argv[1]), 'raw-e', life_s=1.5): os._exit(9)"
    )
    assert subprocess.run([sys.executable, "-c", program, bucket], check=False).returncode == 9
    assert len(files.list(lease.FOLDER)) == 1
    began = time.monotonic()
    with lease.held(files, "raw-e", life_s=1.5):
        pass
    assert time.monotonic() - began < 30
    assert files.list(lease.FOLDER) == []
