"""What all strategies are asked to train alike, and what a training left.

``python -m tests.components.trainer.agreement FOLDER keras|tf_keras NAME…`` trains in one process what the folder's
requests of these names ask for.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.components.trainer.data import Row, write_shard

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from penstock.components.trainer.request import TrainRequest

TRAINING_ROWS, EVALUATION_ROWS, GLOBAL_BATCH, EPOCHS = 300, 101, 64, 2
"""300 rows make four full batches and one of 44, which two replicas can share; 101 is a prime."""
WORDS, WIDTH = 2000, 8
SCHEMA = """
feature { name: "point" type: FLOAT shape { dim { size: 2 } } presence { min_fraction: 1 } }
feature { name: "word" type: INT shape { dim { size: 1 } } presence { min_fraction: 1 } }
feature { name: "label" type: INT shape { dim { size: 1 } } presence { min_fraction: 1 } }
"""


def build(context: Any) -> Any:
    """A model with dense and sparse gradients, which replicas together train as one does alone."""
    return _model(context, context.keras)


def build_with_tf_keras(context: Any) -> Any:
    """The same model as older code writes it."""
    import tensorflow as tf

    return _model(context, tf.keras)


def _model(context: Any, keras: Any) -> Any:
    import tensorflow as tf

    class Rows(keras.metrics.Sum):  # type: ignore[misc]
        """Counts rows."""

        def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
            return super().update_state(tf.ones(tf.shape(y_true)[:1]))

    inputs = context.inputs()
    # Each shard of a variable would draw random numbers of its own.
    table = keras.layers.Embedding(WORDS, WIDTH, embeddings_initializer=keras.initializers.Constant(0.1))
    joined = keras.layers.Concatenate()([inputs["point"], keras.layers.Flatten()(table(inputs["word"]))])
    hidden = keras.layers.Dense(8, activation="tanh")(joined)
    model = keras.Model(inputs, keras.layers.Dense(2, activation="softmax", dtype="float32")(hidden))
    metrics = ["accuracy", keras.metrics.SparseCategoricalCrossentropy(name="entropy"), Rows(name="rows")]
    model.compile(keras.optimizers.Adam(0.02), "sparse_categorical_crossentropy", metrics=metrics)
    return model


def rows(context: Any, files: list[str], training: bool) -> Any:  # noqa: FBT001  As the Trainer calls it.
    """The user's own way to read the same rows."""
    import tensorflow as tf

    floats, integers = tf.io.FixedLenFeature([2], tf.float32), tf.io.FixedLenFeature([1], tf.int64)
    spec = {"point": floats, "word": integers, "label": integers}

    def parsed(serialized: Any) -> Any:
        features = tf.io.parse_single_example(serialized, spec)
        return features, features.pop("label")

    return tf.data.TFRecordDataset(files, "GZIP").map(parsed)


def build_chatty(context: Any) -> Any:
    """A model with many weights and little to compute: 16.8 MB of gradients."""
    keras = context.keras
    inputs = {"point": context.inputs()["point"]}
    hidden = keras.layers.Dense(2048)(keras.layers.Dense(2048)(inputs["point"]))
    model = keras.Model(inputs, keras.layers.Dense(2, activation="softmax")(hidden))
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


