import pickle

import pytest

from trial import errors

ALL = [e for e in vars(errors).values() if isinstance(e, type) and issubclass(e, errors.FortnightError)]


@pytest.mark.parametrize("kind", ALL, ids=lambda e: e.__name__)
def test_errors_are_one_line_survive_pickling_and_stand_in_the_docstring(kind):
    error = kind("it broke", where="here", do="Mend it")
    assert str(error) == "here: it broke. Mend it"
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
    assert kind.__name__ in errors.__doc__
    assert error.exit_code == (2 if kind is errors.ConfigError else 1)


def test_what_a_terminal_would_obey_is_shown_as_it_is_written():
    error = errors.Malformed("holds \x1b[31mred\x07\nand \u202egpj", where="a\x9b.json", do="Look at a\rb")
    assert str(error) == "a\\x9b.json: holds \\x1b[31mred\\x07 and \\u202egpj. Look at a b"
