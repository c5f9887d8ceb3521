"""Feature specs: how the rows of a tf.Example file look, and which dense tensors a model sees of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penstock.errors import ArtifactError

if TYPE_CHECKING:
    from tensorflow_metadata.proto.v0 import schema_pb2

FeatureSpec = Mapping[str, Any]
_SERVING = "SERVING"


def read_schema(path: Path) -> schema_pb2.Schema:
    """Read a schema in protobuf text format.

    Raises:
        ArtifactError: The file is missing or is no schema.
    """
    from google.protobuf import text_format
    from tensorflow_metadata.proto.v0 import schema_pb2

    try:
        return text_format.Parse(path.read_text(encoding="utf-8"), schema_pb2.Schema())
    except (OSError, text_format.ParseError) as error:
        raise ArtifactError(f"the schema cannot be read: {error}", where=str(path)) from error


def parse_spec(schema: schema_pb2.Schema) -> dict[str, Any]:
    """Return the spec for ``tf.io.parse_example`` that a schema describes."""
    from tensorflow_transform.tf_metadata import schema_utils

    return dict(schema_utils.schema_as_feature_spec(schema).feature_spec)


def dense_spec(spec: FeatureSpec, schema: schema_pb2.Schema) -> dict[str, Any]:
    """Replace features of variable length by ones that parse to dense tensors.

    A feature with at most one value becomes one of shape (1,), where a missing value reads as the default of
    :func:`fill_value`; any other is padded with that default up to the longest row of a batch.
    """
    import tensorflow as tf

    at_most_one = {feature.name for feature in schema.feature if feature.value_count.max == 1}

    def dense(name: str, feature: Any) -> Any:
        if not isinstance(feature, tf.io.VarLenFeature):
            return feature
        default = fill_value(feature.dtype)
        if name in at_most_one:
            return tf.io.FixedLenFeature([1], feature.dtype, default)
        return tf.io.FixedLenSequenceFeature([], feature.dtype, allow_missing=True, default_value=default)

    return {name: dense(name, feature) for name, feature in spec.items()}


def fill_value(dtype: Any) -> str | int | float:
    """Return what a model sees for a value that is not there: an empty string or zero, as TFX's examples do."""
    return "" if dtype.name == "string" else 0


def dtype_and_shape(feature: Any) -> tuple[str, tuple[int | None, ...]]:
    """Return the dtype and the dense shape of one row of a feature; None is a length that varies."""
    import tensorflow as tf

    if isinstance(feature, tf.io.FixedLenFeature):
        shape = tuple(feature.shape)
    elif isinstance(feature, tf.io.FixedLenSequenceFeature):
        shape = (None, *feature.shape)
    elif isinstance(feature, tf.io.SparseFeature):
        shape = (feature.size,) if isinstance(feature.size, int) else tuple(feature.size)
    elif isinstance(feature, tf.io.RaggedFeature):
        shape = (None,) * (1 + len(feature.partitions))
    else:
        shape = (None,)
    return feature.dtype.name, shape


def not_in_serving(schema: schema_pb2.Schema) -> frozenset[str]:
    """Return the features that the schema keeps out of its ``SERVING`` environment."""

    def served(feature: schema_pb2.Feature) -> bool:
        if _SERVING in feature.not_in_environment:
            return False
        environments = [*feature.in_environment, *schema.default_environment]
        return not environments or _SERVING in environments

    return frozenset(feature.name for feature in schema.feature if not served(feature))


def describe(spec: FeatureSpec) -> str:
    """Return names, dtypes and shapes of a spec for an error message."""
    parts = []
    for name, feature in sorted(spec.items()):
        dtype, shape = dtype_and_shape(feature)
        parts.append(f"{name} {dtype}{list(shape)}")
    return ", ".join(parts) or "none"
