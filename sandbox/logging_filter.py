"""Google's filter language, as Cloud Logging and Cloud Monitoring take it: parsed honestly, refused where not understood."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote

from sandbox.instants import to_us

Test = Callable[[Mapping[str, Any]], bool]

_TOKEN = re.compile(
    r"""\s*(?:(?P<string>"(?:[^"\\]|\\.)*")|(?P<op>>=|<=|!=|=~|!~|=|>|<|:|\(|\)|,)|(?P<word>(?:[^\s"()=<>!:,]|(?<=\.)"[^"]*")+))""",
)
_OPERATORS = frozenset((">=", "<=", "!=", "=~", "!~", "=", ">", "<", ":"))
_TIMES = frozenset(("timestamp", "receiveTimestamp", "receive_timestamp"))


class FilterError(ValueError):
    """The filter cannot be understood; the API answers INVALID_ARGUMENT."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """
    Args:
        test: whether an entry, as an object, matches.
        begin_us, end_us: bounds on `timestamp` that every match lies in, both inclusive; what a search can start from.
    """

    test: Test
    begin_us: int
    end_us: int


def compile_filter(text: str) -> Filter:
    """
    Comparisons (= != < <= > >= : =~ !~) joined by AND, OR, NOT, parentheses and juxtaposition; `field=("a" OR "b")`; log_id("x").

    Raises:
        FilterError
    """
    parser = _Parser(text)
    test = parser.expression() if parser.tokens else lambda _entry: True
    if parser.tokens:
        raise FilterError(f"unexpected {parser.tokens[0][1]!r}")
    begin, end = parser.bounds if not parser.disjunctive else (0, 1 << 62)
    return Filter(test=test, begin_us=begin, end_us=end)


class _Parser:
    """Recursive descent; OR binds looser than AND, as in the language."""

    def __init__(self, text: str) -> None:
        self.tokens = _tokens(text)
        self.bounds = (0, 1 << 62)
        # Bounds from a timestamp inside OR or NOT would be wrong: the search then looks at everything.
        self.disjunctive = False
        self._depth = 0

    def expression(self) -> Test:
        self._depth += 1
        if self._depth > 50:
            raise FilterError("nested too deeply")
        tests = [self._conjunction()]
        while self._take("OR"):
            tests.append(self._conjunction())
        self._depth -= 1
        if len(tests) == 1:
            return tests[0]
        return lambda entry: any(test(entry) for test in tests)

    def _conjunction(self) -> Test:
        tests = [self._negation()]
        while self.tokens and self.tokens[0] not in (("word", "OR"), ("op", ")")):
            self._take("AND")
            tests.append(self._negation())
        return tests[0] if len(tests) == 1 else lambda entry: all(test(entry) for test in tests)

    def _negation(self) -> Test:
        if self._take("NOT"):
            self.disjunctive = True
            test = self._negation()
            return lambda entry: not test(entry)
        if self._op("("):
            test = self.expression()
            self._expect(")")
            return test
        return self._comparison()

    def _comparison(self) -> Test:
        kind, field = self._next()
        if kind == "op":
            raise FilterError(f"a field was expected, not {field!r}")
        if kind == "word" and field == "log_id" and self._op("("):
            name = self._next()[1]
            self._expect(")")
            ending = f"/logs/{quote(name, safe='.-_~')}"
            return lambda entry: str(entry.get("logName", "")).endswith(ending)
        if not self.tokens or self.tokens[0][1] not in _OPERATORS or self.tokens[0][0] != "op":
            raise FilterError(f"an operator was expected after {field!r}; bare search terms are not offered here")
        operator = self._next()[1]
        if self._op("("):
            values = [self._next()[1]]
            joined = ""
            while not self._op(")"):
                joined = self._next()[1]
                if joined not in ("OR", "AND"):
                    raise FilterError(f"OR or AND was expected in a list of values, not {joined!r}")
                values.append(self._next()[1])
            tests = [self._test(field, operator, value) for value in values]
            return (lambda e: any(t(e) for t in tests)) if joined != "AND" else (lambda e: all(t(e) for t in tests))
        return self._test(field, operator, self._next()[1])

    def _test(self, field: str, operator: str, value: str) -> Test:
        path = tuple(part.strip('"') for part in re.findall(r'"[^"]*"|[^.]+', field))
        if field in _TIMES:
            return self._time_test("receiveTimestamp" if field.startswith("receive") else "timestamp", operator, value)
        if operator == ":":
            if value == "*":
                return lambda entry: _look(entry, path) is not None
            return lambda entry: value.lower() in str(_look(entry, path) or "").lower()
        if operator in ("=~", "!~"):
            try:
                pattern = re.compile(value)
            except re.error as exc:
                raise FilterError(f"not a regular expression: {value!r}") from exc
            return lambda entry: bool(pattern.search(str(_look(entry, path) or ""))) == (operator == "=~")
        if operator == "=":
            return lambda entry: _text(_look(entry, path)) == value
        if operator == "!=":
            return lambda entry: _text(_look(entry, path)) != value
        return lambda entry: _ordered(_look(entry, path), operator, value)

    def _time_test(self, name: str, operator: str, value: str) -> Test:
        try:
            at = datetime.fromisoformat(value)
            us = to_us(at)
        except (ValueError, TypeError) as exc:
            raise FilterError(f"{name} is compared with {value!r}, which is no RFC 3339 time with a zone") from exc
        if self._depth > 1:
            self.disjunctive = self.disjunctive or name == "timestamp"
        elif name == "timestamp":
            low, high = self.bounds
            self.bounds = {
                ">=": (max(low, us), high),
                ">": (max(low, us + 1), high),
                "<=": (low, min(high, us)),
                "<": (low, min(high, us - 1)),
                "=": (max(low, us), min(high, us)),
            }.get(operator, (low, high))
        compare = {
            ">=": lambda x: x >= us,
            ">": lambda x: x > us,
            "<=": lambda x: x <= us,
            "<": lambda x: x < us,
            "=": lambda x: x == us,
            "!=": lambda x: x != us,
        }.get(operator)
        if compare is None:
            raise FilterError(f"{name} cannot be compared with {operator}")
        key = f"{name}Us"
        return lambda entry: compare(entry[key])

    def _next(self) -> tuple[str, str]:
        if not self.tokens:
            raise FilterError("the filter ends in the middle")
        return self.tokens.pop(0)

    def _take(self, word: str) -> bool:
        if self.tokens and self.tokens[0] == ("word", word):
            self.disjunctive = self.disjunctive or (word == "OR" and self._depth <= 1)
            self.tokens.pop(0)
            return True
        return False

    def _op(self, op: str) -> bool:
        if self.tokens and self.tokens[0] == ("op", op):
            self.tokens.pop(0)
            return True
        return False

    def _expect(self, op: str) -> None:
        if not self._op(op):
            raise FilterError(f"{op!r} was expected")


def _tokens(text: str) -> list[tuple[str, str]]:
    found, at = [], 0
    text = re.sub(r"--[^\n]*", "", text)
    while at < len(text.rstrip()):
        match = _TOKEN.match(text, at)
        if match is None:
            raise FilterError(f"cannot read the filter at {text[at : at + 20]!r}")
        kind = str(match.lastgroup)
        value = match[kind]
        found.append((kind, re.sub(r"\\(.)", r"\1", value[1:-1]) if kind == "string" else value))
        at = match.end()
    return found


def _look(entry: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    value: Any = entry
    for part in path:
        if not isinstance(value, Mapping):
            return None
        value = value.get(part)
    return value


def _text(value: Any) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    return None if value is None else str(value)


_SEVERITIES = ("DEFAULT", "DEBUG", "INFO", "NOTICE", "WARNING", "ERROR", "CRITICAL", "ALERT", "EMERGENCY")


def _ordered(value: Any, operator: str, other: str) -> bool:
    if value is None:
        return False
    try:
        pair: tuple[Any, Any] = (float(value), float(other))
    except (TypeError, ValueError):
        known = value in _SEVERITIES and other in _SEVERITIES
        pair = (_SEVERITIES.index(value), _SEVERITIES.index(other)) if known else (str(value), other)
    left, right = pair
    return {">": left > right, ">=": left >= right, "<": left < right, "<=": left <= right}[operator]
