from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tensorflow.core.framework import tensor_pb2

from penstock.serving.inference.kinds import data_type_name
from penstock.serving.inference.tensors import fill, strings, to_array, unsent_bytes

NUMBERS = ("float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16")
FIELDS = ("float_val", "double_val", "int_val", "int64_val", "uint32_val", "uint64_val", "half_val", "bool_val")


def proto_of(number: int, shape: tuple[int, ...], **fields: Any) -> Any:
    proto = tensor_pb2.TensorProto(dtype=number, **fields)
    for size in shape:
        proto.tensor_shape.dim.add(size=size)
    return proto


def by_tensorflow(proto: Any) -> Any:
    """Read the message with ``Tensor::FromProto`` itself, which is behind this operation."""
    import tensorflow as tf

    return tf.io.parse_tensor(proto.SerializeToString(), tf.as_dtype(proto.dtype)).numpy()


@pytest.mark.parametrize("size", [0, 1, 5, 64, 1000])
@pytest.mark.parametrize("as_content", [False, True])
@pytest.mark.parametrize("name", [*NUMBERS, "bool", "complex64", "complex128"])
def test_there_and_back_as_tensorflow_does_it(name: str, size: int, *, as_content: bool) -> None:
    import tensorflow as tf

    values = (np.arange(size * 2).reshape(size, 2) - size).astype(name)
    proto = tensor_pb2.TensorProto()
    fill(proto, values, as_content=as_content)
    assert bool(proto.tensor_content) == (as_content and size > 0)
    for answer in (to_array(proto), tf.make_ndarray(proto), by_tensorflow(proto)):
        assert answer.dtype == values.dtype
        assert np.array_equal(answer, values)


def test_bfloat16() -> None:
    import ml_dtypes

    values = np.array([1.5, -2], ml_dtypes.bfloat16)
    proto = tensor_pb2.TensorProto()
    fill(proto, values)
    assert list(proto.half_val) == [16320, 49152]
    assert to_array(proto).tolist() == by_tensorflow(proto).tolist() == [1.5, -2.0]


@pytest.mark.parametrize("as_content", [False, True])
@pytest.mark.parametrize("name", ["qint8", "quint8", "qint16", "quint16", "qint32"])
def test_quantized_integers_are_what_the_signature_says(name: str, *, as_content: bool) -> None:
    import tensorflow as tf

    kind = tf.as_dtype(name)
    values = np.array([[0, 1], [2, 100]], name.removeprefix("q"))
    fill(proto := tensor_pb2.TensorProto(), values, kind.as_datatype_enum, as_content=as_content)
    assert (proto.dtype, bool(proto.int_val)) == (kind.as_datatype_enum, not as_content)
    assert by_tensorflow(proto).tolist() == values.tolist()
    fill(believed := tensor_pb2.TensorProto(), values.astype(np.float32), kind.as_datatype_enum)
    assert believed.dtype == 1


@pytest.mark.parametrize("as_content", [False, True])
@pytest.mark.parametrize("name", ["float8_e5m2", "float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2fnuz"])
def test_floats_of_eight_bits(name: str, *, as_content: bool) -> None:
    import ml_dtypes
    import tensorflow as tf

    values = np.array([[1.5, -2], [0, 3]], getattr(ml_dtypes, name))
    fill(proto := tensor_pb2.TensorProto(), values, as_content=as_content)
    assert (tf.as_dtype(proto.dtype).name, len(proto.float8_val)) == (name, 0 if as_content else 4)
    assert by_tensorflow(proto).astype(np.float32).tolist() == [[1.5, -2.0], [0.0, 3.0]]


@pytest.mark.parametrize("as_content", [False, True])
@pytest.mark.parametrize(("name", "numbers"), [("int4", [1, -2]), ("uint4", [1, 14])])
def test_integers_of_four_bits(name: str, numbers: list[int], *, as_content: bool) -> None:
    import ml_dtypes

    fill(proto := tensor_pb2.TensorProto(), np.array(numbers, getattr(ml_dtypes, name)), as_content=as_content)
    assert by_tensorflow(proto).astype(np.int32).tolist() == numbers


@pytest.mark.parametrize("as_content", [False, True])
def test_strings_are_bytes(*, as_content: bool) -> None:
    proto = tensor_pb2.TensorProto()
    fill(proto, np.array([["a", b"\xff"]], object), as_content=as_content)
    assert list(proto.string_val) == [b"a", b"\xff"]
    assert to_array(proto).tolist() == [[b"a", b"\xff"]]
    fill(proto := tensor_pb2.TensorProto(), np.array(["é"]))
    assert to_array(proto).tolist() == ["é".encode()]


