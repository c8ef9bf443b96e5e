"""The values of a JSON file one by one, whether it is one array, one big document, one value a line, or values end to end."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from typing import Any, BinaryIO

from collectors.json_text import keep_halves
from trial.errors import Malformed

# One value larger than this is no log entry: CloudWatch stops at 1 MB, Cloud Logging at 256 KiB.
MAX_VALUE_CHARS = 32 << 20
_CHUNK = 1 << 17
# What a number, a word or an escape may consist of when the chunk ends in its middle.
_UNFINISHED = frozenset("0123456789+-.eEtrufalsn\\abcdefABCDEF")
_SPACE = " \t\r\n"
# `aws logs filter-log-events` writes all its pages as one document, whose list is the only part that grows.
_LIST_FIRST = re.compile(r'\{\s*"(?:events|results|entries)"\s*:\s*\[')
_END = object()


def json_items(stream: BinaryIO, *, where: str) -> Iterator[Any]:
    """
    The elements of arrays and of a document's leading `events`, `results` or `entries` list; any other value as it is.

    Memory holds one value and one chunk. Numbers beyond 64 bits become floats, a lone surrogate becomes the text of its escape,
    and what is not UTF-8 (or UTF-16 with its mark, as PowerShell writes it) U+FFFD.

    Raises:
        Malformed: not JSON, or half-written; named with the file and about where.
    """
    text = _Text(stream, where)
    while text.peek() != "":
        if text.peek() == "[":
            text.skip(1)
            yield from _elements(text)
        elif text.peek() == "{" and (head := text.match(_LIST_FIRST)):
            text.skip(head)
            yield from _elements(text)
            _rest_of_object(text)
        else:
            yield text.value()
        if text.peek() == ",":  # a list whose brackets were cut off with the first lines
            text.skip(1)


def _elements(text: _Text) -> Iterator[Any]:
    while True:
        if text.peek() == "]":
            text.skip(1)
            return
        yield text.value()
        if text.peek() == ",":
            text.skip(1)
        elif text.peek() != "]":
            text.fail("expected a comma or the end of the list")


def _rest_of_object(text: _Text) -> None:
    while text.peek() == ",":
        text.skip(1)
        if not isinstance(text.value(), str) or text.peek() != ":":
            text.fail("expected a key")
        text.skip(1)
        text.value()
    if text.peek() != "}":
        text.fail("expected the end of the object")
    text.skip(1)


class _Text:
    """A window on the file's text that moves forward; mutable."""

    def __init__(self, stream: BinaryIO, where: str) -> None:
        self._stream, self._where = stream, where
        self._buffer, self._at, self._line, self._done = "", 0, 1, False
        head = stream.read(_CHUNK)
        coding = "utf-16" if head[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
        self._decoder = codecs.getincrementaldecoder(coding)(errors="replace")
        self._feed(head)
        self._json = json.JSONDecoder(parse_int=_int, parse_constant=_no_constant)

    def peek(self) -> str:
        """The next character that is no white space; "" at the end."""
        while True:
            while self._at < len(self._buffer):
                if self._buffer[self._at] not in _SPACE:
                    return self._buffer[self._at]
                self._line += self._buffer[self._at] == "\n"
                self._at += 1
            if not self._more():
                return ""

    def match(self, pattern: re.Pattern[str]) -> int | None:
        """How many characters `pattern` matches here; it must fit a chunk."""
        while len(self._buffer) - self._at < 256 and self._more():
            pass
        found = pattern.match(self._buffer, self._at)
        return found.end() - self._at if found else None

    def skip(self, count: int) -> None:
        self._at += count

    def value(self) -> Any:
        if self.peek() == "":
            self._half_written()
        while True:
            try:
                value, end = self._json.raw_decode(self._buffer, self._at)
            except json.JSONDecodeError as exc:
                rest = self._buffer[exc.pos : exc.pos + 13].strip(_SPACE)
                cut = exc.msg.startswith("Unterminated") or (len(rest) < 13 and set(rest) <= _UNFINISHED)
                if not cut or len(self._buffer) - self._at > MAX_VALUE_CHARS:
                    self.fail(exc.msg, ahead=exc.pos - self._at)
                if not self._more():
                    self._half_written()
                continue
            except RecursionError:
                self.fail("nested too deeply")
            except ValueError as exc:
                self.fail(str(exc))
            # A number near the buffer's end ("1", "1e") may go on in the next chunk.
            if end + 4 > len(self._buffer) and not isinstance(value, (dict, list, str)) and self._more():
                continue
            raw = self._buffer[self._at : end]
            self._line += raw.count("\n")
            self._at = end
            return self._json.decode(keep_halves(raw)) if "\\ud" in raw or "\\uD" in raw else value

    def fail(self, what: str, *, ahead: int = 0) -> None:
        line = self._line + self._buffer.count("\n", self._at, self._at + ahead)
        raise Malformed(f"not JSON at line {line}: {what}", where=self._where, do="Export it again, or set the `format` it has")

    def _half_written(self) -> None:
        raise Malformed(
            f"ends in the middle of a JSON value that begins at line {self._line}",
            where=self._where,
            do="Export it again: it looks half-written",
        )

    def _more(self) -> bool:
        if self._done:
            return False
        # A value that did not fit is tried again with twice the text, so that a large one costs a few tries, not hundreds.
        data = self._stream.read(max(_CHUNK, len(self._buffer) - self._at))
        self._buffer, self._at = self._buffer[self._at :], 0
        self._feed(data)
        return True

    def _feed(self, data: bytes) -> None:
        self._done = not data
        self._buffer += self._decoder.decode(data, final=self._done)


def _int(digits: str) -> int | float:
    value = int(digits) if len(digits) <= 20 else float(digits)
    return value if isinstance(value, float) or -(2**63) <= value < 2**63 else float(value)


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")
