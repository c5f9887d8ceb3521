"""SavedModels of both generations of TensorFlow, small enough to be loaded in milliseconds; managers of none."""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from penstock.serving.manifest import MANIFEST, Manifest, walk
from penstock.serving.models.manager import ModelManager
from tests.serving.models.fakes import ONE_TRY, PATIENCE, FakeLoader, Make, Recorder, make

CLASSIFY = "tensorflow/serving/classify"
REGRESS = "tensorflow/serving/regress"


@pytest.fixture
def loader() -> FakeLoader:
    return FakeLoader()


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def manager(loader: FakeLoader) -> Iterator[ModelManager]:
    """A manager that looks at the file system when it is told to."""
    manager = ModelManager(ONE_TRY, loader, Recorder())
    yield manager
    manager.close(PATIENCE)


@pytest.fixture
def managed(loader: FakeLoader, recorder: Recorder) -> Iterator[Make]:
    """A function that makes a manager with some options changed."""
    managers: list[ModelManager] = []

    def make_manager(**changes: object) -> ModelManager:
        options = dataclasses.replace(ONE_TRY, **{"retry_seconds": -1, **changes})  # type: ignore[arg-type]
        managers.append(ModelManager(options, loader, recorder))
        return managers[-1]

    yield make_manager
    for manager in managers:
        manager.close(PATIENCE)


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return make(tmp_path / "m", 1)


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A TensorFlow 2 model with variables, a table, two signatures, and one whose batch has a fixed size."""
    import tensorflow as tf

    class Module(tf.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.factor = tf.Variable([[1.0], [2.0]])
            keys = tf.lookup.KeyValueTensorInitializer(["a", "b"], tf.constant([1, 2], tf.int64))
            self.table = tf.lookup.StaticHashTable(keys, -1)

        @tf.function(input_signature=[tf.TensorSpec([None, 2], tf.float32, name="x")])
        def scale(self, x):
            rows = tf.shape(x)[0]
            return {"y": x @ self.factor, "rows": tf.fill([rows], rows)}

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="word")])
        def number(self, word):
            return {"number": self.table.lookup(word), "word": word}

        @tf.function(input_signature=[tf.TensorSpec([1, 2], tf.float32, name="x")])
        def single(self, x):
            return {"y": x @ self.factor}

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="inputs")])
        def regress(self, inputs):
            parsed = tf.io.parse_example(inputs, {"v": tf.io.FixedLenFeature([], tf.float32)})
            return {"outputs": parsed["v"] * 10.0}

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="inputs")])
        def classify(self, inputs):
            parsed = tf.io.parse_example(inputs, {"v": tf.io.FixedLenFeature([1], tf.float32)})
            return {"scores": parsed["v"]}

    path = tmp_path_factory.mktemp("exported") / "1"
    module = Module()
    signatures = {
        "serving_default": module.scale,
        "number": module.number,
        "single": module.single,
        "regress": module.regress,
        "classify": module.classify,
    }
    tf.saved_model.save(module, str(path), signatures=signatures)
    return path


@pytest.fixture(scope="session")
def exported_v1(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A TensorFlow 1 model: a graph with a reference variable, an output that is its input, and no functions."""
    import tensorflow as tf

    path = tmp_path_factory.mktemp("exported_v1") / "1"
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        x = tf.compat.v1.placeholder(tf.float32, [None], name="x")
        weight = tf.compat.v1.get_variable("weight", initializer=3.0, use_resource=False)
        with tf.control_dependencies([tf.compat.v1.assert_non_negative(x)]):
            y = tf.identity(x * weight)
        session.run(tf.compat.v1.global_variables_initializer())
        tf.compat.v1.saved_model.simple_save(session, str(path), {"x": x}, {"y": y, "same": x})
    return path


@pytest.fixture
def model(exported: Path, tmp_path: Path) -> Path:
    """A copy of the TensorFlow 2 model, to be changed."""
    return shutil.copytree(exported, tmp_path / "m" / "1")


@pytest.fixture
def publish() -> Callable[[Path], None]:
    """A function that gives a model its manifest, as a push does."""

    def add_manifest(folder: Path) -> None:
        files = {name: path.read_bytes() for name, path in walk(folder) if path.is_file()}
        manifest = Manifest({name: (len(data), hashlib.sha256(data).hexdigest()) for name, data in files.items()})
        (folder / MANIFEST).parent.mkdir(exist_ok=True)
        (folder / MANIFEST).write_bytes(manifest.to_bytes())

    return add_manifest


@pytest.fixture
def record() -> Callable[..., None]:
    """A function that writes warm-up requests into a model."""

    def write(folder: Path, *logs: Any) -> None:
        import tensorflow as tf

        path = folder / "assets.extra" / "tf_serving_warmup_requests"
        path.parent.mkdir(exist_ok=True)
        with tf.io.TFRecordWriter(str(path)) as writer:
            for log in logs:
                writer.write(log if isinstance(log, bytes) else log.SerializeToString())

    return write
