"""One random generator per purpose, so that switching one thing on or off leaves every other draw as it was."""

from __future__ import annotations

import zlib

import numpy as np


def generator(seed: int, *purpose: str) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence([seed, *(zlib.crc32(name.encode()) for name in purpose)]))


def uuid4_text(rng: np.random.Generator) -> str:
    """A version 4 UUID from the generator's own bytes."""
    h = rng.bytes(16).hex()
    return f"{h[:8]}-{h[8:12]}-4{h[13:16]}-{'89ab'[int(h[16], 16) % 4]}{h[17:20]}-{h[20:32]}"
