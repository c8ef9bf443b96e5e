"""
The errors Fortnight raises on purpose, each one line that says what happened, where, and what to do.

    FortnightError
    ├── ConfigError            trial.toml or the command line is wrong             exit 2
    ├── SourceError            a platform could not be read                        exit 1
    │   ├── Transient          worth another try
    │   │   ├── Throttled      the API said: too fast
    │   │   └── Unreachable    no answer, a timeout, a 5xx
    │   ├── Denied             credentials missing, expired or without the permission
    │   ├── NotFound           the log group, service or endpoint does not exist
    │   └── Malformed          an answer or a file that is not what its format says
    ├── StoreError             the store cannot be read or written                 exit 1
    ├── LedgerError            lines went missing inside Fortnight itself: a bug   exit 1
    └── CheckError             an expectation could not be evaluated: not bad data exit 1

Foreign exceptions are mapped into this tree at the seam where they appear, `from exc`. Their words often quote the request,
so what looks like a credential is blotted out of every error's text.
"""

import re

# user:password@ of a URL; Authorization headers; `name: value` and `name=value` where the name says it is a secret.
_CREDENTIALS = re.compile(
    r"(?P<url>(?<=://)[^/\s@]*@)"
    r"|(?P<scheme>\b(?:bearer|basic)\s+)[\w.~+/=-]{6,}"
    r"|(?P<name>(?:x-amz-security-token|authorization|credential|signature|[\w-]*(?:api[_-]?key|access[_-]?key|password|secret|token))"
    r"[\"']?\s*[:=]\s*[\"']?)(?:(?:bearer|basic)\s+)?[^\s\"'&,;<>]{4,}",
    re.IGNORECASE,
)


# Names and keys in a file are quoted where they are wrong, and a terminal would obey what they hold.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


def on_one_line(text: str) -> str:
    """The text with what credentials it quotes blotted out, and no character a terminal would act on; line ends become spaces."""
    return _CONTROL.sub(lambda m: " " if m[0] in "\n\r\t" else m[0].encode("unicode_escape").decode(), without_credentials(text))


def without_credentials(text: str) -> str:
    """The text with what looks like a credential replaced by `***`."""
    return _CREDENTIALS.sub(lambda m: "***@" if m["url"] else f"{m['scheme'] or m['name']}***", text)


class FortnightError(Exception):
    """
    The root: one line of what, where and what to do.

    Args:
        what: what went wrong, without a trailing full stop.
        where: the file, key, endpoint or address it concerns.
        do: the way out, an imperative sentence.
    """

    exit_code = 1

    def __init__(self, what: str, *, where: str | None = None, do: str | None = None) -> None:
        self.what, self.where = on_one_line(what), on_one_line(where) if where else where
        self.do = on_one_line(do) if do else do
        super().__init__(self.what, self.where, self.do)

    def __str__(self) -> str:
        line = f"{self.where}: {self.what}" if self.where else self.what
        return f"{line}. {self.do}" if self.do else line

    def __reduce__(self):
        # Keyword-only arguments do not survive the default pickling, and errors cross process borders.
        return (_rebuild, (type(self), self.what, self.where, self.do))


def _rebuild(kind: type[FortnightError], what: str, where: str | None, do: str | None) -> FortnightError:
    return kind(what, where=where, do=do)


class ConfigError(FortnightError):
    """The configuration or the command line is wrong; nothing was started."""

    exit_code = 2


class SourceError(FortnightError):
    """A platform could not be read."""


class Transient(SourceError):
    """A failure that may pass: worth another try."""


class Throttled(Transient):
    """The API asked for slower calls."""


class Unreachable(Transient):
    """No answer, a timeout or a 5xx."""


class Denied(SourceError):
    """Credentials are missing, expired or lack a permission."""


class NotFound(SourceError):
    """The named log group, service or endpoint does not exist."""


class Malformed(SourceError):
    """An answer or a file is not what its format says."""


class StoreError(FortnightError):
    """The store cannot be read or written."""


class LedgerError(FortnightError):
    """The ledger does not add up: a bug in Fortnight, never in the logs."""


class CheckError(FortnightError):
    """An expectation could not be evaluated, which says nothing about the data."""
