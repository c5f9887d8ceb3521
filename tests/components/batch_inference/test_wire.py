"""Messages of whole batches are those that protobuf makes one by one."""

import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from penstock.components.batch_inference.framing import framed, length_at
from penstock.components.batch_inference.join import objects
from penstock.components.batch_inference.wire import encode_examples, field, join, number_field, same, texts, varint
from tests.components.batch_inference.conftest import example

INT64 = arrays.arrays(np.int64, st.tuples(st.integers(1, 4), st.integers(0, 3)))
FLOATS = arrays.arrays(np.float32, st.tuples(st.integers(1, 4), st.integers(0, 3)), elements={"allow_nan": False})
TEXTS = st.lists(st.binary(max_size=300), min_size=1, max_size=4)


def _same(features):
    rows = len(next(iter(features.values())))
    found = encode_examples(features, rows).to_pylist()
    for row, serialized in enumerate(found):
        plain = {name: array[row].tolist() if array.ndim > 1 else [array[row]] for name, array in features.items()}
        want = example(**{name: [getattr(v, "item", lambda v=v: v)() for v in vs] for name, vs in plain.items()})
        message, wanted = tf.train.Example.FromString(serialized), tf.train.Example.FromString(want)
        for name, values in plain.items():
            kind = wanted.features.feature[name].WhichOneof("kind")
            if values:
                assert message.features.feature[name] == wanted.features.feature[name], (name, kind)


@given(INT64)
def test_integers(array):
    _same({"n": array})


@given(FLOATS)
def test_floats(array):
    _same({"x": array})


@given(TEXTS)
def test_texts(values):
    array = np.empty(len(values), dtype=object)
    array[:] = values
    _same({"t": array})


def test_several_features_and_long_ones():
    long = np.empty(2, dtype=object)
    long[:] = [b"a" * 70_000, b""]
    _same({"b": long, "a": np.array([-1, 1 << 40]), "c": np.array([[0.5, 1.5], [2.5, 3.5]])})


def test_rows_of_different_shapes():
    ragged = objects([np.array([1.0, 2.0], np.float32), np.array([], np.float32)])
    first, second = (tf.train.Example.FromString(row) for row in encode_examples({"x": ragged}, 2).to_pylist())
    assert list(first.features.feature["x"].float_list.value) == [1.0, 2.0]
    assert list(second.features.feature["x"].float_list.value) == []


def test_messages_that_are_the_same_in_every_row():
    assert field(1, same(b"ab")).column(2).to_pylist() == [b"\x0a\x02ab"] * 2
    assert join([number_field(1, 300), same(b"!")]).column(1).to_pylist() == [b"\x08\xac\x02!"]
    assert varint(0) == b"\0"


def test_lengths_that_differ():
    assert field(2, texts(np.array([b"a", b"bcd"], dtype=object))).column(2).to_pylist() == [
        b"\x12\x01a",
        b"\x12\x03bcd",
    ]


@pytest.mark.parametrize("records", [[b""], [b"abc", b"", b"d" * 1000], []])
def test_frames_are_those_of_tensorflow(records, tmp_path):
    path = str(tmp_path / "rows.tfrecord")
    with tf.io.TFRecordWriter(path) as writer:
        for record in records:
            writer.write(record)
    data = bytes(framed(pa.array(records, pa.binary())))
    assert data == (tmp_path / "rows.tfrecord").read_bytes()
    if records:
        assert length_at(data, 0) == len(records[0])
        assert length_at(b"\1" + data, 0) is None
    assert length_at(data[:5], 0) is None
