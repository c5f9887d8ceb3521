"""The metric of a model's answers, as Keras computes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from penstock.components.tflite_converter.metrics import METRICS
from penstock.errors import ArtifactError

if TYPE_CHECKING:
    from numpy.typing import NDArray

_CLASS_NUMBER = "SparseCategorical", "SparseTopK"


class Quality:
    """One metric over all batches of one model.

    Args:
        name: Keras's name of the metric.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._metric: Any = None

    def add(self, labels: NDArray[Any], answers: NDArray[Any]) -> None:
        """Count a batch.

        Args:
            labels: One entry a row: numbers of classes, or what the answers should have been.
            answers: The output, the rows first.

        Raises:
            ArtifactError: The metric cannot be computed of such labels and answers.
        """
        answers = answers.reshape(len(answers), -1).astype(np.float32)
        labels = labels.reshape(len(labels), -1)
        if labels.dtype.kind not in "iufb":
            raise self._error("a label that is text", "numbers, as Transform makes them: wire `transform_graph`")
        kind = self._kind(labels, answers)
        if not kind.startswith(_CLASS_NUMBER) and labels.shape != answers.shape:
            received = f"{labels.shape[1]} label values a row and {answers.shape[1]} outputs"
            raise self._error(received, "one label value for each output")
        if kind.startswith(_CLASS_NUMBER) and labels.shape[1] != 1:
            raise self._error(f"{labels.shape[1]} label values a row", "one label a row, the number of its class")
        if self._metric is None:
            import keras

            self._metric = getattr(keras.metrics, kind)()
        self._metric.update_state(labels[:, 0] if kind.startswith(_CLASS_NUMBER) else labels, answers)

    def result(self) -> float:
        """Return the metric over all batches."""
        return float(self._metric.result())

    def _kind(self, labels: NDArray[Any], answers: NDArray[Any]) -> str:
        """Return the class of the metric; ``accuracy`` is decided as Keras does it."""
        kind = METRICS[self._name].keras
        if kind:
            return kind
        if answers.shape[1] == 1:
            return "BinaryAccuracy"
        return "CategoricalAccuracy" if labels.shape == answers.shape else "SparseCategoricalAccuracy"

    def _error(self, received: str, expected: str) -> ArtifactError:
        return ArtifactError(f"the metric {self._name!r} cannot be computed", received=received, expected=expected)
