"""PredictionService.Predict, vector by vector, through the official stubs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import grpc
import numpy as np
import pytest
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from penstock.serving.server import Ports
from tests.serving.conformance.grpc_vectors import (
    EXHAUSTED,
    INVALID,
    NOT_FOUND,
    PRECONDITION,
    Vector,
    answered,
    check,
    floats,
    inputs,
    outputs,
    spec,
    table,
    tensor,
)

ONE_TWO = inputs(x=floats(1, 2))


def served(version: int, name: str = "zoo") -> str:
    return outputs(y=floats(0.5 + version + 1, 1 + version + 1)) + answered(version=version, name=name)


VERSIONS = [
    Vector("no version is the newest", spec() + ONE_TWO, served(3)),
    Vector("version by number", spec(version=2) + ONE_TWO, served(2)),
    Vector("newest by number", spec(version=3) + ONE_TWO, served(3)),
    Vector("label stable", spec(label="stable") + ONE_TWO, served(2)),
    Vector("label canary", spec(label="canary") + ONE_TWO, served(3)),
    Vector("another model", spec("half") + ONE_TWO, served(1, "half")),
    Vector("signature by its default name", spec(signature="serving_default") + ONE_TWO, served(3)),
    Vector(
        "unknown model",
        spec("nobody") + ONE_TWO,
        code=NOT_FOUND,
        message="Servable not found for request: Latest(nobody)",
    ),
    Vector(
        "unknown version",
        spec(version=9) + ONE_TWO,
        code=NOT_FOUND,
        message="Servable not found for request: Specific(zoo, 9)",
    ),
    Vector(
        "a version that the policy leaves out",
        spec(version=1) + ONE_TWO,
        code=NOT_FOUND,
        message="Servable not found for request: Specific(zoo, 1)",
    ),
    Vector(
        "version 0",
        spec(version=0) + ONE_TWO,
        code=NOT_FOUND,
        message="Servable not found for request: Specific(zoo, 0)",
    ),
    Vector(
        "negative version",
        spec(version=-1) + ONE_TWO,
        code=NOT_FOUND,
        message="Servable not found for request: Specific(zoo, -1)",
    ),
    Vector(
        "unknown label",
        spec(label="beta") + ONE_TWO,
        code=INVALID,
        message="Unrecognized servable version label: beta",
    ),
    Vector(
        "a label of another model",
        spec("half", label="stable") + ONE_TWO,
        code=INVALID,
        message="Unrecognized servable version label: stable",
    ),
    Vector(
        "a label whose version is not there",
        spec(label="gone") + ONE_TWO,
        code=NOT_FOUND,
        message="Servable not found for request: Specific(zoo, 1)",
    ),
    Vector("no model_spec", ONE_TWO, code=INVALID, message="Missing ModelSpec"),
    Vector("no name", spec("") + ONE_TWO, code=INVALID, message="ModelSpec has no name specified."),
    Vector("nothing at all", "", code=INVALID, message="Missing ModelSpec"),
    Vector(
        "unknown signature",
        spec(signature="none") + ONE_TWO,
        code=PRECONDITION,
        message='Serving signature key "none" not found.',
    ),
    Vector(
        "names are case-sensitive",
        spec("Zoo") + ONE_TWO,
        code=NOT_FOUND,
        message="Servable not found for request: Latest(Zoo)",
    ),
]

AB = inputs(a=floats(3, 5), b=floats(1, 2))
SUM, DIFFERENCE = outputs(sum=floats(4, 7)), outputs(difference=floats(2, 3))
WRONG_NUMBER = "input size does not match signature: "
FILTERS = [
    Vector("two inputs, all outputs", spec(signature="two") + AB, SUM + DIFFERENCE + answered("two")),
    Vector("the filter chooses", spec(signature="two") + AB + 'output_filter: "sum"', SUM + answered("two")),
    Vector(
        "the filter chooses both",
        spec(signature="two") + AB + 'output_filter: ["sum", "difference"]',
        SUM + DIFFERENCE + answered("two"),
    ),
    Vector(
        "an unknown output",
        spec(signature="two") + AB + 'output_filter: "product"',
        code=INVALID,
        message="output tensor alias not found in signature: product Outputs expected to be in the set "
        "{difference,sum}.",
    ),
    Vector(
        "an output twice",
        spec(signature="two") + AB + 'output_filter: ["sum", "sum"]',
        code=INVALID,
        message="duplicate output tensor alias: sum",
    ),
    Vector(
        "an empty name in the filter",
        spec(signature="two") + AB + 'output_filter: ""',
        code=INVALID,
        message="output tensor alias not found in signature:  Outputs expected to be in the set {difference,sum}.",
    ),
    Vector(
        "one input missing",
        spec(signature="two") + inputs(a=floats(1)),
        code=INVALID,
        message=WRONG_NUMBER + "1!=2 len({a}) != len({a,b}). Sent extra: {}. Missing but required: {b}.",
    ),
    Vector(
        "no input",
        spec(signature="two"),
        code=INVALID,
        message=WRONG_NUMBER + "0!=2 len({}) != len({a,b}). Sent extra: {}. Missing but required: {a,b}.",
    ),
    Vector(
        "one input too many",
        spec() + inputs(x=floats(1), z=floats(1)),
        code=INVALID,
        message=WRONG_NUMBER + "2!=1 len({x,z}) != len({x}). Sent extra: {z}. Missing but required: {}.",
    ),
    Vector(
        "another input",
        spec() + inputs(z=floats(1)),
        code=INVALID,
        message="Signature input alias: x(feed name: …",
    ),
    Vector(
        "the signature is looked at before the inputs",
        spec(signature="none"),
        code=PRECONDITION,
        message='Serving signature key "none" not found.',
    ),
    Vector(
        "inputs are looked at before the filter",
        spec(signature="two") + 'output_filter: "product"',
        code=INVALID,
        message=WRONG_NUMBER + "0!=2 len({}) != len({a,b}). Sent extra: {}. Missing but required: {a,b}.",
    ),
]

SIX = tensor("float_val: [1, 2, 3, 4, 5, 6]", (2, 3))


def doubled(values: str, shape: tuple[int, ...] = (2,)) -> str:
    return outputs(y=tensor(values, shape)) + answered("echo_float32")


def echo(value: str, dtype: str = "float32") -> str:
    return spec(signature=f"echo_{dtype}") + inputs(x=value)


BROKEN = "tensor parsing error: x"
SHAPES = [
    Vector(
        "a scalar",
        spec(signature="scalar") + inputs(x=tensor("float_val: 2", ())),
        outputs(y=tensor("float_val: 4", ())) + answered("scalar"),
    ),
    Vector("a matrix", spec(signature="matrix") + inputs(x=SIX), outputs(y=floats(6, 15)) + answered("matrix")),
    Vector("no rows", spec() + inputs(x=tensor("", (0,))), outputs(y=tensor("", (0,))) + answered()),
    Vector(
        "no rows of three",
        spec(signature="matrix") + inputs(x=tensor("", (0, 3))),
        outputs(y=tensor("", (0,))) + answered("matrix"),
    ),
    Vector(
        "outputs of several ranks and types",
        spec(signature="mixed") + ONE_TWO,
        outputs(
            rows=floats(1, 2),
            total=tensor("float_val: 3", ()),
            text_bytes=tensor('string_val: ["1.000000", "2.000000"]', (2,), "STRING"),
        )
        + answered("mixed"),
    ),
    Vector("one value stands for all", echo(tensor("float_val: 7", (3,))), doubled("float_val: [7, 7, 7]", (3,))),
    Vector(
        "the last value stands for the rest",
        echo(tensor("float_val: [1, 2]", (4,))),
        doubled("float_val: [1, 2, 2, 2]", (4,)),
    ),
    Vector("no value is zeros", echo(tensor("", (2,))), doubled("float_val: [0, 0]")),
    Vector(
        "more values than the shape holds", echo(tensor("float_val: [1, 2, 3]", (2,))), doubled("float_val: [1, 2]")
    ),
    Vector("no shape is a scalar", echo("dtype: DT_FLOAT float_val: 5"), doubled("float_val: 5", ())),
    Vector(
        "values in the field of another type are none",
        echo(tensor("int_val: [5, 5]", (2,))),
        doubled("float_val: [0, 0]"),
    ),
    Vector("NaN and infinities", echo(tensor("float_val: [inf, -inf]", (2,))), doubled("float_val: [inf, -inf]")),
    Vector(
        "strings are empty if there is no value",
        echo(tensor("", (2,), "STRING"), "string"),
        outputs(y=tensor('string_val: ["", ""]', (2,), "STRING")) + answered("echo_string"),
    ),
    Vector(
        "bytes that are no text",
        echo(tensor(r'string_val: "\377\000"', (1,), "STRING"), "string"),
        outputs(y=tensor(r'string_val: "\377\000"', (1,), "STRING")) + answered("echo_string"),
    ),
    Vector(
        "strings as content",
        echo(tensor(r'tensor_content: "\001\002abc"', (2,), "STRING"), "string"),
        outputs(y=tensor('string_val: ["a", "bc"]', (2,), "STRING")) + answered("echo_string"),
    ),
    Vector(
        "content of another length", echo(tensor(r'tensor_content: "\000\000\000"', (1,))), code=INVALID, message=BROKEN
    ),
    Vector(
        "string content of another length",
        echo(tensor(r'tensor_content: "\005a"', (1,), "STRING"), "string"),
        code=INVALID,
        message=BROKEN,
    ),
    Vector(
        "string content that ends early",
        echo(tensor(r'tensor_content: "\200"', (1,), "STRING"), "string"),
        code=INVALID,
        message=BROKEN,
    ),
    Vector("a negative size", echo(tensor("float_val: 1", (-1,))), code=INVALID, message=BROKEN),
    Vector("sizes that overflow", echo(tensor("float_val: 1", (1 << 40, 1 << 40))), code=INVALID, message=BROKEN),
    Vector("more zeros than memory", echo(tensor("", (1 << 40,))), code=INVALID, message=BROKEN),
    Vector("no type", echo("tensor_shape { dim { size: 1 } } float_val: 1"), code=INVALID, message=BROKEN),
    Vector("a type that cannot be sent", echo(tensor("", (1,), "RESOURCE")), code=INVALID, message=BROKEN),
    Vector(
        "another type",
        spec() + inputs(x=tensor("int_val: [1, 2]", (2,), "INT32")),
        code=INVALID,
        message="Expects arg[0] to be float but int32 is provided",
    ),
    Vector(
        "text for a number",
        spec() + inputs(x=tensor('string_val: "1"', (1,), "STRING")),
        code=INVALID,
        message="Expects arg[0] to be float but string is provided",
    ),
    Vector(
        "what the model cannot compute",
        spec(signature="divide") + inputs(x=tensor("int_val: [5, 0]", (2,), "INT32")),
        code=INVALID,
        message="Integer division by zero…",
    ),
    Vector(
        "words",
        spec(signature="words") + inputs(s=tensor('string_val: ["a", "bcd"]', (2,), "STRING")),
        outputs(
            s=tensor('string_val: ["a", "bcd"]', (2,), "STRING"),
            s_bytes=tensor('string_val: ["a", "bcd"]', (2,), "STRING"),
            length=tensor("int_val: [1, 3]", (2,), "INT32"),
        )
        + answered("words"),
    ),
]

FIELDS = {
    "float32": ("FLOAT", "float_val: [1.5, -2.25]"),
    "float64": ("DOUBLE", "double_val: [1.5, 1e300]"),
    "int8": ("INT8", "int_val: [-128, 127]"),
    "int16": ("INT16", "int_val: [-32768, 32767]"),
    "int32": ("INT32", "int_val: [-2147483648, 2147483647]"),
    "int64": ("INT64", "int64_val: [-9223372036854775808, 9223372036854775807]"),
    "uint8": ("UINT8", "int_val: [0, 255]"),
    "uint16": ("UINT16", "int_val: [0, 65535]"),
    "uint32": ("UINT32", "uint32_val: [0, 4294967295]"),
    "uint64": ("UINT64", "uint64_val: [0, 18446744073709551615]"),
    "bool": ("BOOL", "bool_val: [true, false]"),
    "string": ("STRING", 'string_val: ["", "text"]'),
    "float16": ("HALF", "half_val: [15360, 49152]"),
    "bfloat16": ("BFLOAT16", "half_val: [16256, 49152]"),
    "complex64": ("COMPLEX64", "scomplex_val: [1, 2, 3, -4]"),
    "complex128": ("COMPLEX128", "dcomplex_val: [1, 2, 3, -4]"),
}
TYPES = [
    Vector(
        f"echo of {name}",
        echo(tensor(field, (2,), dtype), name),
        outputs(y=tensor(field, (2,), dtype)) + answered(f"echo_{name}"),
    )
    for name, (dtype, field) in FIELDS.items()
]
NUMPY = {name: name for name in FIELDS if name not in ("string", "bfloat16")}


@pytest.fixture(scope="module")
def stub(ports: Ports) -> Iterator[prediction_service_pb2_grpc.PredictionServiceStub]:
    with grpc.insecure_channel(f"127.0.0.1:{ports.grpc}") as channel:
        yield prediction_service_pb2_grpc.PredictionServiceStub(channel)


@table(VERSIONS)
def test_versions_and_labels(vector, stub):
    check(vector, stub.Predict, predict_pb2.PredictRequest(), predict_pb2.PredictResponse())


@table(FILTERS)
def test_inputs_and_output_filter(vector, stub):
    check(vector, stub.Predict, predict_pb2.PredictRequest(), predict_pb2.PredictResponse())


@table(SHAPES)
def test_tensors(vector, stub):
    check(vector, stub.Predict, predict_pb2.PredictRequest(), predict_pb2.PredictResponse())


@table(TYPES)
def test_every_type_by_its_field(vector, stub):
    check(vector, stub.Predict, predict_pb2.PredictRequest(), predict_pb2.PredictResponse())


@pytest.mark.parametrize("name", NUMPY)
@pytest.mark.parametrize("shape", [(3,), (100, 3)])
def test_every_type_as_content_and_as_tensorflow_reads_it(name, shape, stub):
    import tensorflow as tf

    values = np.arange(np.prod(shape)).reshape(shape).astype(name)
    request = predict_pb2.PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = "zoo", f"echo_{name}"
    request.inputs["x"].CopyFrom(tf.make_tensor_proto(values.ravel()[:0], shape=[0]))
    request.inputs["x"].tensor_shape.CopyFrom(tf.TensorShape(shape).as_proto())
    request.inputs["x"].tensor_content = values.tobytes()
    answer = tf.make_ndarray(stub.Predict(request, timeout=20).outputs["y"])
    assert answer.dtype == values.dtype
    assert np.array_equal(answer, values)


def test_a_nan_stays_one(stub):
    request = predict_pb2.PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = "zoo", "echo_float32"
    request.inputs["x"].dtype = 1
    request.inputs["x"].float_val.append(float("nan"))
    assert np.isnan(stub.Predict(request, timeout=20).outputs["y"].float_val[0])


def test_a_request_beyond_the_limit(stub):
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "zoo"
    request.inputs["x"].tensor_content = bytes(1 << 20)
    with pytest.raises(grpc.RpcError, match=r"message larger than max \(\d+ vs. 1048576\)") as caught:
        stub.Predict(request, timeout=20)
    status: Any = caught.value
    assert status.code() == EXHAUSTED
