"""Errors print what a user needs, and cross process boundaries whole."""

import pickle

import pytest

from penstock.errors import (
    ArtifactError,
    ConfigError,
    EnvironmentProblem,
    Frame,
    PenstockError,
    UserCodeError,
    from_dict,
)

ERRORS = [
    PenstockError("it failed"),
    ConfigError("wrong", where="p.yaml:3", received="5", expected="a text", hint="quote it"),
    ArtifactError("empty", where="trainer"),
    EnvironmentProblem("no space"),
    UserCodeError("raised", where="code.py:3", frames=(Frame("code.py", 3, "f", "raise X"),)),
]


def test_an_error_prints_every_part_on_its_own_line():
    assert str(ERRORS[1]) == "p.yaml:3: wrong\n  received: 5\n  expected: a text\n  next: quote it"
    assert str(ERRORS[4]) == "code.py:3: raised\n  your code:\n  code.py:3 in f\n    raise X"


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.cause)
def test_errors_survive_pickle_and_json(error):
    for copy in (from_dict(error.to_dict()), pickle.loads(pickle.dumps(error))):
        assert type(copy) is type(error)
        assert str(copy) == str(error)


def test_exit_codes():
    assert [error.exit_code for error in ERRORS] == [1, 2, 1, 1, 1]
