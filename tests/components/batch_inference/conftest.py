"""A model that is saved once, rows in every format, and one call that scores them here."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from penstock.components.batch_inference.config import BatchInferenceConfig
from penstock.components.batch_inference.infer import infer_here
from penstock.components.batch_inference.pinned import pin
from penstock.components.batch_inference.request import InferenceRequest, InferenceResult, PinnedModel
from tests.components.batch_inference.scaler import save_scaler

FACTOR = 2.0
"""What the model multiplies by."""


@pytest.fixture(scope="session")
def scaler(tmp_path_factory: pytest.TempPathFactory) -> PinnedModel:
    """The model, whose ``y`` is ``x`` times two, and whose ``sum`` is the sum of ``y``."""
    return pin(save_scaler(tmp_path_factory.mktemp("model") / "1", FACTOR), name="scaler", version=1)


@dataclass
class Scoring:
    """Scores files of a folder with the model."""

    folder: Path
    model: PinnedModel
    config: dict[str, Any] = field(default_factory=dict)

    @property
    def output(self) -> Path:
        return self.folder / "out"

    def request(self, *names: str, overwrite: bool = False, **config: Any) -> InferenceRequest:
        checked = BatchInferenceConfig.model_validate(config)
        files = tuple(str(self.folder / name) for name in names)
        return InferenceRequest(checked, files, self.output, self.model, overwrite=overwrite)

    def run(self, *names: str, **config: Any) -> InferenceResult:
        return infer_here(self.request(*names, **config))

    def write(self, name: str, content: str | bytes) -> Path:
        data = content.encode() if isinstance(content, str) else content
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        return path

    def records(self, name: str, records: Sequence[bytes]) -> Path:
        import tensorflow as tf

        path = self.folder / name
        options = tf.io.TFRecordOptions(compression_type="GZIP" if name.endswith(".gz") else "")
        with tf.io.TFRecordWriter(str(path), options) as writer:
            for record in records:
                writer.write(record)
        return path

    def lines(self) -> list[dict[str, Any]]:
        """Return the rows of the JSON Lines results, in order."""
        return read_lines(sorted(self.output.glob("prediction.results-*")))

    def errors(self) -> list[dict[str, Any]]:
        return read_lines(sorted(self.output.glob("prediction.errors-*")))

    def manifest(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.output / "prediction.manifest.json").read_text())
        return found


@pytest.fixture
def scoring(tmp_path: Path, scaler: PinnedModel) -> Scoring:
    return Scoring(tmp_path, scaler)


def read_lines(files: Sequence[Path]) -> list[dict[str, Any]]:
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


def example(**features: Any) -> bytes:
    """Return a serialized tf.Example of lists of floats, integers or texts."""
    import tensorflow as tf

    message = tf.train.Example()
    for name, values in features.items():
        feature = message.features.feature[name]
        for value in values if isinstance(values, list) else [values]:
            if isinstance(value, float):
                feature.float_list.value.append(value)
            elif isinstance(value, int):
                feature.int64_list.value.append(value)
            else:
                feature.bytes_list.value.append(value if isinstance(value, bytes) else value.encode())
    serialized: bytes = message.SerializeToString()
    return serialized
