"""
Every fuzzer for its share of ten minutes, two at a time: `make fuzz`, or `python -m fuzz --seconds 600`.

Needs atheris, which `make fuzz` installs. Exit 1 where a fuzzer found something; its input is kept beside the corpus.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).parent
AT_ONCE = 2


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=600, help="for all of them together")
    seconds = parser.parse_args().seconds
    names = sorted(p.stem for p in HERE.glob("*.py") if not p.stem.startswith("_"))
    each = max(1, seconds * AT_ONCE // len(names))
    print(f"{len(names)} fuzzers, {each} s each, {AT_ONCE} at a time", flush=True)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        outcomes = list(pool.map(lambda name: _run(name, each), names))
    for name, (code, last) in zip(names, outcomes, strict=True):
        print(f"{name:14} {'clean' if code == 0 else f'FOUND SOMETHING (exit {code})'}  {last}")
    return 1 if any(code for code, _ in outcomes) else 0


def _run(name: str, seconds: int) -> tuple[int, str]:
    command = [sys.executable, "-m", f"fuzz.{name}", f"-max_total_time={seconds}"]
    done = subprocess.run(command, cwd=HERE.parent, capture_output=True, text=True, timeout=seconds + 120, check=False)
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    if done.returncode:
        # libFuzzer reports on one, atheris the traceback on the other.
        print("\n".join([f"{name}:", *done.stdout.splitlines()[-30:], *lines[-4:]]), file=sys.stderr)
    return done.returncode, lines[-1] if lines else ""


if __name__ == "__main__":
    sys.exit(main())
