"""Rows of TFRecord files as signatures take them."""

from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from penstock.components.tflite_converter.rows import Parser, RowFiles, open_lengths
from penstock.errors import ArtifactError
from penstock.serving.saved_model import SignatureInfo, TensorInfo
from tests.components.tflite_converter.conftest import write_rows


def signature(*tensors):
    return SignatureInfo("predict", tuple(TensorInfo(*tensor) for tensor in tensors), ())


X = signature(("x", "float32", (None, 6)))


def read(parser, *files, limit=100, size=100):
    return list(parser.batches(RowFiles(tuple(map(str, files)), limit, "split 'eval'"), size))


def test_features_and_labels(rows):
    batches = read(Parser([X], label="label"), rows, limit=50, size=20)
    assert [len(batch.inputs["predict"]["x"]) for batch in batches] == [20, 20, 10]
    assert batches[0].inputs["predict"]["x"].dtype == np.float32
    assert batches[0].labels is not None
    assert batches[0].labels[:4].tolist() == [[0], [1], [2], [0]]
    assert read(Parser([X]), rows)[0].labels is None


def test_several_files_compressed_or_not(rows, tmp_path):
    plain = write_rows(tmp_path / "plain", [{"x": [1.0] * 6}])
    (batch,) = read(Parser([X]), plain, rows)
    assert batch.inputs["predict"]["x"].shape == (61, 6)
    assert batch.inputs["predict"]["x"][0].tolist() == [1.0] * 6


def test_types_and_shapes_are_the_signatures(tmp_path):
    file = write_rows(tmp_path / "rows", [{"pixels": [1, 2, 3, 4], "n": [5], "half": [0.5]}])
    wanted = signature(("pixels", "uint8", (None, 2, 2)), ("n", "int32", (None, 1)), ("half", "float16", (None,)))
    inputs = read(Parser([wanted]), file)[0].inputs["predict"]
    assert {name: (array.dtype.name, array.tolist()) for name, array in inputs.items()} == {
        "pixels": ("uint8", [[[1, 2], [3, 4]]]),
        "n": ("int32", [[5]]),
        "half": ("float16", [0.5]),
    }


def test_open_lengths_are_filled_with_what_means_missing(tmp_path):
    file = write_rows(tmp_path / "rows", [{"a": [1.0, 2.0], "n": [7]}, {"a": [], "n": [8, 9]}, {"n": [3]}])
    wanted = signature(("a", "float32", (None, None)), ("n", "int64", (None, None)))
    assert open_lengths([wanted]) == {"a", "n"}
    inputs = read(Parser([wanted], lengths={"a": 3, "n": 2}), file)[0].inputs["predict"]
    np.testing.assert_array_equal(inputs["a"], [[1, 2, np.nan], [np.nan] * 3, [np.nan] * 3])
    lowest = np.iinfo(np.int64).min
    assert inputs["n"].tolist() == [[7, lowest], [8, 9], [3, lowest]]


def test_a_row_that_is_longer_than_the_representative_ones(tmp_path):
    file = write_rows(tmp_path / "rows", [{"a": [1.0, 2.0]}])
    with pytest.raises(ArtifactError) as raised:
        read(Parser([signature(("a", "float32", (None, None)))], lengths={"a": 1}), file)
    assert str(raised.value) == (
        "a row has 2 values of a of split 'eval'\n"
        "  expected: at most 1, as many as the representative rows have\n"
        "  next: take more representative rows, or set `batch: dynamic`"
    )


def refused(parser, *files):
    with pytest.raises(ArtifactError) as raised:
        read(parser, *files)
    return str(raised.value)


def test_no_rows(tmp_path):
    file = write_rows(tmp_path / "Split-eval" / "rows", [])
    assert refused(Parser([X]), file) == (
        f"{file.parent}: split 'eval' has no rows\n  received: no row in 1 file\n  expected: at least one tf.Example"
    )
    assert refused(Parser([X])).startswith("split 'eval' has no rows\n  received: no row in 0 files")


