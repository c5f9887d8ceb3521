"""The metrics that a flatbuffer may be gated on, and which direction is better. Computed by Keras; imports nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from penstock.closest import did_you_mean


@dataclass(frozen=True)
class Metric:
    """One metric.

    Args:
        keras: Class name in ``keras.metrics``; empty where the shapes of label and output decide, as in Keras.
        higher_is_better: Whether a larger value is a better model.
    """

    keras: str
    higher_is_better: bool = True


_LONG: Mapping[str, Metric] = {
    "binary_accuracy": Metric("BinaryAccuracy"),
    "categorical_accuracy": Metric("CategoricalAccuracy"),
    "sparse_categorical_accuracy": Metric("SparseCategoricalAccuracy"),
    "sparse_top_k_categorical_accuracy": Metric("SparseTopKCategoricalAccuracy"),
    "auc": Metric("AUC"),
    "precision": Metric("Precision"),
    "recall": Metric("Recall"),
    "r2_score": Metric("R2Score"),
    "mean_squared_error": Metric("MeanSquaredError", higher_is_better=False),
    "mean_absolute_error": Metric("MeanAbsoluteError", higher_is_better=False),
    "root_mean_squared_error": Metric("RootMeanSquaredError", higher_is_better=False),
    "binary_crossentropy": Metric("BinaryCrossentropy", higher_is_better=False),
    "categorical_crossentropy": Metric("CategoricalCrossentropy", higher_is_better=False),
    "sparse_categorical_crossentropy": Metric("SparseCategoricalCrossentropy", higher_is_better=False),
}
METRICS: Mapping[str, Metric] = {
    "accuracy": Metric(""),
    **_LONG,
    "mse": _LONG["mean_squared_error"],
    "mae": _LONG["mean_absolute_error"],
    "rmse": _LONG["root_mean_squared_error"],
}
"""Keras's names → metric."""


def require_metric(name: str) -> str:
    """Return the name of a metric that is computed.

    Raises:
        ValueError: It is none.
    """
    if name not in METRICS:
        meant = did_you_mean(name, METRICS)
        raise ValueError(
            f"no metric {name!r} is computed; one of {', '.join(METRICS)}" + (f"; {meant}" if meant else "")
        )
    return name
