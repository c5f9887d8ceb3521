import pickle

import pytest

from penstock.serving.errors import Code, ServingError


@pytest.mark.parametrize("code", list(Code))
def test_the_codes_are_those_of_grpc(code: Code):
    grpc = pytest.importorskip("grpc")
    assert grpc.StatusCode[code.name].value[0] == code


def test_an_error_says_its_code_and_message():
    error = ServingError(Code.NOT_FOUND, "Servable not found for request: Latest(x)")
    assert str(error) == "NOT_FOUND: Servable not found for request: Latest(x)"
    assert (error.code, error.message) == (Code.NOT_FOUND, "Servable not found for request: Latest(x)")


def test_an_error_crosses_processes():
    error = pickle.loads(pickle.dumps(ServingError(Code.DATA_LOSS, "damaged")))
    assert (error.code, error.message) == (Code.DATA_LOSS, "damaged")
