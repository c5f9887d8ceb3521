"""The four ways in which rows become what a signature takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from penstock.components.batch_inference.bisect import Refused, bisect, cause_of
from penstock.components.batch_inference.features.arrays import to_array, value_type
from penstock.components.batch_inference.features.converted import Converted, convert_columns
from penstock.components.batch_inference.features.example_spec import ExampleFeature
from penstock.components.batch_inference.features.gather import Source, told_source
from penstock.components.batch_inference.join import joined, objects
from penstock.components.batch_inference.rows import RECORD
from penstock.components.batch_inference.wire import encode_examples
from penstock.serving.saved_model import TensorInfo

if TYPE_CHECKING:
    from penstock.components.batch_inference.rows import Array


@dataclass(frozen=True)
class WholeRecords:
    """Serialized tf.Examples, or whole files, go into the one input as they are.

    Attributes:
        name: The input.
        what: What they are.
        features: Features that the signature parses out of Examples, as far as that is known.
    """

    name: str
    what: str
    features: tuple[ExampleFeature, ...] = ()

    @property
    def columns(self) -> Mapping[str, pa.DataType | None]:
        """The records."""
        return {RECORD: pa.binary()}

    def convert(self, rows: pa.RecordBatch) -> Converted:
        """Return the records as an array of bytes."""
        records = rows.column(RECORD).to_numpy(zero_copy_only=False)
        return Converted({self.name: records}, np.arange(len(records)))

    def explain(self) -> list[str]:
        """Return what feeds the input, and what the model parses."""
        return [f"{self.name} ← {self.what}", *(f"  it parses {feature.told}" for feature in self.features)]


@dataclass(frozen=True)
class ParsedExamples:
    """Features of serialized tf.Examples go into inputs of the same names.

    Attributes:
        inputs: The signature's inputs.
    """

    inputs: tuple[TensorInfo, ...]

    @property
    def columns(self) -> Mapping[str, pa.DataType | None]:
        """The records."""
        return {RECORD: pa.binary()}

    def convert(self, rows: pa.RecordBatch) -> Converted:
        """Parse a block."""
        records = rows.column(RECORD).to_numpy(zero_copy_only=False)
        found = bisect(lambda start, stop: _parsed(self.inputs, records[start:stop]), len(records))
        good = [np.arange(start, stop) for start, stop, _ in found.parts]
        inputs = joined([arrays for _, _, arrays in found.parts])
        return Converted(inputs, np.concatenate(good) if good else np.zeros(0, np.int64), found.bad)

    def explain(self) -> list[str]:
        """Return what feeds each input."""
        return [f"{told(spec)} ← feature {spec.name!r} of each tf.Example" for spec in self.inputs]


@dataclass(frozen=True)
class ColumnInputs:
    """Columns go into inputs: one of the same name, or numbered ones into a vector.

    Attributes:
        inputs: The signature's inputs.
        sources: Input → what feeds it.
    """

    inputs: tuple[TensorInfo, ...]
    sources: Mapping[str, Source]

    @property
    def columns(self) -> Mapping[str, pa.DataType | None]:
        """The columns that feed inputs."""
        return {name: value_type(spec) for spec in self.inputs for name in self.sources[spec.name]}

    def convert(self, rows: pa.RecordBatch) -> Converted:
        """Convert each column."""
        columns = {spec.name: partial(_slice, rows, self.sources[spec.name], spec) for spec in self.inputs}
        return convert_columns(rows.num_rows, columns)

    def explain(self) -> list[str]:
        """Return what feeds each input."""
        return [f"{told(spec)} ← {told_source(self.sources[spec.name])}" for spec in self.inputs]


@dataclass(frozen=True)
class EncodedExamples:
    """Columns become features of serialized tf.Examples, which go into the one input.

    Attributes:
        name: The input.
        features: The features that the signature parses and that the rows have.
        sources: Feature → what feeds it.
    """

    name: str
    features: tuple[ExampleFeature, ...]
    sources: Mapping[str, Source]

    @property
    def columns(self) -> Mapping[str, pa.DataType | None]:
        """The columns that become features."""
        return {name: value_type(f.spec) for f in self.features for name in self.sources[f.name]}

    def convert(self, rows: pa.RecordBatch) -> Converted:
        """Convert each column, and put Examples together."""
        columns = {f.name: partial(_slice, rows, self.sources[f.name], f.spec) for f in self.features}
        found = convert_columns(rows.num_rows, columns)
        if not len(found.good):
            return found
        examples = encode_examples(dict(found.inputs), len(found.good))
        return Converted({self.name: examples.to_numpy(zero_copy_only=False)}, found.good, found.bad)

    def explain(self) -> list[str]:
        """Return what feeds the input."""
        columns = [f"  {feature.told} ← {told_source(self.sources[feature.name])}" for feature in self.features]
        return [f"{self.name} ← a tf.Example made of each row", *columns]


def told(spec: TensorInfo) -> str:
    """Return an input with its type and shape."""
    shape = "?" if spec.shape is None else ", ".join("rows" if size is None else str(size) for size in spec.shape)
    return f"{spec.name}: {spec.dtype} [{shape}]"


def _slice(rows: pa.RecordBatch, source: Source, spec: TensorInfo, start: int, stop: int) -> Array:
    part = rows.slice(start, stop - start)
    if len(source) == 1:
        return to_array(part.column(source[0]), spec)
    columns = [to_array(part.column(name), TensorInfo(name, spec.dtype, (None,))) for name in source]
    inner = spec.shape[1:] if spec.shape is not None and None not in spec.shape[1:] else (len(source),)
    return np.stack(columns, axis=1).reshape(part.num_rows, *inner)


@cache
def _parser(inputs: tuple[TensorInfo, ...]) -> Any:
    """Return a compiled function from serialized Examples to the signature's inputs."""
    import tensorflow as tf

    features = {spec.name: _parsed_as(spec) for spec in inputs}
    wanted = {spec.name: spec.dtype for spec in inputs}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def parse(records: Any) -> Any:
        found = tf.io.parse_example(records, features)
        return {name: tf.cast(found[name], type_) for name, type_ in wanted.items()}

    return parse


def _parsed_as(spec: TensorInfo) -> Any:
    import tensorflow as tf

    wanted = tf.as_dtype(spec.dtype)
    stored = wanted if wanted == tf.string else tf.float32 if wanted.is_floating else tf.int64
    inner = () if spec.shape is None else spec.shape[1:]
    return tf.io.RaggedFeature(stored) if None in inner else tf.io.FixedLenFeature(inner, stored)


def _parsed(inputs: tuple[TensorInfo, ...], records: Array) -> dict[str, Array]:
    import tensorflow as tf

    try:
        found = _parser(inputs)(tf.constant(records, tf.string))
    except (tf.errors.InvalidArgumentError, UnicodeDecodeError) as error:
        raise Refused(cause_of(error)) from error
    return {name: _plain(value) for name, value in found.items()}


def _plain(value: Any) -> Array:
    """Return a tensor, or a ragged one, as an array."""
    import tensorflow as tf

    if not isinstance(value, tf.RaggedTensor):
        return value.numpy()  # type: ignore[no-any-return]
    values, splits = value.values.numpy(), value.row_splits.numpy()
    return objects(np.split(values, splits[1:-1]))