@pytest.mark.parametrize("length", [1, 127, 128, 300])
def test_strings_in_content(length: int) -> None:
    import tensorflow as tf

    values = [b"x" * length, b""]
    sent = tensor_pb2.TensorProto.FromString(tf.io.serialize_tensor(tf.constant(values)).numpy())
    content = bytearray()
    for value in values:
        content += bytes([len(value) & 127 | 128, len(value) >> 7]) if len(value) > 127 else bytes([len(value)])
    sent.tensor_content, sent.string_val[:] = bytes(content) + b"".join(values), []
    assert to_array(sent).tolist() == by_tensorflow(sent).tolist() == values


@given(
    number=st.sampled_from([1, 2, 3, 4, 5, 6, 9, 17, 22, 23]),
    shape=st.lists(st.integers(0, 4), max_size=3),
    values=st.lists(st.integers(0, 127), max_size=80),
)
def test_reads_what_tensorflow_reads(number: int, shape: list[int], values: list[int]) -> None:
    proto = proto_of(number, tuple(shape))
    for field in FIELDS:
        getattr(proto, field).extend([bool(v) for v in values] if field == "bool_val" else values)
    expected = by_tensorflow(proto)
    answer = to_array(proto)
    assert (answer.dtype, answer.shape) == (expected.dtype, expected.shape)
    assert np.array_equal(answer, expected)


def test_small_integers_are_cut_to_size() -> None:
    proto = proto_of(6, (2,), int_val=[300, -129])
    assert to_array(proto).tolist() == by_tensorflow(proto).tolist() == [44, 127]


def test_many_values_share_no_copy_of_each_number() -> None:
    values = np.arange(1000, dtype=np.float32)
    proto = proto_of(1, (1000,), float_val=values, double_val=[1.0], int_val=[2], string_val=[b"x"])
    assert np.array_equal(to_array(proto), values)


@pytest.mark.parametrize(
    ("proto", "message"),
    [
        (proto_of(0, (1,)), "tensors of type 0 are not supported"),
        (proto_of(20, (1,)), "tensors of type 20 are not supported"),
        (proto_of(11, (1,)), "tensors of type 11 are not supported"),
        (proto_of(1, (-1,)), r"no tensor has the shape \[-1\]"),
        (proto_of(1, (-1, -1)), r"no tensor has the shape \[-1, -1\]"),
        (proto_of(1, (1 << 62, 1 << 62)), "no tensor has the shape"),
        (proto_of(1, (1 << 62, 2)), "no tensor has the shape"),
        (proto_of(1, (2,), tensor_content=b"123"), "3 bytes are not 2 values of type float"),
        (proto_of(7, (2,), tensor_content=b"\x01\x01a"), "3 bytes are not 2 strings"),
        (proto_of(7, (1,), tensor_content=b"\x80"), "the bytes end within a number"),
        (proto_of(7, (1,), tensor_content=b"\xff" * 1_000_000), "a number has more than 64 bits"),
    ],
)
def test_what_is_no_tensor(proto: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        to_array(proto)


@pytest.mark.parametrize(
    ("proto", "size"),
    [
        (proto_of(1, (3,), float_val=[1, 2, 3]), 0),
        (proto_of(1, (2,), float_val=[1, 2, 3]), 0),
        (proto_of(1, (1 << 40,)), 4 << 40),
        (proto_of(9, (1 << 20, 1 << 20), int64_val=[7]), (8 << 40) - 8),
        (proto_of(6, (1 << 30,), int_val=[7]), (1 << 30) - 1),
        (proto_of(8, (10,), scomplex_val=[1, 2]), 9 * 8),
        (proto_of(7, (11,), string_val=[b"a", b"x" * 100]), 9 * (24 + 100)),
        (proto_of(7, (3,)), 3 * 24),
        (proto_of(7, (1 << 40,), tensor_content=b"\x01a"), 0),
        (proto_of(1, (2,), tensor_content=b"1234"), 0),
        (proto_of(1, ()), 4),
        (proto_of(1, (0, 1 << 40)), 0),
        (proto_of(1, (-(1 << 20), -(1 << 20))), 0),
        (proto_of(1, (1 << 62, 1 << 62)), 0),
        (proto_of(20, (1 << 40,)), 0),
    ],
)
def test_what_a_tensor_stands_for_without_having_it(proto: Any, size: int) -> None:
    assert unsent_bytes(proto) == size


def test_an_array_that_no_tensor_can_hold() -> None:
    with pytest.raises(ValueError, match=r"an array of datetime64\[D\] is no tensor"):
        fill(tensor_pb2.TensorProto(), np.array(["2026-01-01"], "datetime64[D]"))


def test_names_of_types() -> None:
    assert data_type_name(np.zeros(1, np.float32)) == "DT_FLOAT"
    assert data_type_name(strings([b"a"])) == "DT_STRING"
