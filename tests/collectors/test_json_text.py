from __future__ import annotations

import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.json_text import keep_halves, loads


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (r'{"a":"x\ud800y"}', {"a": r"x\ud800y"}),
        (r'"\uDE00\ud83d"', r"\uDE00\ud83d"),
        (r'"\ud83d\ude00"', "\N{GRINNING FACE}"),
        (r'"\ud83d\ude00\ud83d"', "\N{GRINNING FACE}\\ud83d"),
        (r'"\\ud800 \ud800"', r"\ud800 \ud800"),
        (r'"\\\ud800"', r"\\ud800"),
        ('"\ud800"', r"\ud800"),
    ],
)
def test_half_a_character_is_read_as_its_escape(text, value):
    assert loads(text) == value


@pytest.mark.parametrize("text", [r'{"a":"\ud800"', r'"\ud8"', "\ud800", "", "[" * 5000, r'{"a":"\ud800",}'])
def test_what_is_broken_otherwise_stays_broken(text):
    with pytest.raises(orjson.JSONDecodeError):
        loads(text)


@given(st.text(st.characters(codec=None, exclude_categories=())))
def test_any_text_is_read_and_shown_as_python_would_print_it(value):
    for text in (json.dumps(value), json.dumps(value, ensure_ascii=False)):
        # Halves that meet are a character in JSON, as they are not in Python.
        whole = value.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass") if text.isascii() else value
        assert loads(text) == whole.encode("utf-8", "backslashreplace").decode()
        assert keep_halves(keep_halves(text)) == keep_halves(text)
