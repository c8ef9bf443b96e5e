"""
Collections in processes of their own that can be killed, slowed and limited, each forked from one that has everything imported.

    with nursery() as grow:
        (child,) = grow(toml, now=now, kill=Line(file="trial/store.py", number=190, nth=1))
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import resource
import select
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
# The files whose every line is a step of a collection as far as the store is concerned.
STEPS = (
    "trial/files.py",
    "trial/store.py",
    "trial/raw.py",
    "trial/chain.py",
    "trial/pulls.py",
    "trial/registration.py",
    "flows/collecting.py",
)
LONGEST_S = 60.0


class Line(NamedTuple):
    """The nth time a line is about to run."""

    file: str
    number: int
    nth: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Child:
    """
    One collection to run.

    Args:
        only: endpoints' names; empty for all.
        kill: SIGKILL right before this line runs; kill_after_s: or after so long.
        slow_s: every step waits up to so long, drawn with `seed`, so that two processes interleave or a copy falls in between.
        file_bytes: no file may grow beyond this (RLIMIT_FSIZE).
        count: report how often each step ran.
        here: run it in the nursery itself, so that what is imported and built once is there before the first fork.
    """

    toml: str
    now: str
    only: tuple[str, ...] = ()
    kill: Line | None = None
    kill_after_s: float | None = None
    slow_s: float = 0.0
    seed: int = 0
    file_bytes: int | None = None
    count: bool = False
    here: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a child ended: by a signal, with failures it told, or well. A crash is a traceback, which nobody should meet."""

    killed: bool
    failures: tuple[str, ...] = ()
    crash: str | None = None
    steps: tuple[Line, ...] = ()


Grow = Callable[..., list[Ended]]


