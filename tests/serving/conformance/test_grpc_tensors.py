"""The tensors of PredictionService.Predict, vector by vector, through the official stubs."""

from __future__ import annotations

from typing import Any

import grpc
import numpy as np
import pytest
from tensorflow_serving.apis import predict_pb2

from tests.serving.conformance.grpc_vectors import (
    EXHAUSTED,
    INVALID,
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
from tests.serving.conformance.models import QUANTIZED

ONE_TWO = inputs(x=floats(1, 2))
SIX = tensor("float_val: [1, 2, 3, 4, 5, 6]", (2, 3))


def doubled(values: str, shape: tuple[int, ...] = (2,)) -> str:
    return outputs(y=tensor(values, shape)) + answered("echo_float32")


def echo(value: str, dtype: str = "float32") -> str:
    return spec(signature=f"echo_{dtype}") + inputs(x=value)


BROKEN = "tensor parsing error: x"
TOO_LARGE = "Request larger than max when expanded (…"
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
    Vector("more zeros than memory", echo(tensor("", (1 << 40,))), code=EXHAUSTED, message=TOO_LARGE),
    Vector("a number repeated", echo(tensor("float_val: 7", (1 << 30,))), code=EXHAUSTED, message=TOO_LARGE),
    Vector(
        "a text repeated",
        echo(tensor(f'string_val: "{"x" * 1000}"', (1 << 24,), "STRING"), "string"),
        code=EXHAUSTED,
        message=TOO_LARGE,
    ),
    Vector(
        "one size is 0, so there are no values",
        echo(tensor("", (0, 1 << 40))),
        outputs(y=tensor("", (0, 1 << 40))) + answered("echo_float32"),
    ),
    Vector("more dimensions than an array has", echo(tensor("", (1,) * 65)), code=INVALID, message=BROKEN),
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
        "a text that the model cannot take",
        spec(signature="number") + inputs(s=tensor('string_val: "a"', (1,), "STRING")),
        code=INVALID,
        message="StringToNumberOp could not correctly convert string: a\n…",
    ),
    Vector(
        "bytes that the model cannot take, and that are no text",
        spec(signature="number") + inputs(s=tensor(r'string_val: "\377"', (1,), "STRING")),
        code=INVALID,
        message="StringToNumberOp could not correctly convert string: \ufffd\n…",
    ),
    Vector(
        "a single word",
        spec(signature="word") + inputs(s=tensor('string_val: "a"', (), "STRING")),
        outputs(s=tensor('string_val: "a"', (), "STRING"), s_bytes=tensor('string_val: "a"', (), "STRING"))
        + answered("word"),
    ),
    Vector(
        "a single word that is no text, chosen by the filter",
        spec(signature="word") + inputs(s=tensor(r'string_val: "\377\000"', (), "STRING")) + 'output_filter: "s_bytes"',
        outputs(s_bytes=tensor(r'string_val: "\377\000"', (), "STRING")) + answered("word"),
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
ANSWERS = [
    Vector(
        f"an answer of {name}",
        spec(signature=f"as_{name}") + inputs(x=tensor("int_val: [1, 100]", (2,), plain.upper())),
        outputs(y=tensor("int_val: [1, 100]", (2,), name.upper())) + answered(f"as_{name}"),
    )
    for name, plain in QUANTIZED.items()
]
NUMPY = {name: name for name in FIELDS if name not in ("string", "bfloat16")}


@table(SHAPES)
def test_tensors(vector, stub):
    check(vector, stub.Predict, predict_pb2.PredictRequest(), predict_pb2.PredictResponse())


@table(ANSWERS)
def test_types_that_only_answers_have(vector, stub):
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
    answer = tf.make_ndarray(stub.Predict(request, timeout=120).outputs["y"])
    assert answer.dtype == values.dtype
    assert np.array_equal(answer, values)


def test_a_nan_stays_one(stub):
    request = predict_pb2.PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = "zoo", "echo_float32"
    request.inputs["x"].dtype = 1
    request.inputs["x"].float_val.append(float("nan"))
    assert np.isnan(stub.Predict(request, timeout=120).outputs["y"].float_val[0])


def test_a_request_beyond_the_limit(stub):
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "zoo"
    request.inputs["x"].tensor_content = bytes(1 << 20)
    with pytest.raises(grpc.RpcError, match=r"message larger than max \(\d+ vs. 1048576\)") as caught:
        stub.Predict(request, timeout=120)
    status: Any = caught.value
    assert status.code() == EXHAUSTED


def test_a_compressed_request(stub):
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "zoo"
    request.inputs["x"].dtype = 1
    request.inputs["x"].tensor_shape.dim.add(size=1000)
    request.inputs["x"].tensor_content = bytes(4000)
    answer = stub.Predict(request, timeout=120, compression=grpc.Compression.Gzip)
    assert list(answer.outputs["y"].float_val) == [4.0] * 1000
    request.inputs["x"].tensor_content = bytes(1 << 24)
    with pytest.raises(grpc.RpcError, match="Decompressed message larger than max") as caught:
        stub.Predict(request, timeout=120, compression=grpc.Compression.Gzip)
    status: Any = caught.value
    assert status.code() == EXHAUSTED