def test_other_features(tmp_path):
    file = write_rows(tmp_path / "rows", [{"y": [1.0] * 6, "n": [3], "t": ["a"]}])
    assert refused(Parser([X]), file) == (
        "signature 'predict' takes 'x', and split 'eval' has no such feature\n"
        "  received: n int64[1], t string[1], y float32[6]\n"
        "  expected: x"
    )
    close = signature(("yy", "float32", (None, 6)))
    assert refused(Parser([close]), file).endswith("next: did you mean 'y'?")


def test_another_number_of_values(tmp_path):
    file = write_rows(tmp_path / "rows", [{"x": [1.0] * 5}])
    message = refused(Parser([X]), file)
    assert message.startswith("the rows of split 'eval' are not what signature 'predict' takes: ")
    assert message.endswith("  received: the first row has x float32[5]\n  expected: x float32[6]")


def test_another_label(rows):
    assert refused(Parser([X], label="lable"), rows) == (
        "the label is 'lable', and split 'eval' has no such feature\n"
        "  received: label int64[1], name string[1], x float32[6]\n"
        "  expected: lable\n"
        "  next: did you mean 'label'?"
    )


def test_files_that_cannot_be_read(rows, tmp_path):
    cut = tmp_path / "cut"
    cut.write_bytes(write_rows(tmp_path / "rows", [{"x": [1.0] * 6}]).read_bytes()[:-3])
    assert refused(Parser([X]), cut).startswith(f"{cut}: the rows of split 'eval' cannot be read: ")
    assert refused(Parser([X]), tmp_path / "nothing").startswith(
        f"{tmp_path / 'nothing'}: the rows of split 'eval' cannot be read: "
    )


def test_rows_that_are_no_examples(tmp_path):
    with tf.io.TFRecordWriter(str(tmp_path / "rows")) as writer:
        writer.write(b"\xff\xff")
    assert refused(Parser([X]), tmp_path / "rows").startswith("a row is no tf.Example: ")


@pytest.fixture
def transform(monkeypatch):
    """Transform's graph, without Transform: it doubles x and numbers the names."""
    import tensorflow_transform as tft

    def layer(raw):
        numbers = tf.strings.to_number(tf.strings.substr(raw["name"], 6, 1), tf.int64)
        raggy = tf.RaggedTensor.from_row_lengths([1], [1])
        return {"x": raw["x"] * 2, "number": tf.sparse.from_dense(numbers + 1), "raggy": raggy}

    spec = {"x": tf.io.FixedLenFeature([6], tf.float32), "name": tf.io.FixedLenFeature([1], tf.string)}
    output = SimpleNamespace(raw_feature_spec=lambda: spec, transform_features_layer=lambda: layer)
    monkeypatch.setattr(tft, "TFTransformOutput", lambda folder: output)


@pytest.mark.parametrize(("features", "factor"), [("raw", 1), ("transformed", 2)])
def test_labels_are_transformed_and_features_where_it_is_asked_for(transform, rows, tmp_path, features, factor):
    (plain,) = read(Parser([X]), rows)
    (batch,) = read(Parser([X], features=features, label="number", transform_graph=tmp_path), rows)
    np.testing.assert_allclose(batch.inputs["predict"]["x"], factor * plain.inputs["predict"]["x"])
    assert batch.labels is not None
    assert batch.labels[:4].tolist() == [[1], [2], [3], [1]]


def test_what_transform_does_not_make(transform, rows, tmp_path):
    message = refused(Parser([X], label="numbers", transform_graph=tmp_path), rows)
    assert message == (
        "the label is 'numbers', and what Transform makes of split 'eval' has no such feature\n"
        "  received: number int64[1], raggy int32[1], x float32[6]\n"
        "  expected: numbers\n"
        "  next: did you mean 'number'?"
    )


def test_rows_that_transform_cannot_read(transform, tmp_path):
    file = write_rows(tmp_path / "rows", [{"x": [1.0] * 6}])
    message = refused(Parser([X], features="transformed", transform_graph=tmp_path), file)
    assert message.startswith("the rows of split 'eval' are not what Transform's graph takes: ")


def test_a_transform_graph_that_is_none(rows, tmp_path):
    message = refused(Parser([X], features="transformed", transform_graph=tmp_path), rows)
    assert message.startswith(f"{tmp_path}: the transform graph cannot be read: ")
