"""A model that looks like a SavedModel, for which no TensorFlow is needed, and a small one that is one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from penstock.components.pusher.flatbuffers import Flatbuffer
from penstock.components.pusher.gate import GateReport

FILES = {
    "saved_model.pb": b"graph",
    "fingerprint.pb": b"",
    "variables/variables.index": b"index",
    "variables/variables.data-00000-of-00001": bytes(range(256)) * 20000,
    "assets/vocabulary": b"blue\nred\n",
}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "Format-Serving"
    for name, content in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Where a ``models.config`` goes."""
    return tmp_path / "models.config"


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return tmp_path / "serving" / "digits"


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Let every model through the gate, without a process; return what was asked."""
    asked: list[Path] = []

    def pass_gate(model: Path, timeout: float) -> GateReport:
        asked.append(model)
        return GateReport(0)

    monkeypatch.setattr("penstock.components.pusher.push.pass_gate", pass_gate)
    return asked


@pytest.fixture
def flatbuffers(tmp_path: Path) -> tuple[Flatbuffer, ...]:
    """Two modes that look like flatbuffers, for which no TensorFlow is needed."""
    made = []
    for mode in ("float32", "int8"):
        folder = tmp_path / "converted" / mode
        folder.mkdir(parents=True)
        (folder / "model.tflite").write_bytes(mode.encode() * 1000)
        (folder / "report.json").write_text("{}")
        made.append(Flatbuffer(mode, folder, blessed=True, reason="within the gate"))
    return tuple(made)


@pytest.fixture(scope="session")
def flatbuffer(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A flatbuffer with the signatures ``double`` and ``half``, for any number of rows."""
    import tensorflow as tf

    class Scaler(tf.Module):  # type: ignore[misc]  # TensorFlow has no types.
        @tf.function(input_signature=[tf.TensorSpec([None, 2], tf.float32, "x")])
        def double(self, x: Any) -> Any:
            return {"y": x * 2.0}

        @tf.function(input_signature=[tf.TensorSpec([None, 2], tf.float32, "x")])
        def half(self, x: Any) -> Any:
            return {"y": x / 2.0}

    folder, module = tmp_path_factory.mktemp("scaler") / "model", Scaler()
    tf.saved_model.save(module, str(folder), signatures={"double": module.double, "half": module.half})
    return bytes(tf.lite.TFLiteConverter.from_saved_model(str(folder)).convert())


@pytest.fixture(scope="session")
def saved_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SavedModel that doubles x: ``serving_default`` takes serialized rows, ``predict`` takes x by name."""
    return save_model(tmp_path_factory.mktemp("saved") / "model")


def save_model(folder: Path) -> Path:
    import tensorflow as tf

    class Doubler(tf.Module):  # type: ignore[misc]  # TensorFlow has no types.
        def __init__(self) -> None:
            super().__init__()
            self.factor = tf.Variable(2.0)

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "examples")])
        def serve(self, examples: Any) -> Any:
            rows = tf.io.parse_example(examples, {"x": tf.io.FixedLenFeature([2], tf.float32)})
            return {"y": rows["x"] * self.factor}

        @tf.function(input_signature=[tf.TensorSpec([None, 2], tf.float32, "x")])
        def predict(self, x: Any) -> Any:
            return {"y": x * self.factor}

        @tf.function(input_signature=[tf.TensorSpec([None, 2], tf.float32, "z")])
        def other(self, z: Any) -> Any:
            return {"y": z}

    module = Doubler()
    signatures = {"serving_default": module.serve, "predict": module.predict, "other": module.other}
    tf.saved_model.save(module, str(folder), signatures=signatures)
    return folder


def example(**features: list[Any]) -> bytes:
    from tensorflow.core.example import example_pb2

    row = example_pb2.Example()
    for name, values in features.items():
        feature = row.features.feature[name]
        if values and isinstance(values[0], float):
            feature.float_list.value.extend(values)
        elif values and isinstance(values[0], int):
            feature.int64_list.value.extend(values)
        else:
            feature.bytes_list.value.extend(values)
    return row.SerializeToString(deterministic=True)  # type: ignore[no-any-return]


def write_rows(file: Path, rows: list[bytes]) -> Path:
    import tensorflow as tf

    compression = "GZIP" if file.suffix == ".gz" else ""
    file.parent.mkdir(parents=True, exist_ok=True)
    with tf.io.TFRecordWriter(str(file), compression) as writer:
        for row in rows:
            writer.write(row)
    return file
