"""What a look at a source found: the rows of `fortnight doctor`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """
    One thing looked at.

    Args:
        check: what was looked at, in a few words.
        state: "ok", "warn" (the trial works, less can be known) or "fail" (nothing can be collected).
        detail: what was seen.
        do: the way out, where there is something to mend.
    """

    endpoint: str
    check: str
    state: Literal["ok", "warn", "fail"]
    detail: str
    do: str | None = None
