"""
Every fault in turn and the table of what survived: `make faults`, or `python -m faults [--quick] [--only NAME]`.

Loopback only, about nine minutes on two cores, seconds with --quick. Exit 1 where a fault was not survived.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import time
from pathlib import Path

from faults.catalogue import FAULTS
from faults.outcome import Outcome

# Thousands of flushes to a disk would take most of the time and change nothing: what is killed here is the process, not the machine.
MEMORY = "/dev/shm"


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m faults", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a few runs of each")
    parser.add_argument("--only", metavar="NAME", action="append", choices=sorted(FAULTS), help="this fault; may be given again")
    given = parser.parse_args(argv)
    # What a disturbed run warns of is expected; the table says whether it was survived.
    logging.getLogger("fortnight").setLevel(logging.CRITICAL)
    outcomes = []
    print("| fault | what is done | runs | survived | lost | double | s | note |\n|---|---|--:|--:|--:|--:|--:|---|", flush=True)
    for name in given.only or FAULTS:
        with tempfile.TemporaryDirectory(prefix="fortnight-faults-", dir=MEMORY if Path(MEMORY).is_dir() else None) as folder:
            begun = time.perf_counter()
            outcome = FAULTS[name](Path(folder), quick=given.quick)
            print(_row(outcome, time.perf_counter() - begun), flush=True)
            outcomes.append(outcome)
    broken = [o for o in outcomes if not o.ok]
    for outcome in broken:
        print(f"\n{outcome.name}: NOT SURVIVED", *outcome.problems[:10], sep="\n  ", file=sys.stderr)
    return 1 if broken else 0


def _row(outcome: Outcome, seconds: float) -> str:
    cells = (outcome.name, outcome.injected, outcome.runs, outcome.survived, outcome.lost, outcome.double, f"{seconds:.0f}")
    return "| " + " | ".join([*map(str, cells), "; ".join(outcome.notes)]) + " |"


if __name__ == "__main__":
    sys.exit(main())