class Bench:
    """Trainings on the same data, in a folder.

    Args:
        folder: Receives the data, the requests, and a folder for each training's outputs.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        rows = _rows(TRAINING_ROWS, seed=1)
        self._train = tuple(write_shard(folder / f"train-{part}.gz", rows[part::2]) for part in (0, 1))
        self._evaluation = (write_shard(folder / "eval.gz", _rows(EVALUATION_ROWS, seed=2)),)
        (folder / "schema.pbtxt").write_text(SCHEMA)

    def request(self, name: str, config: Mapping[str, Any], **fields: Any) -> TrainRequest:
        """Return a request; keywords are further fields of it."""
        from penstock.components.trainer.config import TrainerConfig
        from penstock.components.trainer.request import SplitFiles, TrainRequest

        given = {
            "model_fn": f"{build.__module__}.build",
            "label": "label",
            "epochs": EPOCHS,
            "batch_size": GLOBAL_BATCH,
            # Shared out by files, the rows of a global batch would be others.
            "input": {"autoshard": "data"},
            **config,
        }
        return TrainRequest(
            config=TrainerConfig.model_validate(given),
            files=SplitFiles(self._train, self._evaluation, self._evaluation),
            saved_model=self.folder / name / "saved_model",
            keras_file=self.folder / name / "model.keras",
            run_folder=self.folder / name / "run",
            schema=self.folder / "schema.pbtxt",
            **fields,
        )

    def write(self, request: TrainRequest, name: str) -> None:
        """Leave a request for another process."""
        from penstock.components.trainer.request import to_json

        (self.folder / f"{name}.json").write_text(to_json(request))

    def train_in_cluster(self, name: str, config: Mapping[str, Any]) -> Outcome:
        """Train in processes that Penstock starts."""
        from penstock.components.trainer.train import train

        train(self.request(name, config))
        return self.outcome(name)

    def train_together(self, keras: str, configs: Mapping[str, Mapping[str, Any]]) -> dict[str, Outcome]:
        """Train one after the other, in one process of two logical CPUs."""
        for name, config in configs.items():
            runtime = {"logical_devices": {"cpu": 2}, **config.get("runtime", {})}
            self.write(self.request(name, {"keras": keras, **config, "runtime": runtime}), name)
        run_python([__spec__.name, str(self.folder), keras, *configs])
        return {name: self.outcome(name) for name in configs}

    def outcome(self, name: str) -> Outcome:
        run = self.folder / name / "run"
        report, history = (json.loads((run / file).read_text()) for file in ("training_report.json", "history.json"))
        return Outcome(report, history, _arrays(self.folder / name / "model.keras"))


@dataclass(frozen=True)
class Outcome:
    """A finished training: its report, its history, and the arrays in its ``.keras`` file by name."""

    report: Mapping[str, Any]
    history: Mapping[str, list[float]]
    arrays: Mapping[str, NDArray[Any]]

    @property
    def weights(self) -> dict[str, NDArray[Any]]:
        """The layers' weights."""
        return {name: array for name, array in self.arrays.items() if name.startswith("layers/")}


def run_python(arguments: Sequence[str]) -> None:
    """Run a module in a process that is free to choose its Keras and its devices."""
    environment = {name: value for name, value in os.environ.items() if name != "TF_USE_LEGACY_KERAS"}
    done = subprocess.run(
        [sys.executable, "-m", *arguments], capture_output=True, text=True, check=False, timeout=500, env=environment
    )
    assert done.returncode == 0, done.stderr


def _arrays(keras_file: Path) -> dict[str, NDArray[Any]]:
    import h5py

    found = {}
    with zipfile.ZipFile(keras_file) as archive, archive.open("model.weights.h5") as stored, h5py.File(stored) as file:
        file.visititems(lambda name, item: found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None)
    return found


def _rows(count: int, seed: int) -> list[Row]:
    """Return rows whose label mostly says which of two coordinates is larger, and for some words the opposite."""
    source = random.Random(seed)
    rows: list[Row] = []
    for _ in range(count):
        point, word = [source.uniform(-1, 1), source.uniform(-1, 1)], source.randrange(WORDS)
        rows.append({"point": point, "word": [word], "label": [int((point[0] < point[1]) ^ (word % 10 == 0))]})
    return rows


def main(folder: Path, names: Sequence[str]) -> None:
    from penstock.components.trainer.request import from_json
    from penstock.components.trainer.train import train

    for name in names:
        train(from_json((folder / f"{name}.json").read_text()))


if __name__ == "__main__":
    os.environ["TF_USE_LEGACY_KERAS"] = "1" if sys.argv[2] == "tf_keras" else "0"
    main(Path(sys.argv[1]), sys.argv[3:])
