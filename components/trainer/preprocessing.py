"""From a raw tf.Example to what the model sees: through Transform's graph where it is wired, else as it is.

Training, serving and the predict gate use the same object, so that they cannot differ.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import tensorflow as tf

from penstock.components.trainer.feature_specs import (
    FeatureSpec,
    dense_spec,
    fill_value,
    not_in_serving,
    parse_spec,
    read_schema,
)
from penstock.errors import ArtifactError, ConfigError

if TYPE_CHECKING:
    import tensorflow_transform as tft
    from tensorflow_metadata.proto.v0 import schema_pb2

Tensors = Mapping[str, Any]


class Preprocessing(Protocol):
    """What lies between raw examples and the model."""

    schema: schema_pb2.Schema
    """Schema of the raw examples."""
    raw_spec: FeatureSpec
    """How raw examples are parsed, label included."""
    model_spec: FeatureSpec
    """The dense features that come out, label included."""
    tf_transform_output: tft.TFTransformOutput | None
    layer: Any | None
    """What a SavedModel must track so that vocabularies are exported with it."""

    def apply(self, raw: Tensors) -> dict[str, Any]:
        """Return the dense features that can be computed from a batch of parsed raw features."""

    def raw_features_of(self, names: Iterable[str]) -> frozenset[str]:
        """Return the raw features without which the features ``names`` cannot be computed."""


class SchemaPreprocessing:
    """The model sees the raw features, made dense while they are parsed."""

    tf_transform_output: tft.TFTransformOutput | None = None
    layer: Any | None = None

    def __init__(self, schema: schema_pb2.Schema) -> None:
        self.schema = schema
        self.raw_spec: FeatureSpec = dense_spec(parse_spec(schema), schema)
        self.model_spec: FeatureSpec = self.raw_spec

    def apply(self, raw: Tensors) -> dict[str, Any]:
        """Return the dense features that can be computed from a batch of parsed raw features."""
        return {name: densify(value) for name, value in raw.items()}

    def raw_features_of(self, names: Iterable[str]) -> frozenset[str]:
        """Return the raw features without which the features ``names`` cannot be computed."""
        return frozenset(names)


class GraphPreprocessing:
    """The model sees what Transform's graph makes of the raw features."""

    def __init__(self, tf_transform_output: tft.TFTransformOutput) -> None:
        self.tf_transform_output: tft.TFTransformOutput | None = tf_transform_output
        self.layer: Any = tf_transform_output.transform_features_layer()
        self.schema = tf_transform_output.raw_metadata.schema
        self.raw_spec: FeatureSpec = tf_transform_output.raw_feature_spec()
        transformed = tf_transform_output.transformed_metadata.schema
        self.model_spec: FeatureSpec = dense_spec(tf_transform_output.transformed_feature_spec(), transformed)

    def apply(self, raw: Tensors) -> dict[str, Any]:
        """Return the dense features that can be computed from a batch of parsed raw features."""
        return {name: densify(value) for name, value in self.layer(dict(raw)).items()}

    def raw_features_of(self, names: Iterable[str]) -> frozenset[str]:
        """Return the raw features without which the features ``names`` cannot be computed.

        The graph is traced once for each raw feature, without that feature; it then computes only what does not need
        it.
        """
        wanted = frozenset(names)
        needed: set[str] = set()

        @tf.function(autograph=False)  # type: ignore[untyped-decorator, unused-ignore]
        def leave_one_out(raw: Tensors) -> None:
            for left_out in raw:
                rest = {name: value for name, value in raw.items() if name != left_out}
                if not rest or not wanted <= set(self.layer(rest)):
                    needed.add(left_out)

        leave_one_out.get_concrete_function({name: _parsed_spec(spec) for name, spec in self.raw_spec.items()})
        return frozenset(needed)


def load_preprocessing(transform_graph: Path | None, schema: Path | None) -> Preprocessing:
    """Return the preprocessing of a run.

    Args:
        transform_graph: Transform's output folder, which holds the raw schema as well.
        schema: The schema's file, needed without a transform graph.

    Raises:
        ConfigError: Neither is given.
        ArtifactError: What is given cannot be read.
    """
    if transform_graph is not None:
        import tensorflow_transform as tft

        try:
            return GraphPreprocessing(tft.TFTransformOutput(str(transform_graph)))
        except (OSError, ValueError, tf.errors.OpError) as error:
            raise ArtifactError(f"the transform graph cannot be read: {error}", where=str(transform_graph)) from error
    if schema is not None:
        return SchemaPreprocessing(read_schema(schema))
    raise ConfigError(
        "the Trainer does not know the features",
        received="neither 'schema' nor 'transform_graph'",
        expected="one of them wired",
        hint="add a SchemaGen or ImportSchemaGen step before the Trainer",
    )


def serving_spec(preprocessing: Preprocessing, inputs: Iterable[str], label: str) -> dict[str, Any]:
    """Return the raw features that a request must hold for the model's inputs.

    Args:
        preprocessing: The run's preprocessing.
        inputs: The model's inputs, by feature name.
        label: The label feature, which no request holds.

    Raises:
        ArtifactError: An input is computed from a feature that is not there in serving.
    """
    needed = preprocessing.raw_features_of(inputs)
    absent = needed & (not_in_serving(preprocessing.schema) | {label})
    if absent:
        raise ArtifactError(
            f"the model's inputs need {', '.join(sorted(absent))}, which no request holds in serving",
            received=f"inputs {', '.join(sorted(inputs))}",
            expected="inputs computed from features that are neither the label nor outside the SERVING environment",
            hint="leave the inputs out that preprocessing_fn computes from it, or mend the schema's environments",
        )
    return {name: spec for name, spec in preprocessing.raw_spec.items() if name in needed}


def densify(value: Any) -> Any:
    """Return a tensor as a dense one; what is missing becomes an empty string or zero."""
    if isinstance(value, tf.SparseTensor):
        return tf.sparse.to_dense(value, default_value=fill_value(value.dtype))
    if isinstance(value, tf.RaggedTensor):
        return value.to_tensor(default_value=fill_value(value.dtype))
    return value


def _parsed_spec(feature: Any) -> Any:
    """Return the TypeSpec of a batch of one parsed feature."""
    if isinstance(feature, tf.io.FixedLenFeature):
        return tf.TensorSpec([None, *feature.shape], feature.dtype)
    if isinstance(feature, tf.io.VarLenFeature):
        return tf.SparseTensorSpec([None, None], feature.dtype)
    example = tf.io.parse_example(tf.constant([], tf.string), {"feature": feature})["feature"]
    return tf.type_spec_from_value(example)
