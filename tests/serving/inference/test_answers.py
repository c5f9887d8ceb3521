"""What the vectors in ``conformance/`` cannot show, because no exported model does it."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from google.protobuf import text_format
from tensorflow.core.example import example_pb2
from tensorflow.core.framework import tensor_pb2
from tensorflow_serving.apis import classification_pb2, predict_pb2

from penstock.serving.errors import Code, ServingError
from penstock.serving.inference.classify import classify
from penstock.serving.inference.metadata import check_fields, metadata
from penstock.serving.inference.predict import predict
from tests.serving.inference.fakes import Arrays, FakeModel, definition

DEFAULT = 'defaults { key: "k" value { dtype: DT_FLOAT tensor_shape {} float_val: 10 } }'


def plus(inputs: Arrays) -> Arrays:
    return {"y": inputs["x"] + inputs["k"]}


def asked(text: str) -> predict_pb2.PredictRequest:
    return text_format.Parse(f'model_spec {{ name: "m" }} {text}', predict_pb2.PredictRequest())


X = 'inputs { key: "x" value { dtype: DT_FLOAT tensor_shape { dim { size: 1 } } float_val: 1 } }'
K = 'inputs { key: "k" value { dtype: DT_FLOAT float_val: 2 } }'
Z = X.replace('"x"', '"z"')


def test_an_input_with_a_default_may_be_left_out() -> None:
    model = FakeModel(definition(["x", "k"], ["y"]) + DEFAULT, plus)
    assert list(predict(model, asked(X)).outputs["y"].float_val) == [11.0]
    assert list(predict(model, asked(X + K)).outputs["y"].float_val) == [3.0]


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        (
            K,
            (
                "Signature input alias: x(feed name: x:0) not found in request and no default value provided. Inputs "
                "expected to be in the request {k}, or default input alias set: k"
            ),
        ),
        (X + Z, "Inputs contains invalid name. Used request inputs: x, request input: x,z"),
        (
            X + Z + K,
            (
                "input size does not match signature: 3!=2 len({k,x,z}) != len({k,x}). Sent extra: {z}. Missing but "
                "required: {}."
            ),
        ),
    ],
)
def test_inputs_that_do_not_fit_a_signature_with_defaults(sent: str, message: str) -> None:
    model = FakeModel(definition(["x", "k"], ["y"]) + DEFAULT, plus)
    with pytest.raises(ServingError) as caught:
        predict(model, asked(sent))
    assert (caught.value.code, caught.value.message) == (Code.INVALID_ARGUMENT, message)


def test_outputs_as_content() -> None:
    model = FakeModel(definition(["x"], ["y"]), lambda inputs: {"y": inputs["x"]})
    answer = predict(model, asked(X), as_content=True)
    assert answer.outputs["y"].tensor_content == np.float32(1).tobytes()
    assert not answer.outputs["y"].float_val


def test_a_label_that_is_no_text() -> None:
    model = FakeModel(definition(["inputs"], ["classes"]), lambda _: {"classes": np.array([[b"\xff"]], object)})
    request = classification_pb2.ClassificationRequest()
    request.input.example_list.examples.append(example_pb2.Example())
    with pytest.raises(ServingError, match=r"INTERNAL: a class label is not UTF-8: b'\\xff'"):
        classify(model, request)


def test_metadata_names_the_version_that_has_them() -> None:
    answer = metadata(FakeModel(definition(["x"], ["y"]), plus, version=12))
    assert (answer.model_spec.name, answer.model_spec.version.value) == ("m", 12)


def test_fields_of_metadata() -> None:
    check_fields(["signature_def"])
    with pytest.raises(ServingError, match="Metadata field warm is not supported"):
        check_fields(["signature_def", "warm"])


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("float8_e5m2", 'dtype: DT_FLOAT8_E5M2 tensor_shape { dim { size: 2 } } float8_val: "<@"'),
        ("int4", "dtype: DT_INT4 tensor_shape { dim { size: 2 } } int_val: [1, 2]"),
    ],
)
def test_outputs_of_small_types(name: str, answer: str) -> None:
    """No exported model does it: with one such type in a graph, TensorFlow's optimizer gives the whole graph up."""
    model = FakeModel(definition(["x"], ["y"]), lambda inputs: {"y": np.array([1, 2], getattr(ml_dtypes, name))})
    assert predict(model, asked(X)).outputs["y"] == text_format.Parse(answer, tensor_pb2.TensorProto())


def test_an_output_of_a_type_that_no_tensor_has() -> None:
    model = FakeModel(definition(["x"], ["y"]), lambda inputs: {"y": inputs["x"].astype("datetime64[D]")})
    with pytest.raises(ServingError) as caught:
        predict(model, asked(X))
    assert (caught.value.code, caught.value.message) == (
        Code.UNIMPLEMENTED,
        "the output y cannot be sent: an array of datetime64[D] is no tensor",
    )
