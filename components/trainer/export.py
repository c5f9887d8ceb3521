"""Writes a trained model as a SavedModel that takes raw data and that a model server can run.

``tf.saved_model.save(keras_model)`` gives a model that loads and then cannot find its variables (keras#19274,
tensorflow/serving#2226); ``keras.export.ExportArchive`` tracks them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

from penstock import durable
from penstock.components.trainer.keras_backend import Keras
from penstock.components.trainer.model import ModelInputs
from penstock.components.trainer.preprocessing import Preprocessing
from penstock.components.trainer.signatures import PREDICT, SERVING_DEFAULT, Signature
from penstock.user_code import user_code_boundary

SINGLE_OUTPUT = "outputs"
"""Name of the output of a model that returns a bare tensor; TFX's components expect one output of any name."""


class ServingModel:
    """A model together with the preprocessing of its requests.

    Args:
        model: The trained model.
        inputs: The features that the model takes.
        preprocessing: What makes them of raw features.
        raw_spec: The raw features of a request, as :func:`~penstock.components.trainer.preprocessing.serving_spec`
            gives them.
        further: Signatures beside ``serving_default`` and ``predict``.
    """

    def __init__(
        self,
        model: Any,
        inputs: ModelInputs,
        preprocessing: Preprocessing,
        raw_spec: Mapping[str, Any],
        further: Sequence[Signature] = (),
    ) -> None:
        self.model = model
        self.inputs = inputs
        self.preprocessing = preprocessing
        self.raw_spec = dict(raw_spec)
        self._further = tuple(further)

    def signatures(self) -> tuple[Signature, ...]:
        """Return all signatures; ``predict`` is among them where every feature has a dense form."""
        examples = {"examples": tf.TensorSpec([None], tf.string, name="examples")}
        columns = self.column_spec()
        return (
            Signature(SERVING_DEFAULT, self.from_examples, examples),
            *(() if columns is None else (Signature(PREDICT, self.from_columns, columns, by_name=True),)),
            *self._further,
        )

    def from_examples(self, examples: Any) -> dict[str, Any]:
        """Answer a vector of serialized raw tf.Examples: one tensor an output, batch first."""
        return self._answer(self.parse(examples))

    def from_columns(self, columns: Mapping[str, Any]) -> dict[str, Any]:
        """Answer raw features given as dense tensors by name; see :func:`column_spec` for missing values."""
        return self._answer({name: _as_parsed(value, self.raw_spec[name]) for name, value in columns.items()})

    def parse(self, examples: Any) -> dict[str, Any]:
        """Return the raw features of a vector of serialized tf.Examples."""
        return tf.io.parse_example(examples, self.raw_spec)  # type: ignore[no-any-return]

    def columns(self, examples: Any) -> dict[str, Any]:
        """Return what :meth:`from_columns` takes for a vector of serialized tf.Examples."""
        return {name: _as_column(value) for name, value in self.parse(examples).items()}

    def column_spec(self) -> dict[str, Any] | None:
        """Return the TensorSpecs of :meth:`from_columns`, or None if a feature has no dense form.

        A feature of variable length is a matrix whose rows are filled up with a marker for a missing value: an empty
        string, NaN, or the smallest integer of its type. Zero is a value.
        """
        specs = {name: _column_spec(name, feature) for name, feature in self.raw_spec.items()}
        return None if None in specs.values() else specs

    def _answer(self, raw: Mapping[str, Any]) -> dict[str, Any]:
        features = self.preprocessing.apply(raw)
        return name_outputs(self.model(self.inputs.select(features), training=False), self.model)


def name_outputs(answer: Any, model: Any) -> dict[str, Any]:
    """Name a model's answer: a dictionary keeps its keys, a list takes the output layers', a tensor ``outputs``."""
    if isinstance(answer, Mapping):
        return dict(answer)
    if isinstance(answer, Sequence):
        names = getattr(model, "output_names", None) or [f"output_{number}" for number in range(len(answer))]
        return dict(zip(names, answer, strict=True))
    return {SINGLE_OUTPUT: answer}


def export_saved_model(serving: ServingModel, path: Path, keras: Keras) -> None:
    """Write a SavedModel with the signatures of the serving model, and flush it to the disk.

    Args:
        serving: What to export.
        path: A folder that does not exist yet.
        keras: The model's Keras.

    Raises:
        UserCodeError: TensorFlow cannot trace or save a signature.
    """
    layers = [serving.model, serving.preprocessing.layer]
    signatures = serving.signatures()
    names = ", ".join(signature.name for signature in signatures)
    with user_code_boundary(f"exporting the model with the signatures {names}"):
        keras.export(
            path,
            [layer for layer in layers if layer is not None],
            [(signature.name, signature.function, signature.arguments) for signature in signatures],
        )
    durable.sync_tree(path)


def save_keras_file(model: Any, path: Path) -> None:
    """Write the whole model, weights and optimizer included, as a ``.keras`` file.

    Raises:
        UserCodeError: Keras cannot save the model.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with user_code_boundary(f"saving the model {model.name!r} as .keras"):
        durable.write_beside(path, model.save)


def _column_spec(name: str, feature: Any) -> Any | None:
    if isinstance(feature, tf.io.FixedLenFeature):
        return tf.TensorSpec([None, *feature.shape], feature.dtype, name=name)
    if isinstance(feature, tf.io.FixedLenSequenceFeature):
        return tf.TensorSpec([None, None, *feature.shape], feature.dtype, name=name)
    if isinstance(feature, tf.io.VarLenFeature):
        return tf.TensorSpec([None, None], feature.dtype, name=name)
    return None


def _as_parsed(column: Any, feature: Any) -> Any:
    """Return a dense column in the form in which ``parse_example`` gives the feature."""
    if not isinstance(feature, tf.io.VarLenFeature):
        return column
    indices = tf.where(tf.logical_not(_is_missing(column)))
    return tf.SparseTensor(indices, tf.gather_nd(column, indices), tf.shape(column, out_type=tf.int64))


def _as_column(value: Any) -> Any:
    if not isinstance(value, tf.SparseTensor):
        return value
    return tf.sparse.to_dense(value, default_value=_missing(value.dtype))


def _missing(dtype: Any) -> Any:
    if dtype == tf.string:
        return ""
    return float("nan") if dtype.is_floating else dtype.min


def _is_missing(column: Any) -> Any:
    return tf.math.is_nan(column) if column.dtype.is_floating else tf.equal(column, _missing(column.dtype))
