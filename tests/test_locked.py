"""requirements.lock: the versions of constraints.txt, each file by its hash, from whatever registry."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PINNED = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)")


def pinned(name: str) -> dict[str, str]:
    found = (PINNED.match(line) for line in (ROOT / name).read_text(encoding="utf-8").splitlines())
    return {re.sub(r"[._]", "-", one[1].lower()): one[2] for one in found if one}


def test_the_lock_pins_what_the_constraints_pin():
    locked, constrained = pinned("requirements.lock"), pinned("constraints.txt")
    assert len(locked) > 150
    # What only another system or Python needs is in the lock alone.
    assert {name: version for name, version in locked.items() if constrained.get(name, version) != version} == {}
    assert {"mlflow", "prefect", "great-expectations", "pandas", "boto3", "google-cloud-logging"} <= locked.keys()


def test_every_file_has_its_hash_and_none_its_place():
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    blocks = re.split(r"\n(?=[A-Za-z0-9])", text)
    assert [block[:40] for block in blocks if PINNED.match(block) and "--hash=sha256:" not in block] == []
    assert "://" not in text and "index" not in text.split("--hash")[0]
