"""JSON as programs print it: with halves of characters that no text can hold."""

from __future__ import annotations

import re
from typing import Any

import orjson

# A pair of escapes is a character; one alone is half of one, as a program prints that cuts its text at 16-bit units.
_ESCAPE = re.compile(r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u(?P<half>[dD][89a-fA-F][0-9a-fA-F]{2})|\\.", re.DOTALL)


def loads(text: str) -> Any:
    """
    As orjson.loads, with lone surrogates read as the escapes they stand as, `\\ud800`: the request is not lost for them.

    Raises:
        orjson.JSONDecodeError: it is not JSON.
    """
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        kept = keep_halves(text)
        if kept == text:
            raise
        return orjson.loads(kept)


def keep_halves(text: str) -> str:
    """JSON text in which each lone surrogate, escaped or not, is text that shows its escape."""
    plain = text.encode("utf-8", "backslashreplace").decode()
    return _ESCAPE.sub(lambda found: f"\\\\u{found['half']}" if found["half"] else found[0], plain)
