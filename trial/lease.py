"""
One writer at a time, whoever else collects into the same store.

On a folder that is a lock file. Object stores have no locks, and pyarrow no conditional write; but they are consistent: what
was written is in the next listing. That is all that Lamport's bakery needs (A new solution of Dijkstra's concurrent programming
problem, CACM 17(8), 1974), here with tickets that run out, so that a machine that died holds nobody up for long:

    .locks/<name>/choosing-<writer>          is drawing a number
    .locks/<name>/<number>-<writer>          waits, or holds the lease where no lower one is there
"""

from __future__ import annotations

import contextlib
import re
import threading
import time
import uuid
from collections.abc import Iterator

from trial.errors import StoreError
from trial.files import Files

FOLDER = ".locks"
# A writer renews its ticket three times within its life, waiting or holding.
LIFE_S = 90.0
WAIT_S = 900.0
_POLL_S = 0.05
_POLL_AT_MOST_S = 2.0
_TICKET = re.compile(r"/(\d{12})-([0-9a-f]{32})$")


@contextlib.contextmanager
def held(files: Files, name: str, *, wait_s: float = WAIT_S, life_s: float = LIFE_S) -> Iterator[None]:
    """
    Args:
        name: what it is about; different names do not wait for each other.
        wait_s: how long to wait for others.
        life_s: on an object store, after how long without a sign of life a holder counts as dead.

    Raises:
        StoreError: others held it all the time.
    """
    with _locked(files, name, wait_s) if files.local else _served(files, name, wait_s, life_s):
        yield


@contextlib.contextmanager
def _locked(files: Files, name: str, wait_s: float) -> Iterator[None]:
    import fcntl

    with files.open_lock(f"{FOLDER}/{name}") as lock:
        for _ in _polling(wait_s, name):
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
        yield


@contextlib.contextmanager
def _served(files: Files, name: str, wait_s: float, life_s: float) -> Iterator[None]:
    me, folder = uuid.uuid4().hex, f"{FOLDER}/{name}"
    ticket = _draw(files, folder, me)
    try:
        with _renewed(files, ticket, life_s / 3):
            for _ in _polling(wait_s, name):
                if _my_turn(files, folder, me, ticket, life_s):
                    break
            yield
    finally:
        files.delete(ticket)


def _draw(files: Files, folder: str, me: str) -> str:
    choosing = f"{folder}/choosing-{me}"
    files.write(choosing, b"")
    try:
        highest = max((int(found[1]) for n in files.list(folder) if (found := _TICKET.search(n))), default=0)
        ticket = f"{folder}/{highest + 1:012d}-{me}"
        files.write(ticket, b"")
        return ticket
    finally:
        files.delete(choosing)


def _my_turn(files: Files, folder: str, me: str, ticket: str, life_s: float) -> bool:
    written = files.modified(folder)
    # By the store's own clock: this writer's ticket is no older than a third of a life.
    now = max(written.values())
    dead = {name for name, at in written.items() if (now - at).total_seconds() > life_s}
    for name in dead:
        files.delete(name)
    others = [name for name in written if name not in dead and not name.endswith(me)]
    return not any(name.rsplit("/", 1)[1].startswith("choosing-") or name < ticket for name in others)


@contextlib.contextmanager
def _renewed(files: Files, ticket: str, every_s: float) -> Iterator[None]:
    over = threading.Event()

    def renew() -> None:
        while not over.wait(every_s):
            # Missed once it is still alive; an error here shows in the holder's own next write.
            with contextlib.suppress(StoreError):
                files.write(ticket, b"")

    thread = threading.Thread(target=renew, name="lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _polling(wait_s: float, name: str) -> Iterator[None]:
    pause_s, until = _POLL_S, time.monotonic() + wait_s
    while True:
        yield
        if time.monotonic() > until:
            raise StoreError(
                f"another collection has held it for {wait_s:.0f} s", where=name, do="Wait for it to end, or end it, and run again"
            )
        time.sleep(pause_s)
        pause_s = min(pause_s * 1.5, _POLL_AT_MOST_S)