@contextlib.contextmanager
def nursery() -> Iterator[Grow]:
    """Yields a function that runs children at the same time and waits for all of them."""
    process = subprocess.Popen([sys.executable, "-m", "faults.nursery"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin and process.stdout
    stdin, stdout = process.stdin, process.stdout

    def grow(*children: Child) -> list[Ended]:
        stdin.write(json.dumps([asdict(child) for child in children]) + "\n")
        stdin.flush()
        answer = stdout.readline()
        if not answer:
            raise RuntimeError("the nursery has ended")
        return [_ended(data) for data in json.loads(answer)]

    try:
        yield grow
    finally:
        stdin.close()
        process.wait(timeout=LONGEST_S)
        stdout.close()


def _ended(data: dict[str, Any]) -> Ended:
    steps = tuple(Line(*step) for step in data.get("steps", ()))
    return Ended(killed=data["killed"], failures=tuple(data.get("failures", ())), crash=data.get("crash"), steps=steps)


@dataclass(slots=True)
class _Running:
    child: dict[str, Any]
    pid: int
    pipe: int
    ends_at: float
    said: bytes = b""
    status: int | None = None
    closed: bool = field(default=False)


def _serve() -> None:
    from faults import ground  # noqa: F401 - imported before the first fork, as is all that it imports

    ready: dict[tuple[str, str], Any] = {}
    for line in sys.stdin:
        children = json.loads(line)
        if children[0]["here"]:
            print(json.dumps([{"killed": False, **_run(children[0], {})}]), flush=True)
            continue
        running = [_start(child, ready) for child in children]
        _wait(running)
        print(json.dumps([_result(one) for one in running]), flush=True)


def _start(child: dict[str, Any], ready: dict[tuple[str, str], Any]) -> _Running:
    _prepare(child, ready)
    read, write = os.pipe()
    begun = time.monotonic()
    pid = os.fork()
    if pid == 0:
        os.close(read)
        code = 1
        try:
            os.write(write, json.dumps(_run(child, ready)).encode())
            code = 0
        finally:
            os._exit(code)
    os.close(write)
    after_s = child["kill_after_s"]
    return _Running(child=child, pid=pid, pipe=read, ends_at=begun + (LONGEST_S if after_s is None else after_s))


def _prepare(child: dict[str, Any], ready: dict[tuple[str, str], Any]) -> None:
    """Clients without a connection yet; gRPC's channels do not outlive a fork and are made by the child."""
    from flows import wiring
    from trial import config

    trial = config.load(Path(child["toml"]))
    for endpoint in trial.endpoints:
        key = (endpoint.name, str(endpoint.api_endpoint))
        if endpoint.platform in ("aws-lambda", "runpod") and key not in ready:
            opened = wiring.clients(endpoint, trial, now=datetime.fromisoformat(child["now"]))
            ready[key] = (opened, opened.__enter__())


def _wait(running: Sequence[_Running]) -> None:
    while open_ones := [one for one in running if not one.closed]:
        first = min(one.ends_at for one in open_ones)
        found, _, _ = select.select([one.pipe for one in open_ones], [], [], max(0.0, first - time.monotonic()))
        for one in open_ones:
            if one.pipe in found:
                piece = os.read(one.pipe, 1 << 16)
                one.said += piece
                one.closed = not piece
            if not one.closed and time.monotonic() >= one.ends_at:
                os.kill(one.pid, signal.SIGKILL)
                one.closed = True
    for one in running:
        os.close(one.pipe)
        _, one.status = os.waitpid(one.pid, 0)


def _result(one: _Running) -> dict[str, Any]:
    assert one.status is not None
    if os.WIFSIGNALED(one.status) and os.WTERMSIG(one.status) == signal.SIGKILL:
        return {"killed": True}
    if not one.said:
        return {"killed": False, "crash": f"ended with status {one.status} and said nothing"}
    return {"killed": False, **json.loads(one.said)}


def _run(child: dict[str, Any], ready: dict[tuple[str, str], Any]) -> dict[str, Any]:
    import traceback

    from faults.ground import collect
    from trial import config

    if child["file_bytes"] is not None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (child["file_bytes"], child["file_bytes"]))
    seen: Counter[tuple[str, int]] = Counter()
    trace = _tracer(child, seen)
    trial = config.load(Path(child["toml"]))
    if trace is not None:
        sys.settrace(trace)
    try:
        run = collect(trial, now=datetime.fromisoformat(child["now"]), only=child["only"], open_clients=_opener(ready), tries=2)
    except Exception:  # noqa: BLE001 - told to the parent, which counts it as a fault not survived
        sys.settrace(None)
        return {"crash": traceback.format_exc(limit=-3)}
    sys.settrace(None)
    steps = [(file, number, nth) for (file, number), times in sorted(seen.items()) for nth in {1, 2, times // 2, times} if 0 < nth <= times]
    return {"failures": [str(f) for f in run.failures], "steps": steps if child["count"] else []}


def _opener(ready: dict[tuple[str, str], Any]) -> Any:
    from dataclasses import replace

    from collectors.pace import Pace
    from faults.ground import hurried

    @contextlib.contextmanager
    def opened(endpoint: Any, trial: Any, *, now: datetime) -> Iterator[Any]:
        made = ready.get((endpoint.name, str(endpoint.api_endpoint)))
        if made is None:
            with hurried(endpoint, trial, now=now) as clients:
                yield clients
        else:
            yield replace(made[1], pace=Pace(per_second=1000.0)) if endpoint.platform == "aws-lambda" else made[1]

    return opened


def _tracer(child: dict[str, Any], seen: Counter[tuple[str, int]]) -> Any:
    kill = child["kill"] and (child["kill"][0], child["kill"][1])
    nth = child["kill"] and child["kill"][2]
    slow_s, count = child["slow_s"], child["count"]
    if not (kill or slow_s or count):
        return None
    rng = random.Random(child["seed"])
    names = {str(ROOT / name): name for name in STEPS}

    def on_line(frame: Any, event: str, _arg: Any) -> Any:
        if event == "line":
            step = (names[frame.f_code.co_filename], frame.f_lineno)
            seen[step] += 1
            if step == kill and seen[step] == nth:
                os.kill(os.getpid(), signal.SIGKILL)
            # A line that runs for each event would make a slow child a frozen one.
            if slow_s and seen[step] <= 8:
                time.sleep(rng.uniform(0, slow_s))
        return on_line

    def on_call(frame: Any, _event: str, _arg: Any) -> Any:
        return on_line if frame.f_code.co_filename in names else None

    return on_call


if __name__ == "__main__":
    _serve()
