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
