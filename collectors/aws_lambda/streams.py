"""Names of functions, log groups and log streams."""

from __future__ import annotations

import re
from functools import lru_cache

# A stream of the function's own group is 2026/11/02/[3]<env>; in a shared group the function's name stands before the version.
_STREAM = re.compile(r"\d{4}/\d{2}/\d{2}/([^\[\]/]*)\[[^\]]+\]")


def bare_function(function: str) -> str:
    """The name alone, of a name, name:alias, partial or full ARN."""
    if ":function:" in function:
        function = function.split(":function:", 1)[1]
    elif function.count(":") > 1:
        function = function.split(":")[1]
    return function.split(":", 1)[0]


def log_group(function: str, configured: str | None) -> str:
    return configured or f"/aws/lambda/{bare_function(function)}"


@lru_cache(maxsize=65536)
def belongs_to(stream: str, function: str) -> bool:
    """
    Whether a stream may be this function's: in shared groups the whole name must match, since acme-orders is a prefix
    of acme-orders-api. A stream that names no function is taken.
    """
    match = _STREAM.match(stream)
    return match is None or match[1] in ("", bare_function(function))
