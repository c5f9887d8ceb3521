from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from penstock.errors import ArtifactError
from penstock.serving.saved_model import SignatureInfo, TensorInfo, load_in_graph, read_signatures


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SavedModel with a variable, a lookup table and two signatures."""
    import tensorflow as tf

    class Module(tf.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.factor = tf.Variable(3.0)
            keys = tf.lookup.KeyValueTensorInitializer(["a", "b"], tf.constant([1, 2], tf.int64))
            self.table = tf.lookup.StaticHashTable(keys, -1)

        @tf.function(input_signature=[tf.TensorSpec([None, 2], tf.float32, name="x")])
        def scale(self, x):
            return {"y": x * self.factor}

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="word")])
        def number(self, word):
            return {"number": self.table.lookup(word)}

    path = tmp_path_factory.mktemp("saved") / "model"
    module = Module()
    tf.saved_model.save(module, str(path), signatures={"serving_default": module.scale, "number": module.number})
    return path


def test_reads_signatures_without_loading(model: Path) -> None:
    assert read_signatures(model) == (
        SignatureInfo("number", (TensorInfo("word", "string", (None,)),), (TensorInfo("number", "int64", (None,)),)),
        SignatureInfo(
            "serving_default", (TensorInfo("x", "float32", (None, 2)),), (TensorInfo("y", "float32", (None, 2)),)
        ),
    )


def test_answers_with_variables_and_tables(model: Path) -> None:
    with load_in_graph(model) as loaded:
        assert loaded.signatures == read_signatures(model)
        assert loaded.call("serving_default", {"x": [[1.0, 2.0]]})["y"].tolist() == [[3.0, 6.0]]
        assert loaded.call("number", {"word": ["b", "?"]})["number"].tolist() == [2, -1]


def test_a_signature_that_is_missing(model: Path) -> None:
    with load_in_graph(model) as loaded, pytest.raises(ArtifactError, match="no signature 'serving'") as caught:
        loaded.call("serving", {})
    assert caught.value.expected == "one of number, serving_default"
    assert caught.value.hint == "did you mean 'serving_default'?"


def test_inputs_that_the_signature_does_not_take(model: Path) -> None:
    with load_in_graph(model) as loaded, pytest.raises(ArtifactError, match="other inputs than it takes") as caught:
        loaded.call("serving_default", {"z": [[1.0, 2.0]]})
    assert (caught.value.received, caught.value.expected) == ("z", "x")


@pytest.mark.parametrize("value", [[[1.0, 2.0, 3.0]], [["a", "b"]]])
def test_values_that_do_not_fit(model: Path, value: Any) -> None:
    with load_in_graph(model) as loaded, pytest.raises(ArtifactError, match="'serving_default' cannot answer"):
        loaded.call("serving_default", {"x": value})


def test_folders_that_are_no_saved_model(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="holds no SavedModel") as caught:
        read_signatures(tmp_path / "absent")
    assert caught.value.received == "no such folder"
    (tmp_path / "model.keras").write_text("")
    with pytest.raises(ArtifactError, match="holds no SavedModel") as caught, load_in_graph(tmp_path):
        pass
    assert caught.value.received == "files: model.keras"


def test_a_damaged_saved_model(model: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(model, tmp_path / "copy")
    (copy / "saved_model.pb").write_bytes(b"\x0a\xff\xff")
    with pytest.raises(ArtifactError, match="the SavedModel cannot be read"):
        read_signatures(copy)


def test_weights_that_are_gone(model: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(model, tmp_path / "copy")
    shutil.rmtree(copy / "variables")
    with (
        pytest.raises(ArtifactError, match=r"cannot (be read|answer): "),
        load_in_graph(copy) as loaded,
    ):
        loaded.call("serving_default", {"x": [[1.0, 2.0]]})


def test_no_graph_for_serving(tmp_path: Path) -> None:
    from tensorflow.core.protobuf import saved_model_pb2

    saved = saved_model_pb2.SavedModel()
    saved.meta_graphs.add().meta_info_def.tags.append("train")
    (tmp_path / "saved_model.pb").write_bytes(saved.SerializeToString())
    with pytest.raises(ArtifactError, match="no graph tagged 'serve'") as caught:
        read_signatures(tmp_path)
    assert caught.value.received == "tags [['train']]"
