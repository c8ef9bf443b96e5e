from __future__ import annotations

import io
import itertools
import json
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.export.json_items import json_items
from trial.errors import Malformed

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**62), 2**62) | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def items(data: bytes | str):
    return list(json_items(io.BytesIO(data.encode() if isinstance(data, str) else data), where="a.json"))


class Drip(io.RawIOBase):
    def __init__(self, data: bytes, step: int) -> None:
        self._data, self._step = data, step

    def read(self, size: int = -1) -> bytes:
        out, self._data = self._data[: self._step], self._data[self._step :]
        return out


@given(st.lists(VALUES, max_size=6), st.sampled_from([None, 2]), st.integers(1, 9))
def test_every_layout_gives_the_same_values_whatever_the_chunks(values, indent, step):
    array = json.dumps(values, indent=indent)
    document = json.dumps({"events": values, "searchedLogStreams": [], "nextToken": "x"}, indent=indent)
    for text in (array, document):
        assert list(json_items(Drip(text.encode(), step), where="x")) == values
    objects = [{"v": v} for v in values]
    for separator in ("\n", "", "\r\n\r\n", ",\n"):
        text = separator.join(json.dumps(o, indent=indent) for o in objects)
        assert list(json_items(Drip(text.encode(), step), where="x")) == objects


@given(st.lists(VALUES, min_size=1, max_size=6).map(lambda v: json.dumps(v).encode()), st.data())
def test_half_a_file_says_so(whole, data):
    cut = data.draw(st.integers(1, len(whole) - 1))
    with pytest.raises(Malformed, match=r"a\.json: (ends in the middle|not JSON)"):
        items(whole[:cut])


@given(st.binary(max_size=80))
def test_any_bytes_are_values_or_one_clear_line(data):
    said = "a.json: "
    try:
        items(data)
    except Malformed as exc:
        said = str(exc)
    assert "\n" not in said and said.startswith("a.json: ")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"events": [{"a": 1}, {"b"', "ends in the middle of a JSON value that begins at line 1"),
        ('[\n{"a": 1},\n{"b": "x', "begins at line 3"),
        ('[\n{"a": 1},\n{"b": nope}\n, {"c": 3333333333333333333}]', "not JSON at line 3"),
        ("[1 2]", "expected a comma"),
        ('{"events": [] "x"}', "expected the end of the object"),
        ('{"events": [], 3: 4}', "expected a key"),
        ("[NaN]", "NaN is no JSON number"),
        ("[" * 100_000, "a.json"),
        ("hello", "not JSON at line 1"),
    ],
)
def test_errors_say_where(text, says):
    with pytest.raises(Malformed) as caught:
        items(text)
    assert says in str(caught.value)


def test_empty_file_has_no_items():
    assert items("") == items(" \n") == items("[]") == items('{"events": []}') == []


def test_what_powershell_writes():
    assert items("\ufeff[1, 2]".encode("utf-16-le")) == items(b"\xef\xbb\xbf[1, 2]") == [1, 2]


def test_values_can_be_stored_whatever_they_hold():
    import orjson

    (value,) = items('[{"big": 123456789012345678901234567890, "edge": 9223372036854775808, "lone": "\\ud83d", "pair": "\\ud83d\\ude00"}]')
    assert orjson.loads(orjson.dumps(value)) == {
        "big": 1.2345678901234568e29,
        "edge": 9.223372036854776e18,
        "lone": "\\ud83d",
        "pair": "😀",
    }


def test_memory_is_flat_whatever_the_file():
    class Endless(io.RawIOBase):
        def __init__(self, count: int) -> None:
            line = b'{"message": "' + b"x" * 5000 + b'"},\n'
            self._parts = itertools.chain([b'{"events": ['], itertools.repeat(line, count), [b'{"message": "end"}]}'])

        def read(self, size: int = -1) -> bytes:
            return next(self._parts, b"")

    def peak(count: int) -> int:
        tracemalloc.start()
        assert sum(1 for _ in json_items(Endless(count), where="x")) == count + 1
        top = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return top

    assert peak(5000) < 2 * peak(500)
